"""Discord's limits, as its documentation of webhooks and embeds has them."""

import re

from exporter.presentation.text import utf16
from tests.notify.entries import Entry
from tests.support.receivers import Received, answer

TOKEN = "123456789012345678/abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789"


def check(request: Received) -> None:
    path, _, query = request.target.partition("?")
    assert path.endswith(f"/api/v10/webhooks/{TOKEN}")
    assert query == "wait=true"
    body = request.json
    assert body.keys() == {"content", "embeds", "allowed_mentions", "username", "avatar_url"}
    assert body["allowed_mentions"] == {"parse": []}
    assert 1 <= utf16(body["content"]) <= 2_000
    assert 1 <= len(body["embeds"]) <= 10
    together = 0
    for embed in body["embeds"]:
        assert embed.keys() == {"color", "description", "timestamp"}
        assert 0 <= embed["color"] <= 0xFFFFFF
        assert 1 <= utf16(embed["description"]) <= 4_096
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", embed["timestamp"])
        assert embed["description"].count("```") in (0, 2)
        together += utf16(embed["description"])
    assert together <= 6_000


ENTRY = Entry(
    options=lambda url: {
        "url": f"{url}/api/webhooks/{TOKEN}",
        "username": "Heartbeats",
        "avatar_url": "https://example.org/heart.png",
    },
    secrets=(TOKEN, *TOKEN.split("/")),
    check=check,
    accepted=answer(200, '{"id": "1", "content": "…"}'),
)
