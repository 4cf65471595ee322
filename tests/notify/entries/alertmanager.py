"""What Alertmanager takes; a real one is asked in tests/live/test_alertmanager.py."""

import re

from exporter.presentation.moments import parse_moment
from tests.notify.entries import Entry
from tests.support.receivers import Received, answer

TOKEN = "bearer-of-the-test"


def check(request: Received) -> None:
    assert (request.method, request.target) == ("POST", "/prefix/api/v2/alerts")
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    alerts = request.json
    assert 1 <= len(alerts) <= 500
    for alert in alerts:
        assert all(re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", key) for key in [*alert["labels"], *alert["annotations"]])
        assert all(alert["labels"].values())
        assert parse_moment(alert["startsAt"]) <= parse_moment(alert["endsAt"])
        assert alert["generatorURL"].startswith("https://")


ENTRY = Entry(
    options=lambda url: {"urls": [f"{url}/prefix/"], "token": TOKEN},
    secrets=(TOKEN,),
    check=check,
    accepted=answer(200),
)
