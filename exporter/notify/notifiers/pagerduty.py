"""PagerDuty, by its Events API v2: an alert there for each alert here, resolved with it."""

from dataclasses import replace
from typing import Any

from pydantic import Field

from exporter.config.alert_models import NotifierOptions
from exporter.config.fields import SecretText, Url
from exporter.core.alerts.alert_rule import Severity
from exporter.notify.notifier import Notifier
from exporter.notify.one_by_one import OneByOne
from exporter.notify.transport.http import HttpClient
from exporter.presentation.describe import description_of, headline, lines, links, name_of, output_of
from exporter.presentation.message import AlertSnapshot, Message
from exporter.presentation.moments import rfc3339
from exporter.presentation.text import one_line, shorten

_MAX_SUMMARY = 1024
_SEVERITIES = {Severity.CRITICAL: "critical", Severity.WARNING: "warning", Severity.INFO: "info"}


class PagerDutyOptions(NotifierOptions):
    """PagerDuty."""

    routing_key: SecretText = Field(description="Integration key of a service's Events API v2 integration.")
    url: Url = Field(
        "https://events.pagerduty.com/v2/enqueue",
        description="URL of the Events API; in the EU `https://events.eu.pagerduty.com/v2/enqueue`.",
    )


class PagerDutyNotifier(Notifier):
    """One event per alert, deduplicated by the alert's id."""

    Options = PagerDutyOptions

    def __init__(self, options: PagerDutyOptions) -> None:
        super().__init__(options)
        self._key = options.routing_key.reveal()
        self._http = HttpClient(options, [self._key])
        self._alerts = OneByOne()

    def deliver(self, message: Message) -> str:
        return self._alerts.deliver(message, lambda facts: self._send(facts, message))

    def _send(self, facts: AlertSnapshot, message: Message) -> str:
        if not message.is_resolved:
            return self._post(self._trigger(facts, message), message)
        if facts.alert_id in message.unannounced:
            self._post(self._trigger(facts, message), message)
        return self._post(self._event("resolve", facts), message)

    def _post(self, event: dict[str, Any], message: Message) -> str:
        # One key for each event: under the message's, all but the first would be repetitions.
        key = f"{message.key}-{event['dedup_key']}-{event['event_action']}"
        answer = self._http.send("POST", self.options.url, key=key, json=event)
        return f"{answer.status} {answer.text}".strip()

    def _event(self, action: str, facts: AlertSnapshot) -> dict[str, Any]:
        return {"routing_key": self._key, "event_action": action, "dedup_key": facts.alert_id}

    def _trigger(self, facts: AlertSnapshot, message: Message) -> dict[str, Any]:
        alone = replace(message, alerts=(facts,))
        details = {line.label: line.value for line in lines(facts, message)}
        if facts.description:
            details["What to do"] = description_of(facts, message)
        output = output_of(facts, message)
        if output:
            details["Last output"] = output
        payload = {
            "summary": shorten(headline(alone), _MAX_SUMMARY),
            "source": facts.tag or message.site.url,
            "severity": _SEVERITIES[facts.severity],
            "timestamp": rfc3339(facts.triggered_at),
            "component": name_of(facts),
            "class": facts.reason.value,
            "custom_details": details,
        }
        if facts.group:
            payload["group"] = shorten(one_line(facts.group), _MAX_SUMMARY)
        return {
            **self._event("trigger", facts),
            "payload": payload,
            "client": message.site.name,
            "client_url": message.site.monitor_url(facts.tag),
            "links": [{"href": link.value, "text": link.label} for link in links(facts, message.site)],
        }
