"""Opsgenie's limits, as its documentation of the Alert API has them."""

import re

from tests.notify.entries import Entry
from tests.support.receivers import Received, answer

KEY = "genie-key-of-the-test"


def check(request: Received) -> None:
    assert request.method == "POST"
    assert request.headers["authorization"] == f"GenieKey {KEY}"
    body = request.json
    assert 0 < len(body["source"]) <= 100
    if re.fullmatch(r"/v2/alerts/[A-Za-z0-9%._-]+/close\?identifierType=alias", request.target):
        assert 0 < len(body["note"]) <= 25_000
        return
    assert request.target == "/v2/alerts"
    assert 0 < len(body["message"]) <= 130
    assert 0 < len(body["alias"]) <= 512
    assert 0 < len(body["entity"]) <= 512
    assert 0 < len(body["description"]) <= 15_000
    assert len(body["tags"]) <= 20
    assert all(0 < len(tag) <= 50 for tag in body["tags"])
    assert sum(map(len, [*body["details"], *body["details"].values()])) <= 8_000
    assert body["priority"] in ("P1", "P2", "P3", "P4", "P5")


ENTRY = Entry(
    options=lambda url: {"url": url, "api_key": KEY},
    secrets=(KEY,),
    check=check,
    accepted=answer(202, '{"result":"Request will be processed","requestId":"x"}'),
)
