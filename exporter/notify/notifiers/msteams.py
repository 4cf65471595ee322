"""Microsoft Teams, by a workflow "when a webhook request is received": an adaptive card.

Limit: 28 kB the message. All texts go into RichTextBlocks: of those nobody takes anything for Markdown, on no device.
"""

import json
from typing import Any

from pydantic import Field

from exporter.config.alert_models import NotifierOptions
from exporter.config.fields import SecretUrl
from exporter.core.status import Status
from exporter.notify.notifier import Notifier
from exporter.notify.templates import TemplateText, worded
from exporter.notify.transport.http import HttpClient
from exporter.presentation.describe import (
    brief,
    description_of,
    headline,
    icon,
    is_detailed,
    lines,
    links,
    listing,
    name_of,
    output_of,
    particulars,
)
from exporter.presentation.message import AlertSnapshot, Message
from exporter.presentation.text import shorten, tail, utf8

LARGEST = 28 * 1024
_HEADLINE, _VALUE, _OWN = 600, 250, 6_000
_ROOM = {1: (2_500, 4_000), 2: (1_000, 1_500), 3: (600, 900)}
"""Bytes for the description and the output of each alert, by the number of alerts."""
_COLORS = {Status.DOWN: "attention", Status.DEGRADED: "warning"}

Element = dict[str, Any]


class TeamsOptions(NotifierOptions):
    url: SecretUrl = Field(description="URL of the workflow.")
    title: TemplateText | None = Field(None, description="Plain-text template, instead of the headline.")
    text: TemplateText | None = Field(None, description="Plain-text template, instead of the details.")


class TeamsNotifier(Notifier):
    Options = TeamsOptions

    def __init__(self, options: TeamsOptions) -> None:
        super().__init__(options)
        self._url = options.url.reveal()
        self._http = HttpClient(options, [self._url])

    def deliver(self, message: Message) -> str:
        answer = self._http.send("POST", self._url, key=message.key, json=payload(message, self.options))
        return f"{answer.status} {answer.text}".strip()


def payload(message: Message, options: TeamsOptions) -> dict[str, Any]:
    title = shorten(worded(options.title, message, f"{icon(message)} {headline(message)}"), _HEADLINE, _size)
    body = [_text(title, weight="bolder", size="medium", color=_color(message))]
    if options.text is not None:
        own = shorten(worded(options.text, message, ""), _OWN, _size)
        body += [_text(line, tight=True) for line in own.split("\n")[:60]]
    elif is_detailed(message):
        for facts in message.alerts:
            body += _in_full(facts, message)
    else:
        told = listing(message, lambda facts: f"{icon(message, facts)} {_fit(brief(facts, message))}", 12_000, _size)
        body += [_text(line, tight=True) for line in told]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": body,
        "actions": _actions(message),
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "summary": title, "attachments": [attachment]}


def _in_full(facts: AlertSnapshot, message: Message) -> list[Element]:
    alone = len(message.alerts) == 1
    description_room, output_room = _ROOM[len(message.alerts)]
    description, output = description_of(facts, message), output_of(facts, message)
    found = [] if alone else [{**_text(_fit(name_of(facts)), weight="bolder"), "separator": True}]
    if description:
        told = shorten(description, description_room, _size).split("\n")
        found += [_text(line, tight=index > 0) for index, line in enumerate(told[:15])]
    for index, line in enumerate((particulars if alone else lines)(facts, message)):
        runs = [_run(f"{line.label}: ", weight="bolder"), _run(_fit(line.value))]
        found.append(_block(runs, tight=index > 0))
    if output:
        kept = tail(output, output_room, _size).replace("\t", "    ").split("\n")
        # Spaces at the beginning of a line would be left out.
        shown = [(len(line) - len(line.lstrip(" "))) * "\u00a0" + line.lstrip(" ") for line in kept]
        items = [_text(line, tight=True, fontType="monospace", size="small") for line in shown]
        found.append({"type": "Container", "style": "emphasis", "items": items})
    return found


def _actions(message: Message) -> list[Element]:
    pages = links(message.first, message.site) if len(message.alerts) == 1 else []
    told = [(link.label, link.value) for link in pages] or [("All monitors", f"{message.site.url}/")]
    return [{"type": "Action.OpenUrl", "title": title, "url": url} for title, url in told]


def _color(message: Message) -> str:
    if message.is_resolved:
        return "good" if icon(message) == "🟢" else "default"
    return _COLORS.get(message.first.status, "default")


def _text(text: str, *, tight: bool = False, **style: str) -> Element:
    return _block([_run(text, **style)], tight=tight)


def _block(runs: list[Element], *, tight: bool) -> Element:
    return {"type": "RichTextBlock", "inlines": runs, **({"spacing": "none"} if tight else {})}


def _run(text: str, **style: str) -> Element:
    """An empty line needs something to stand on."""
    return {"type": "TextRun", "text": text or "\u00a0", **style}


def _fit(text: str) -> str:
    return shorten(text, _VALUE, _size)


def _size(text: str) -> int:
    """In bytes, as it will stand in the message."""
    return utf8(json.dumps(text, ensure_ascii=False)) - 2
