"""Slack, by an incoming webhook: the headline as text, which phones show, and the alerts beside a coloured bar.

Limits: 50 blocks, 3,000 characters a text, and about 13,000 in all blocks together, which Slack does not document.
Links are not buttons: Slack reports each click on a button to the webhook's app, and shows a warning if the app does
not answer.
"""

from typing import Annotated, Any

from pydantic import Field

from exporter.config.fields import SecretUrl
from exporter.notify.chat import AlertDetails, ChatNotifier, ChatOptions, Section
from exporter.notify.templates import TEMPLATE, Template, read_template
from exporter.presentation.describe import color, headline, icon, listing, name_of, outcome
from exporter.presentation.message import AlertSnapshot, Message
from exporter.presentation.text import shorten, tail, utf16

MAX_TEXT = 3_000
MAX_BLOCKS = 12_000
"""Characters of all blocks together."""
_HEADLINE, _VALUE = 1_000, 250
_ROOM = {1: (1_500, 2_500), 2: (800, 1_200), 3: (500, 800)}
"""Characters for the description and the output of each alert, by the number of alerts."""


def escape(text: str) -> str:
    """For mrkdwn: without `<`, nothing in a text is a link, a mention or a call to the whole channel."""
    return _in_code(text.replace("`", "'"))


def _in_code(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


MrkdwnTemplate = Annotated[Template, read_template(escape=escape), *TEMPLATE]


class SlackOptions(ChatOptions):
    url: SecretUrl = Field(description="URL of the incoming webhook.")
    title: MrkdwnTemplate | None = Field(None, description="Template in Slack's mrkdwn, instead of the headline.")
    text: MrkdwnTemplate | None = Field(None, description="Template in Slack's mrkdwn, instead of the details.")


class SlackNotifier(ChatNotifier):
    Options = SlackOptions

    def title(self, message: Message) -> str:
        return f"{icon(message)} *{_fit(headline(message), _HEADLINE)}*"

    def custom(self, text: str, message: Message) -> list[Section]:
        text = shorten(text, MAX_TEXT, utf16)
        return [_attachment(color(message), [_section(text)])] if text else []

    def detail(self, details: AlertDetails, message: Message) -> list[Section]:
        description_room, output_room = _ROOM[len(message.alerts)]
        blocks = [_section(f"*{_fit(details.heading, _VALUE)}*")] if details.heading else []
        if details.description:
            blocks.append(_section(_fit(details.description, description_room)))
        blocks.append(_section("\n".join(f"*{line.label}:* {_fit(line.value, _VALUE)}" for line in details.lines)))
        if details.output:
            end = tail(details.output.replace("```", "'''"), output_room, lambda text: utf16(_in_code(text)))
            blocks.append(_section(f"```\n{_in_code(end)}\n```"))
        pages = [f"<{_url(link.value)}|{link.label}>" for link in details.links]
        blocks.append({"type": "context", "elements": [_mrkdwn(" · ".join(pages))]})
        return [_attachment(color(message, details.alert), blocks)]

    def listing(self, message: Message) -> list[Section]:
        def write(alert: AlertSnapshot) -> str:
            linked = f"<{_url(message.site.monitor_url(alert.tag))}|{_fit(shorten(name_of(alert), 80), _VALUE)}>"
            return f"{icon(message, alert)} {linked}: {_fit(outcome(alert, message), _VALUE)}"

        blocks, part, size = [], list[str](), 0
        for line in listing(message, write, MAX_BLOCKS - 1_000, utf16):
            if size + utf16(line) + 1 > MAX_TEXT:
                blocks.append(_section("\n".join(part)))
                part, size = [], 0
            part.append(line)
            size += utf16(line) + 1
        blocks.append(_section("\n".join(part)))
        blocks.append({"type": "context", "elements": [_mrkdwn(f"<{_url(message.site.url)}/|All monitors>")]})
        return [_attachment(color(message), blocks)]

    def compose(self, title: str, sections: list[Section], message: Message) -> dict[str, Any]:
        return {"text": shorten(title, MAX_TEXT, utf16), "attachments": sections}


def _attachment(bar: str, blocks: list[Section]) -> Section:
    return {"color": bar, "blocks": blocks}


def _section(text: str) -> Section:
    return {"type": "section", "text": _mrkdwn(text), "expand": True}


def _mrkdwn(text: str) -> Section:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _fit(text: str, limit: int) -> str:
    """Escapes the text, cut so that the result has at most `limit` characters and no `&amp;` is cut in two."""
    return escape(shorten(text, limit, lambda part: utf16(escape(part))))


def _url(url: str) -> str:
    return escape(url).replace("|", "%7C")
