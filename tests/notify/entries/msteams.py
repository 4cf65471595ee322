"""What a Teams workflow takes: an adaptive card in a message of at most 28 kB."""

from typing import Any

from tests.notify.entries import Entry
from tests.support.receivers import Received, answer

SIGNATURE = "sig-abcdefghijklmnopqrstuvwxyz0123456789"
WORKFLOW = "0123456789abcdef0123456789abcdef"
_STYLES = {
    "weight": {"bolder"},
    "size": {"small", "medium"},
    "color": {"attention", "warning", "good", "default"},
    "fontType": {"monospace"},
}


def check(request: Received) -> None:
    assert len(request.body) <= 28 * 1024
    body = request.json
    assert body["type"] == "message"
    assert body["summary"].strip()
    (attachment,) = body["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    for element in card["body"]:
        _element(element)
    assert 1 <= len(card["actions"]) <= 6
    for action in card["actions"]:
        assert action["type"] == "Action.OpenUrl"
        assert action["url"].startswith("https://")
        assert action["title"]


def _element(element: dict[str, Any]) -> None:
    if element["type"] == "Container":
        assert element["style"] == "emphasis"
        for item in element["items"]:
            _element(item)
        return
    assert element["type"] == "RichTextBlock"
    assert element["inlines"]
    for run in element["inlines"]:
        assert run["type"] == "TextRun"
        assert run["text"]
        assert "\n" not in run["text"], "a run has no lines"
        assert all(run[name] in _STYLES[name] for name in run.keys() - {"type", "text"})


ENTRY = Entry(
    options=lambda url: {
        "url": f"{url}/workflows/{WORKFLOW}/triggers/manual/paths/invoke?api-version=2016-06-01&sp=%2Fx&sig={SIGNATURE}"
    },
    secrets=(SIGNATURE, WORKFLOW),
    check=check,
    accepted=answer(202, ""),
)
