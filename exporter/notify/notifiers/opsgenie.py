"""Opsgenie and what speaks its Alert API, such as Jira Service Management: created, and closed by its alias."""

from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import BeforeValidator, Field

from exporter.config.alert_models import NotifierOptions
from exporter.config.fields import Line, SecretText, Url
from exporter.core.alerts.alert_rule import Severity
from exporter.notify.notifier import Notifier
from exporter.notify.one_by_one import OneByOne
from exporter.notify.transport.http import HttpClient
from exporter.presentation.describe import headline, lines, plain_text
from exporter.presentation.message import AlertSnapshot, Message
from exporter.presentation.text import one_line, shorten

_MAX_MESSAGE = 130
_MAX_DESCRIPTION = 15_000
_MAX_DETAIL = 400
_MAX_TAG = 50
_MAX_SOURCE = 100
_PRIORITIES = {Severity.CRITICAL: "P1", Severity.WARNING: "P3", Severity.INFO: "P5"}


def _one_or_more(value: object) -> object:
    return [value] if isinstance(value, str) else value


class OpsgenieOptions(NotifierOptions):
    """Opsgenie, or Jira Service Management."""

    api_key: SecretText = Field(description="Key of an API integration.")
    url: Url = Field(
        "https://api.opsgenie.com",
        description="URL of the API: in the EU `https://api.eu.opsgenie.com`, for Jira Service Management "
        "`https://api.atlassian.com/jsm/ops/integration`.",
    )
    teams: Annotated[list[Line], BeforeValidator(_one_or_more)] = Field(
        default_factory=list, max_length=50, description="Names of the teams that should respond."
    )


class OpsgenieNotifier(Notifier):
    """One alert there for each alert here, under the alert's id as its alias."""

    Options = OpsgenieOptions

    def __init__(self, options: OpsgenieOptions) -> None:
        super().__init__(options)
        key = options.api_key.reveal()
        self._http = HttpClient(options, [key])
        self._headers = {"Authorization": f"GenieKey {key}"}
        self._alerts = OneByOne()

    def deliver(self, message: Message) -> str:
        return self._alerts.deliver(message, lambda facts: self._send(facts, message))

    def _send(self, facts: AlertSnapshot, message: Message) -> str:
        response = ""
        if not message.is_resolved or facts.alert_id in message.unannounced:
            response = self._post("", self._alert(facts, message), f"{message.key}-{facts.alert_id}-create")
        if message.is_resolved:
            note = {"source": self._source(message), "note": headline(replace(message, alerts=(facts,)))}
            path = f"/{quote(facts.alert_id, safe='')}/close?identifierType=alias"
            response = self._post(path, note, f"{message.key}-{facts.alert_id}-close")
        return response

    def _post(self, path: str, body: dict[str, Any], key: str) -> str:
        """`key` is of one request: under the message's alone, all but the first would be repetitions."""
        url = f"{self.options.url}/v2/alerts{path}"
        answer = self._http.send("POST", url, key=key, json=body, headers=self._headers)
        return f"{answer.status} {answer.text}".strip()

    def _source(self, message: Message) -> str:
        return shorten(message.site.name, _MAX_SOURCE)

    def _alert(self, facts: AlertSnapshot, message: Message) -> dict[str, Any]:
        alone = replace(message, alerts=(facts,))
        tags = [shorten(one_line(tag), _MAX_TAG) for tag in (facts.rule, facts.severity.value, facts.group)]
        alert: dict[str, Any] = {
            "message": shorten(headline(alone), _MAX_MESSAGE),
            "alias": facts.alert_id,
            "description": shorten(plain_text(alone), _MAX_DESCRIPTION),
            "entity": facts.tag or message.site.name,
            "source": self._source(message),
            "priority": _PRIORITIES[facts.severity],
            "tags": [tag for tag in tags if tag],
            "details": {line.label: shorten(line.value, _MAX_DETAIL) for line in lines(facts, message)},
        }
        if self.options.teams:
            alert["responders"] = [{"type": "team", "name": team} for team in self.options.teams]
        return alert
