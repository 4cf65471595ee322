"""Discord, by a channel's webhook: the headline as text, which phones show, and the facts in coloured embeds.

Limits: 2,000 characters of text, 4,096 an embed's description, 6,000 in all embeds together, 10 embeds. It is asked to
answer only when the message stands in the channel (`wait`), and no text in it can call anybody (`allowed_mentions`).
"""

import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from exporter.config.alert_models import NotifierOptions
from exporter.config.fields import Line, SecretUrl, Url
from exporter.core.errors import InvalidValue
from exporter.notify.notifier import Notifier
from exporter.notify.templates import TEMPLATE, Template, read_template, worded
from exporter.notify.transport.http import HttpClient
from exporter.presentation.describe import (
    brief,
    color,
    description_of,
    headline,
    icon,
    is_detailed,
    lines,
    links,
    listing,
    output_of,
    particulars,
)
from exporter.presentation.message import AlertSnapshot, Message
from exporter.presentation.moments import rfc3339
from exporter.presentation.text import shorten, tail, utf16

LONGEST_CONTENT, LONGEST_DESCRIPTION = 2_000, 4_096
_ROOM = 5_400
"""Characters of all descriptions together, with some to spare."""
_HEADLINE, _VALUE = 1_000, 120
_MARKUP = re.compile(r"[\\*_~`|<\[\]]|^(?:[#>-])", re.MULTILINE)
_URL = re.compile(r"https?://[^\s()<>\[\]*~`|\\]+")
_VERSION = re.compile(r"^/api/(?=webhooks/)")


def escape(text: str) -> str:
    """For Discord's Markdown. A URL stays one: within a link nothing is escaped."""
    if _URL.fullmatch(text):
        return text
    return _MARKUP.sub(r"\\\g<0>", text)


def _allowed(name: str) -> str:
    if not name or len(name) > 80 or re.search("discord|clyde", name, re.IGNORECASE):
        raise InvalidValue("must have 1 to 80 characters and contain neither 'discord' nor 'clyde'")
    return name


MarkdownTemplate = Annotated[Template, read_template(escape=escape), *TEMPLATE]


class DiscordOptions(NotifierOptions):
    url: SecretUrl = Field(description="URL of the webhook; append `?thread_id=…` to post into a thread.")
    username: Annotated[Line, AfterValidator(_allowed)] | None = Field(
        None, description="Name to post under, instead of the webhook's own."
    )
    avatar_url: Url | None = Field(None, description="URL of the picture to post with.")
    title: MarkdownTemplate | None = Field(None, description="Template in Markdown, instead of the headline.")
    text: MarkdownTemplate | None = Field(None, description="Template in Markdown, instead of the details.")


class DiscordNotifier(Notifier):
    Options = DiscordOptions

    def __init__(self, options: DiscordOptions) -> None:
        super().__init__(options)
        self._url = address(options.url.reveal())
        self._http = HttpClient(options, [options.url.reveal(), self._url])

    def deliver(self, message: Message) -> str:
        answer = self._http.send("POST", self._url, key=message.key, json=payload(message, self.options))
        return f"{answer.status}, posted"


def address(url: str) -> str:
    """Without a version in it Discord speaks one that it gave up, in which waits are told in milliseconds."""
    parts = urlsplit(url)
    query = f"{parts.query}&wait=true" if parts.query else "wait=true"
    return parts._replace(path=_VERSION.sub("/api/v10/", parts.path), query=query, fragment="").geturl()


def payload(message: Message, options: DiscordOptions) -> dict[str, Any]:
    title = worded(options.title, message, f"{icon(message)} **{_fit(headline(message), _HEADLINE)}**")
    if options.text is not None:
        own = shorten(worded(options.text, message, ""), LONGEST_DESCRIPTION, utf16)
        embeds = [_embed(message, None, own)] if own else []
    elif is_detailed(message):
        embeds = [_embed(message, facts, _in_full(facts, message)) for facts in message.alerts]
    else:
        embeds = [_embed(message, None, _list(message))]
    found: dict[str, Any] = {
        "content": shorten(title, LONGEST_CONTENT, utf16),
        "embeds": embeds,
        "allowed_mentions": {"parse": []},
    }
    if options.username is not None:
        found["username"] = options.username
    if options.avatar_url is not None:
        found["avatar_url"] = options.avatar_url
    return found


def _embed(message: Message, facts: AlertSnapshot | None, description: str) -> dict[str, Any]:
    bar = int(color(message, facts).removeprefix("#"), 16)
    return {"color": bar, "description": description, "timestamp": rfc3339(message.owed_at)}


def _in_full(facts: AlertSnapshot, message: Message) -> str:
    alone = len(message.alerts) == 1
    room = min(LONGEST_DESCRIPTION, _ROOM // len(message.alerts))
    told = [
        f"**{line.label}:** {_fit(line.value, _VALUE if not alone else 2 * _VALUE)}"
        for line in (particulars if alone else lines)(facts, message)
    ]
    told.append(" · ".join(f"[{link.label}]({link.value})" for link in links(facts, message.site)))
    room -= utf16("\n".join(told)) + 2
    description, output = description_of(facts, message), output_of(facts, message)
    if description:
        description = _fit(description, room // 2)
        told.insert(0, description)
        room -= utf16(description) + 1
    if output:
        fence = "\n```\n```"
        told.insert(-1, f"```\n{tail(output.replace('```', chr(39) * 3), room - len(fence), utf16)}\n```")
    return "\n".join(told)


def _list(message: Message) -> str:
    def write(facts: AlertSnapshot) -> str:
        return f"{icon(message, facts)} {_fit(brief(facts, message), 2 * _VALUE)}"

    told = listing(message, write, LONGEST_DESCRIPTION - 500, utf16)
    return "\n".join([*told, f"[All monitors]({message.site.url}/)"])


def _fit(text: str, limit: int) -> str:
    """Escaped, and at most `limit` long then."""
    return escape(shorten(text, limit, lambda part: utf16(escape(part))))
