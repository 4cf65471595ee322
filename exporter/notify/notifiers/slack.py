"""Slack, by an incoming webhook: the headline as text, which phones show, and the facts beside a coloured bar.

Limits: 50 blocks, 3,000 characters a text, and about 13,000 in all blocks together, which Slack says nowhere. Links
are links and not buttons: of a click on a button Slack tells somebody, and it shows a warning when nobody listens.
"""

from typing import Annotated, Any

from pydantic import Field

from exporter.config.alert_models import NotifierOptions
from exporter.config.fields import SecretUrl
from exporter.notify.notifier import Notifier
from exporter.notify.templates import TEMPLATE, Template, read_template, worded
from exporter.notify.transport.http import HttpClient
from exporter.presentation.describe import (
    color,
    description_of,
    headline,
    icon,
    is_detailed,
    lines,
    links,
    listing,
    name_of,
    outcome,
    output_of,
    particulars,
)
from exporter.presentation.message import AlertSnapshot, Message
from exporter.presentation.text import shorten, tail, utf16

LONGEST_TEXT = 3_000
LONGEST_BLOCKS = 12_000
_HEADLINE, _VALUE = 1_000, 250
_ROOM = {1: (1_500, 2_500), 2: (800, 1_200), 3: (500, 800)}
"""Characters for the description and the output of each alert, by the number of alerts."""


def escape(text: str) -> str:
    """For mrkdwn: without `<`, nothing in a text is a link, a mention or a call to the whole channel."""
    return _in_code(text.replace("`", "'"))


def _in_code(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


MrkdwnTemplate = Annotated[Template, read_template(escape=escape), *TEMPLATE]


class SlackOptions(NotifierOptions):
    url: SecretUrl = Field(description="URL of the incoming webhook.")
    title: MrkdwnTemplate | None = Field(None, description="Template in Slack's mrkdwn, instead of the headline.")
    text: MrkdwnTemplate | None = Field(None, description="Template in Slack's mrkdwn, instead of the details.")


class SlackNotifier(Notifier):
    Options = SlackOptions

    def __init__(self, options: SlackOptions) -> None:
        super().__init__(options)
        self._url = options.url.reveal()
        self._http = HttpClient(options, [self._url])

    def deliver(self, message: Message) -> str:
        answer = self._http.send("POST", self._url, key=message.key, json=payload(message, self.options))
        return f"{answer.status} {answer.text}".strip()


def payload(message: Message, options: SlackOptions) -> dict[str, Any]:
    title = worded(options.title, message, f"{icon(message)} *{_fit(headline(message), _HEADLINE)}*")
    if options.text is not None:
        own = shorten(worded(options.text, message, ""), LONGEST_TEXT, utf16)
        attachments = [_attachment(color(message), [_section(own)])] if own else []
    elif is_detailed(message):
        attachments = [_attachment(color(message, facts), _in_full(facts, message)) for facts in message.alerts]
    else:
        attachments = [_attachment(color(message), _list(message))]
    return {"text": shorten(title, LONGEST_TEXT, utf16), "attachments": attachments}


def _in_full(facts: AlertSnapshot, message: Message) -> list[dict[str, Any]]:
    alone = len(message.alerts) == 1
    description_room, output_room = _ROOM[len(message.alerts)]
    description, output = description_of(facts, message), output_of(facts, message)
    told = [f"*{line.label}:* {_fit(line.value, _VALUE)}" for line in (particulars if alone else lines)(facts, message)]
    blocks = [] if alone else [_section(f"*{_fit(name_of(facts), _VALUE)}*")]
    if description:
        blocks.append(_section(_fit(description, description_room)))
    blocks.append(_section("\n".join(told)))
    if output:
        kept = tail(output.replace("```", "'''"), output_room, lambda text: utf16(_in_code(text)))
        blocks.append(_section(f"```\n{_in_code(kept)}\n```"))
    pages = [f"<{_url(link.value)}|{link.label}>" for link in links(facts, message.site)]
    blocks.append({"type": "context", "elements": [_mrkdwn(" · ".join(pages))]})
    return blocks


def _list(message: Message) -> list[dict[str, Any]]:
    def write(facts: AlertSnapshot) -> str:
        linked = f"<{_url(message.site.monitor_url(facts.tag))}|{_fit(shorten(name_of(facts), 80), _VALUE)}>"
        return f"{icon(message, facts)} {linked}: {_fit(outcome(facts, message), _VALUE)}"

    blocks, part, size = [], list[str](), 0
    for line in listing(message, write, LONGEST_BLOCKS - 1_000, utf16):
        if size + utf16(line) + 1 > LONGEST_TEXT:
            blocks.append(_section("\n".join(part)))
            part, size = [], 0
        part.append(line)
        size += utf16(line) + 1
    blocks.append(_section("\n".join(part)))
    blocks.append({"type": "context", "elements": [_mrkdwn(f"<{_url(message.site.url)}/|All monitors>")]})
    return blocks


def _attachment(bar: str, blocks: list[dict[str, Any]]) -> dict[str, Any]:
    return {"color": bar, "blocks": blocks}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _mrkdwn(text), "expand": True}


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _fit(text: str, limit: int) -> str:
    """Escaped, and at most `limit` long then: cut before, so that no `&amp;` is cut in two."""
    return escape(shorten(text, limit, lambda part: utf16(escape(part))))


def _url(url: str) -> str:
    return escape(url).replace("|", "%7C")
