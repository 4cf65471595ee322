"""Slack's limits, as its documentation of Block Kit has them."""

import re
from typing import Any

from exporter.presentation.text import utf16
from tests.notify.entries import Entry
from tests.support.receivers import Received, answer

TOKEN = "T01234567/B01234567/abcdefghijklmnopqrstuvwx"
_LINK = re.compile(r"<(https?://[^<>|\s]+)\|[^<>]+>")
MAX_TOGETHER = 13_000


def check(request: Received) -> None:
    assert request.method == "POST"
    body = request.json
    assert body.keys() == {"text", "attachments"}
    together = _mrkdwn(body["text"], 3_000)
    assert len(body["attachments"]) <= 20
    for attachment in body["attachments"]:
        assert attachment.keys() == {"color", "blocks"}
        assert re.fullmatch("#[0-9a-f]{6}", attachment["color"])
        assert 1 <= len(attachment["blocks"]) <= 50
        for block in attachment["blocks"]:
            match block["type"]:
                case "section":
                    together += _object(block["text"])
                case "context":
                    assert 1 <= len(block["elements"]) <= 10
                    together += sum(map(_object, block["elements"]))
                case other:
                    raise AssertionError(other)
    assert together < MAX_TOGETHER


def _object(text: dict[str, Any]) -> int:
    assert text["type"] == "mrkdwn"
    assert text["verbatim"] is True
    return _mrkdwn(text["text"], 3_000)


def _mrkdwn(text: str, limit: int) -> int:
    assert text.strip()
    assert utf16(text) <= limit
    rest = _LINK.sub("", text)
    assert not set("<>") & set(rest), "what is no link of ours is no markup at all"
    assert not re.search("&(?!amp;|lt;|gt;)", rest)
    assert text.count("```") in (0, 2)
    return utf16(text)


ENTRY = Entry(
    options=lambda url: {"url": f"{url}/services/{TOKEN}"},
    secrets=(TOKEN, *TOKEN.split("/")),
    check=check,
    accepted=answer(200, "ok"),
)
