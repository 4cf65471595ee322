"""Better Stack's heartbeats, row by row."""

import pytest

from exporter.core.heartbeat import Kind
from exporter.ingest.dialects.better_stack import BetterStackDialect
from tests.support.ingest import SECRET, TOKEN, Outcome, ping

URL = f"/api/v1/heartbeat/{TOKEN}"


def ask(path: str, query: str = "", body: bytes = b"", **options: object) -> Outcome:
    return ping(BetterStackDialect(), path, query, body, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("suffix", "kind", "exit_code"),
    [
        ("", Kind.SUCCESS, None),
        ("/fail", Kind.FAILURE, None),
        ("/0", Kind.SUCCESS, 0),
        ("/1", Kind.FAILURE, 1),
        ("/256", Kind.FAILURE, 256),
        ("/-1", Kind.FAILURE, -1),
        ("/" + "9" * 50, Kind.FAILURE, None),
    ],
)
def test_every_suffix(suffix: str, kind: Kind, exit_code: int | None) -> None:
    for method in ("GET", "POST", "HEAD"):
        for slash in ("", "/"):
            outcome = ask(f"{URL}{suffix}{slash}", "status=down&%ff", method=method)
            assert outcome.status == 200
            ((_, recorded),) = outcome.recorded
            assert (recorded.kind, recorded.exit_code) == (kind, exit_code)


def test_the_output_is_the_body() -> None:
    ((_, recorded),) = ask(f"{URL}/2", body=b"disk full").recorded
    assert recorded.output == "disk full"


def test_an_unknown_suffix_is_no_success() -> None:
    for suffix in ("/fial", "/start", "/1.5", "/fail/1", "/" + "1" * 301):
        outcome = ask(URL + suffix)
        assert (outcome.status, outcome.recorded) == (404, [])
        assert b"/fail" in outcome.body
    assert ask(f"/api/v1/heartbeat/{SECRET}/fial").body == b"not found"
