"""PagerDuty's limits, as its documentation of the Events API v2 has them."""

from exporter.presentation.moments import parse_moment
from tests.notify.entries import Entry
from tests.support.receivers import Received, answer

KEY = "R0UTINGKEY0123456789abcdefabcdef"


def check(request: Received) -> None:
    assert (request.method, request.target) == ("POST", "/v2/enqueue")
    assert len(request.body) < 512_000
    event = request.json
    assert event["routing_key"] == KEY
    assert 0 < len(event["dedup_key"]) <= 255
    assert event["event_action"] in ("trigger", "resolve")
    if event["event_action"] == "resolve":
        return
    payload = event["payload"]
    assert 0 < len(payload["summary"]) <= 1024
    assert payload["source"]
    assert payload["severity"] in ("critical", "error", "warning", "info")
    assert parse_moment(payload["timestamp"]) is not None
    assert all(link["href"].startswith("https://") and link["text"] for link in event["links"])


ENTRY = Entry(
    options=lambda url: {"url": f"{url}/v2/enqueue", "routing_key": KEY},
    secrets=(KEY,),
    check=check,
    accepted=answer(202, '{"status":"success","message":"Event processed","dedup_key":"x"}'),
)
