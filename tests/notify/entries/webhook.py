"""Our own format: whatever anybody may rely on is there."""

from exporter.notify.context import variables
from exporter.notify.samples import sample
from exporter.presentation.message import Event
from tests.notify.entries import Entry
from tests.support.receivers import Received

SECRETS = ("token-of-the-hook", "value-of-a-header", "value-of-authorization", "what-signs-it")


def check(request: Received) -> None:
    body = request.json
    assert body.keys() == variables(sample(Event.TRIGGERED)).keys()
    assert body["idempotency_key"] == request.headers["idempotency-key"]
    assert len(body["alerts"]) == body["count"]
    assert all(body[name] == value for name, value in body["alerts"][0].items())
    assert len(request.body) < 2_000_000


ENTRY = Entry(
    options=lambda url: {
        "url": f"{url}/hooks/{SECRETS[0]}",
        "headers": {"X-Token": SECRETS[1]},
        "authorization": f"Bearer {SECRETS[2]}",
        "signing_secret": SECRETS[3],
    },
    secrets=SECRETS,
    check=check,
)
