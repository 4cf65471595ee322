"""ntfy: push messages to phones, from ntfy.sh or a server of one's own."""

import json
import re
from base64 import b64encode
from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from exporter.config.alert_models import NotifierOptions
from exporter.config.fields import Line, SecretText, Url
from exporter.config.settings import Secret
from exporter.core.alerts.alert_rule import Severity
from exporter.core.errors import InvalidValue
from exporter.core.status import Status
from exporter.notify.notifier import Notifier
from exporter.notify.templates import Template, TemplateText, worded
from exporter.notify.transport.endpoints import Endpoint, endpoint_of
from exporter.notify.transport.http import HttpClient
from exporter.presentation.describe import LISTED, brief, description_of, headline, lines, links, more, output_of
from exporter.presentation.message import Message
from exporter.presentation.text import one_line, readable, shorten, tail, utf8

_MAX_TITLE = 190
"""Bytes; a server accepts 200 by default."""
_MAX_MESSAGE = 4000
"""Bytes: with 4096 a message turns into an attachment, which many servers refuse."""
_MAX_BODY = 8000
"""Bytes of the whole JSON, of which a server reads twice the length of a message."""
_PRIORITIES = {Severity.CRITICAL: 5, Severity.WARNING: 4, Severity.INFO: 3}
_PRIORITY_RESOLVED = 3
_TAGS = {Status.DOWN: "red_circle", Status.DEGRADED: "orange_circle", Status.NO_DATA: "white_circle"}
"""ntfy shows these as emoji."""
_TOPIC = re.compile(r"[-_A-Za-z0-9]{1,64}")


def _topic(secret: Secret) -> Secret:
    if not _TOPIC.fullmatch(secret.reveal()):
        raise InvalidValue("must consist of 1 to 64 letters, digits, '_' and '-'")
    return secret


class NtfyOptions(NotifierOptions):
    """ntfy."""

    topic: Annotated[SecretText, AfterValidator(_topic)] = Field(
        description="Topic. It is treated as a secret: everyone who knows a topic of a public server can read it."
    )
    server: Url = Field("https://ntfy.sh", description="URL of the server.")
    token: SecretText | None = Field(None, description="Access token.")
    username: Line | None = Field(None, description="User name, instead of a token.")
    password: SecretText | None = Field(None, description="Password of that user.")

    title: TemplateText | None = Field(None, description="Template of the title.")
    message: TemplateText | None = Field(None, description="Template of the message.")

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise InvalidValue("give username and password, or neither")
        if self.token is not None and self.username is not None:
            raise InvalidValue("give token or username, not both")
        return self


class NtfyNotifier(Notifier):
    """One push message per message."""

    Options = NtfyOptions

    def __init__(self, options: NtfyOptions) -> None:
        super().__init__(options)
        secrets = [options.topic.reveal()]
        self._headers: dict[str, str] = {}
        if options.token is not None:
            secrets.append(options.token.reveal())
            self._headers["Authorization"] = f"Bearer {options.token.reveal()}"
        if options.username is not None and options.password is not None:
            pair = f"{options.username}:{options.password.reveal()}"
            secrets += [options.password.reveal(), pair]
            self._headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        self._http = HttpClient(options, secrets)

    def deliver(self, message: Message) -> str:
        body = {"topic": self.options.topic.reveal(), **push_of(message, self.options.title, self.options.message)}
        answer = self._http.send("POST", f"{self.options.server}/", key=message.key, json=body, headers=self._headers)
        return f"{answer.status} ok"

    def endpoints(self) -> Sequence[Endpoint]:
        return (endpoint_of(self.options.server),)


def push_of(message: Message, title: Template | None = None, text: Template | None = None) -> dict[str, Any]:
    """All but the topic."""
    facts, site = message.first, message.site
    alone = len(message.alerts) == 1
    named = links(facts, site) if alone else []
    click = named[0].value if alone else f"{site.url}/"
    push: dict[str, Any] = {
        "title": shorten(one_line(worded(title, message, headline(message))), _MAX_TITLE, utf8),
        "message": "",
        "priority": _PRIORITY_RESOLVED if message.is_resolved else _PRIORITIES[message.severity],
        "tags": ["green_circle" if message.is_resolved else _TAGS.get(facts.status, "white_circle")],
        "click": click,
        "actions": [{"action": "view", "label": link.label, "url": link.value} for link in named],
    }
    # The escapes of JSON count as well: should they be too many, the message gets shorter.
    for room in (_MAX_MESSAGE, _MAX_MESSAGE // 2, _MAX_MESSAGE // 4):
        push["message"] = shorten(readable(worded(text, message, _text(message, room))), room, utf8)
        if utf8(json.dumps(push, ensure_ascii=False)) <= _MAX_BODY:
            break
    return push


def _text(message: Message, room: int) -> str:
    if len(message.alerts) > 1:
        rows = [brief(facts, message) for facts in message.alerts[:LISTED]]
        return shorten("\n".join([*rows, more(message)]).strip(), room, utf8)
    facts = message.first
    rows = [f"{line.label}: {line.value}" for line in lines(facts, message)]
    text = shorten("\n".join([description_of(facts, message), *rows]).strip(), room, utf8)
    output = tail(output_of(facts, message), max(0, room - utf8(f"{text}\n\n")), utf8)
    return f"{text}\n\n{output}" if output else text
