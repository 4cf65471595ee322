"""ntfy's limits: with 4,096 bytes a message turns into an attachment, and no more than 8,192 of JSON are read."""

from tests.notify.entries import Entry
from tests.support.receivers import Received, answer

TOPIC, TOKEN = "topic-of-the-test", "tk_token-of-the-test"


def check(request: Received) -> None:
    assert (request.method, request.target) == ("POST", "/")
    assert len(request.body) <= 8192
    push = request.json
    assert push["topic"] == TOPIC
    assert 0 < len(push["message"].encode()) < 4096
    assert 0 < len(push["title"].encode()) <= 200
    assert "\n" not in push["title"]
    assert push["priority"] in range(1, 6)
    assert push["click"].startswith("https://")
    assert len(push["actions"]) <= 3
    for action in push["actions"]:
        assert action["action"] == "view"
        assert action["label"]
        assert action["url"].startswith("https://")


ENTRY = Entry(
    options=lambda url: {"server": url, "topic": TOPIC, "token": TOKEN},
    secrets=(TOPIC, TOKEN),
    check=check,
    accepted=answer(200, '{"id":"x","event":"message"}'),
)
