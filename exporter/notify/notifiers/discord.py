"""Discord, by a channel's webhook: the headline as text, which phones show, and the alerts in coloured embeds.

Limits: 2,000 characters of text, 4,096 in an embed's description, 6,000 in all embeds together, 10 embeds. With `wait`
Discord answers only when the channel shows the message; `allowed_mentions` keeps texts from mentioning people.
"""

import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from exporter.config.fields import Line, SecretUrl, Url
from exporter.core.errors import InvalidValue
from exporter.notify.chat import AlertDetails, ChatNotifier, ChatOptions, Section
from exporter.notify.templates import TEMPLATE, Template, read_template
from exporter.notify.transport.http import HttpResponse
from exporter.presentation.describe import brief, color, headline, icon, listing
from exporter.presentation.message import AlertSnapshot, Message
from exporter.presentation.moments import rfc3339
from exporter.presentation.text import shorten, tail, utf16

MAX_CONTENT, MAX_DESCRIPTION = 2_000, 4_096
_ROOM = 5_400
"""Characters of all descriptions together, with some to spare."""
_HEADLINE, _VALUE = 1_000, 120
_MARKUP = re.compile(r"[\\*_~`|<\[\]]|^(?:[#>-])", re.MULTILINE)
_URL = re.compile(r"https?://[^\s()<>\[\]*~`|\\]+")
_VERSION = re.compile(r"^/api/(?=webhooks/)")


def escape(text: str) -> str:
    """For Discord's Markdown. A URL stays as it is: Discord reads no escapes within a link."""
    if _URL.fullmatch(text):
        return text
    return _MARKUP.sub(r"\\\g<0>", text)


def _allowed(name: str) -> str:
    if not name or len(name) > 80 or re.search("discord|clyde", name, re.IGNORECASE):
        raise InvalidValue("must have 1 to 80 characters and contain neither 'discord' nor 'clyde'")
    return name


MarkdownTemplate = Annotated[Template, read_template(escape=escape), *TEMPLATE]


class DiscordOptions(ChatOptions):
    url: SecretUrl = Field(description="URL of the webhook; append `?thread_id=…` to post into a thread.")
    username: Annotated[Line, AfterValidator(_allowed)] | None = Field(
        None, description="Name to post under, instead of the webhook's own."
    )
    avatar_url: Url | None = Field(None, description="URL of the picture to post with.")
    title: MarkdownTemplate | None = Field(None, description="Template in Markdown, instead of the headline.")
    text: MarkdownTemplate | None = Field(None, description="Template in Markdown, instead of the details.")


class DiscordNotifier(ChatNotifier):
    Options = DiscordOptions

    def address(self, url: str) -> str:
        return address(url)

    def confirm(self, answer: HttpResponse) -> str:
        return f"{answer.status}, posted"

    def title(self, message: Message) -> str:
        return f"{icon(message)} **{_fit(headline(message), _HEADLINE)}**"

    def custom(self, text: str, message: Message) -> list[Section]:
        text = shorten(text, MAX_DESCRIPTION, utf16)
        return [_embed(message, None, text)] if text else []

    def detail(self, details: AlertDetails, message: Message) -> list[Section]:
        alone = len(message.alerts) == 1
        room = min(MAX_DESCRIPTION, _ROOM // len(message.alerts))
        rows = [f"**{line.label}:** {_fit(line.value, 2 * _VALUE if alone else _VALUE)}" for line in details.lines]
        rows.append(" · ".join(f"[{link.label}]({link.value})" for link in details.links))
        room -= utf16("\n".join(rows)) + 2
        if details.description:
            description = _fit(details.description, room // 2)
            rows.insert(0, description)
            room -= utf16(description) + 1
        if details.output:
            fence = "\n```\n```"
            output = tail(details.output.replace("```", "'''"), room - len(fence), utf16)
            rows.insert(-1, f"```\n{output}\n```")
        return [_embed(message, details.alert, "\n".join(rows))]

    def listing(self, message: Message) -> list[Section]:
        def write(alert: AlertSnapshot) -> str:
            return f"{icon(message, alert)} {_fit(brief(alert, message), 2 * _VALUE)}"

        rows = listing(message, write, MAX_DESCRIPTION - 500, utf16)
        return [_embed(message, None, "\n".join([*rows, f"[All monitors]({message.site.url}/)"]))]

    def compose(self, title: str, sections: list[Section], message: Message) -> dict[str, Any]:
        sender = {"username": self.options.username, "avatar_url": self.options.avatar_url}
        return {
            "content": shorten(title, MAX_CONTENT, utf16),
            "embeds": sections,
            "allowed_mentions": {"parse": []},
            **{key: value for key, value in sender.items() if value is not None},
        }


def _embed(message: Message, alert: AlertSnapshot | None, description: str) -> Section:
    bar = int(color(message, alert).removeprefix("#"), 16)
    return {"color": bar, "description": description, "timestamp": rfc3339(message.enqueued_at)}


def address(url: str) -> str:
    """Adds a version and `wait`. Without a version Discord uses a deprecated one, whose waits are in milliseconds."""
    parts = urlsplit(url)
    query = f"{parts.query}&wait=true" if parts.query else "wait=true"
    return parts._replace(path=_VERSION.sub("/api/v10/", parts.path), query=query, fragment="").geturl()


def _fit(text: str, limit: int) -> str:
    """Escapes the text, cut so that the result has at most `limit` characters."""
    return escape(shorten(text, limit, lambda part: utf16(escape(part))))
