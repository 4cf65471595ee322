"""Telegram, by a bot. The bot's token is part of the URL, which is shown nowhere."""

import re
from html import escape, unescape
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StrictInt, StrictStr, WithJsonSchema

from exporter.config.alert_models import NotifierOptions
from exporter.config.fields import SecretText, Url
from exporter.config.settings import Secret
from exporter.core.errors import InvalidValue
from exporter.notify.notifier import Notifier
from exporter.notify.templates import HtmlTemplateText, worded
from exporter.notify.transport.http import HttpClient
from exporter.presentation.describe import LISTED, brief, description_of, headline, icon, lines, links, more, output_of
from exporter.presentation.message import Message
from exporter.presentation.text import shorten, tail, utf16

_MAX_LENGTH = 4096
"""UTF-16 units that a reader sees; tags and entities do not count."""
_MAX_HEADLINE = 600
_MAX_DESCRIPTION = 1500
_MAX_LINE = 250
_MAX_REST = 60
"""Of `… and 480 more`."""
_TAG = re.compile(r"<[^<>]*>")
_TOKEN = re.compile(r"[0-9]+:[A-Za-z0-9_-]+")
_CHAT = re.compile(r"-?[0-9]{1,20}|@[A-Za-z0-9_]{3,64}")


def _token(secret: Secret) -> Secret:
    if not _TOKEN.fullmatch(secret.reveal()):
        raise InvalidValue("must be a bot token as issued by BotFather: digits, ':' and letters")
    return secret


def _chat(chat: int | str) -> str:
    if not _CHAT.fullmatch(str(chat)):
        raise InvalidValue("must be the number of a chat or the @name of a channel")
    return str(chat)


class TelegramOptions(NotifierOptions):
    """Telegram."""

    token: Annotated[SecretText, AfterValidator(_token)] = Field(description="Token of the bot.")
    chat_id: Annotated[
        StrictInt | StrictStr, AfterValidator(_chat), WithJsonSchema({"type": ["integer", "string"]})
    ] = Field(description="Number of the chat, negative for groups, or `@name` of the channel.")
    message_thread_id: Annotated[StrictInt, Field(ge=1)] | None = Field(None, description="Number of a forum topic.")
    text: HtmlTemplateText | None = Field(
        None, description="Template of the message in Telegram's HTML; values are escaped."
    )
    url: Url = Field("https://api.telegram.org", description="URL of the Bot API, if you run your own server.")


class TelegramNotifier(Notifier):
    """One message per message."""

    Options = TelegramOptions

    def __init__(self, options: TelegramOptions) -> None:
        super().__init__(options)
        token = options.token.reveal()
        self._http = HttpClient(options, [token, token.partition(":")[2]])
        self._url = f"{options.url}/bot{token}/sendMessage"

    def deliver(self, message: Message) -> str:
        body: dict[str, Any] = {
            "chat_id": self.options.chat_id,
            "text": self._text(message),
            "parse_mode": "HTML",
            "link_preview_options": {"is_disabled": True},
        }
        if self.options.message_thread_id is not None:
            body["message_thread_id"] = self.options.message_thread_id
        answer = self._http.send("POST", self._url, key=message.key, json=body)
        return f"{answer.status} ok"

    def _text(self, message: Message) -> str:
        text = worded(self.options.text, message, text_of(message))
        # Cut, it might end in the middle of a tag.
        return text if 0 < utf16(visible(text).strip()) <= _MAX_LENGTH else text_of(message)


def visible(html: str) -> str:
    """What is left of Telegram's HTML for a reader."""
    return unescape(_TAG.sub("", html))


def text_of(message: Message) -> str:
    """In Telegram's HTML."""
    title = shorten(f"{icon(message)} {headline(message)}", _MAX_HEADLINE, utf16)
    room = _MAX_LENGTH - utf16(title) - 2
    body = _one(message, room) if len(message.alerts) == 1 else _several(message, room)
    return f"<b>{_safe(title)}</b>\n\n{body}"


def _one(message: Message, room: int) -> str:
    facts = message.first
    named = links(facts, message.site)
    left = room - utf16(" · ".join(link.label for link in named)) - 2
    parts = []
    description = shorten(description_of(facts, message), _MAX_DESCRIPTION, utf16)
    if description:
        parts.append(_safe(description))
        left -= utf16(description) + 1
    for line in lines(facts, message):
        left -= utf16(f"{line.label}: {line.value}\n")
        if left < 0:
            break
        parts.append(f"<b>{_safe(line.label)}:</b> {_safe(line.value)}")
    output = tail(output_of(facts, message), max(0, left - 1), utf16)
    if output:
        parts.append(f"<pre>{_safe(output)}</pre>")
    parts += ["", " · ".join(_link(link.label, link.value) for link in named)]
    return "\n".join(parts)


def _several(message: Message, room: int) -> str:
    """A line for each, as far as they fit."""
    site = message.site
    left = room - _MAX_REST
    parts = []
    for facts in message.alerts[:LISTED]:
        row = shorten(f"{icon(message, facts)} {brief(facts, message)}", _MAX_LINE, utf16)
        left -= utf16(row) + 1
        if left < 0:
            break
        parts.append(_link(row, site.monitor_url(facts.tag)))
    beyond = more(message, len(parts))
    if beyond:
        parts.append(_link(beyond, f"{site.url}/"))
    return "\n".join(parts)


def _link(text: str, url: str) -> str:
    return f'<a href="{escape(url)}">{_safe(text)}</a>'


def _safe(text: str) -> str:
    return escape(text, quote=False)
