"""Telegram's limits and its kind of HTML, as the documentation of the Bot API has them."""

import re
from html.parser import HTMLParser
from typing import Any

from exporter.presentation.text import utf16
from tests.notify.entries import Entry
from tests.support.receivers import Received, answer

TOKEN = "123456789:AAbot-token_of-the-test"


class _Strict(HTMLParser):
    """Only tags that Telegram knows, and each closed in its turn."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.shown = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        assert tag in ("b", "i", "a", "pre"), tag
        assert [name for name, _ in attrs] == (["href"] if tag == "a" else [])
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.shown += data


def shown(html: str) -> str:
    """What a reader sees of `html`, which has to be Telegram's."""
    # Four entities are known by name, and all by number.
    assert {*re.findall(r"&(?!#)(\w+);", html)} <= {"lt", "gt", "amp", "quot"}
    parser = _Strict()
    parser.feed(html)
    parser.close()
    assert not parser.open
    return parser.shown


def check(request: Received) -> None:
    assert (request.method, request.target) == ("POST", f"/bot{TOKEN}/sendMessage")
    body = request.json
    assert body["chat_id"] == "-100123"
    assert body["parse_mode"] == "HTML"
    assert body["link_preview_options"] == {"is_disabled": True}
    text = shown(body["text"])
    assert text.strip()
    assert utf16(text) <= 4096


ENTRY = Entry(
    options=lambda url: {"url": url, "token": TOKEN, "chat_id": -100123},
    secrets=(TOKEN, TOKEN.partition(":")[2]),
    check=check,
    accepted=answer(200, '{"ok":true,"result":{"message_id":1}}'),
)
