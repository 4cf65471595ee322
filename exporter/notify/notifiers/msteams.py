"""Microsoft Teams, by a workflow "when a webhook request is received": an adaptive card.

Limit: 28 kB for a message. All texts go into RichTextBlocks, which no client of Teams reads as Markdown.
"""

import json
from typing import Any

from pydantic import Field

from exporter.config.fields import SecretUrl
from exporter.core.status import Status
from exporter.notify.chat import AlertDetails, ChatNotifier, ChatOptions, Section
from exporter.presentation.describe import brief, headline, icon, links, listing
from exporter.presentation.message import Message
from exporter.presentation.text import shorten, tail, utf8

MAX_BYTES = 28 * 1024
_HEADLINE, _VALUE, _OWN = 600, 250, 6_000
_ROOM = {1: (2_500, 4_000), 2: (1_000, 1_500), 3: (600, 900)}
"""Bytes for the description and the output of each alert, by the number of alerts."""
_COLORS = {Status.DOWN: "attention", Status.DEGRADED: "warning"}


class TeamsOptions(ChatOptions):
    url: SecretUrl = Field(description="URL of the workflow.")


class TeamsNotifier(ChatNotifier):
    Options = TeamsOptions

    def title(self, message: Message) -> str:
        return f"{icon(message)} {headline(message)}"

    def custom(self, text: str, message: Message) -> list[Section]:
        return [_text(line, tight=True) for line in shorten(text, _OWN, _size).split("\n")[:60]]

    def detail(self, details: AlertDetails, message: Message) -> list[Section]:
        description_room, output_room = _ROOM[len(message.alerts)]
        elements = []
        if details.heading:
            elements.append({**_text(_fit(details.heading), weight="bolder"), "separator": True})
        if details.description:
            description = shorten(details.description, description_room, _size).split("\n")
            elements += [_text(line, tight=index > 0) for index, line in enumerate(description[:15])]
        for index, line in enumerate(details.lines):
            runs = [_run(f"{line.label}: ", weight="bolder"), _run(_fit(line.value))]
            elements.append(_block(runs, tight=index > 0))
        if details.output:
            elements.append(_output(tail(details.output, output_room, _size)))
        return elements

    def listing(self, message: Message) -> list[Section]:
        rows = listing(message, lambda alert: f"{icon(message, alert)} {_fit(brief(alert, message))}", 12_000, _size)
        return [_text(row, tight=True) for row in rows]

    def compose(self, title: str, sections: list[Section], message: Message) -> dict[str, Any]:
        title = shorten(title, _HEADLINE, _size)
        card = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "msteams": {"width": "Full"},
            "body": [_text(title, weight="bolder", size="medium", color=_color(message)), *sections],
            "actions": _actions(message),
        }
        attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
        return {"type": "message", "summary": title, "attachments": [attachment]}


def _output(text: str) -> Section:
    """A box of monospaced lines. Teams removes spaces at the beginning of a line, so they become no-break spaces."""
    rows = text.replace("\t", "    ").split("\n")
    shown = [(len(row) - len(row.lstrip(" "))) * "\u00a0" + row.lstrip(" ") for row in rows]
    items = [_text(row, tight=True, fontType="monospace", size="small") for row in shown]
    return {"type": "Container", "style": "emphasis", "items": items}


def _actions(message: Message) -> list[Section]:
    pages = links(message.first, message.site) if len(message.alerts) == 1 else []
    buttons = [(link.label, link.value) for link in pages] or [("All monitors", f"{message.site.url}/")]
    return [{"type": "Action.OpenUrl", "title": title, "url": url} for title, url in buttons]


def _color(message: Message) -> str:
    if message.is_resolved:
        return "good" if icon(message) == "🟢" else "default"
    return _COLORS.get(message.first.status, "default")


def _text(text: str, *, tight: bool = False, **style: str) -> Section:
    return _block([_run(text, **style)], tight=tight)


def _block(runs: list[Section], *, tight: bool) -> Section:
    return {"type": "RichTextBlock", "inlines": runs, **({"spacing": "none"} if tight else {})}


def _run(text: str, **style: str) -> Section:
    """An empty text becomes a no-break space: Teams shows no line for an empty run."""
    return {"type": "TextRun", "text": text or "\u00a0", **style}


def _fit(text: str) -> str:
    return shorten(text, _VALUE, _size)


def _size(text: str) -> int:
    """Bytes of the text in the JSON of the message."""
    return utf8(json.dumps(text, ensure_ascii=False)) - 2
