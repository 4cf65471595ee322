"""One pass removes secrets from what receivers return, for HTTP and SMTP alike."""

import html
import json
from base64 import b64encode
from urllib.parse import quote

import pytest

from exporter.notify.transport.redaction import HIDDEN, MAX_SHOWN, Redaction

SECRET = 'se same/"ö&'
URL = "https://anna:pass%20word@hooks.example.org/T0000000/B0000000?token=abcdef%2F1"


@pytest.mark.parametrize(
    "echo",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        html.escape(SECRET),
        b64encode(SECRET.encode()).decode(),
    ],
)
def test_every_spelling_is_hidden(echo: str) -> None:
    assert Redaction([SECRET]).shown(f"<{echo}> is wrong") == f"<{HIDDEN}> is wrong"


@pytest.mark.parametrize("piece", ["T0000000", "/T0000000/B0000000?token=abcdef%2F1", "abcdef/1", "pass word"])
def test_every_part_of_a_secret_url_is_hidden(piece: str) -> None:
    assert Redaction([URL]).shown(f"no {piece} here") == f"no {HIDDEN} here"


def test_texts_are_short_and_in_one_line() -> None:
    assert Redaction([]).shown("\x1b[31mtwo\x1b[0m\r\nlines\x00") == "two lines"
    assert len(Redaction([]).shown("word " * 100)) <= MAX_SHOWN
    assert Redaction(["ab", "half \ud83d", "http://[broken"]).shown("about") == "about"
