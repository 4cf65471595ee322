"""Dead Man's Snitch, row by row."""

import pytest

from exporter.core.heartbeat import Kind
from exporter.ingest.dialects.dead_mans_snitch import DeadMansSnitchDialect
from tests.support.ingest import TOKEN, Outcome, ping

URL = f"/snitch/{TOKEN}"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def ask(query: str = "", body: bytes = b"", headers: dict[str, str] | None = None, **options: object) -> Outcome:
    outcome = ping(DeadMansSnitchDialect(), URL, query, body, headers, **options)  # type: ignore[arg-type]
    assert (outcome.status, outcome.body) == (202, b"Got it, thanks!")
    return outcome


@pytest.mark.parametrize(
    ("fields", "kind", "exit_code", "output"),
    [
        ("", Kind.SUCCESS, None, ""),
        ("s=", Kind.SUCCESS, None, ""),
        ("s=0", Kind.SUCCESS, 0, ""),
        ("s=00&m=done", Kind.SUCCESS, 0, "done"),
        ("s=1", Kind.FAILURE, 1, ""),
        ("m=disk+full&s=-3", Kind.FAILURE, -3, "disk full"),
        ("s=bad", Kind.FAILURE, None, ""),
        ("s=0&s=7", Kind.FAILURE, 7, ""),
        ("s=" + "9" * 50, Kind.FAILURE, None, ""),
        ("m=%ff%00&x=1", Kind.SUCCESS, None, "\ufffd\ufffd"),
    ],
)
def test_what_the_query_or_a_form_says(fields: str, kind: Kind, exit_code: int | None, output: str) -> None:
    for method in ("GET", "POST", "HEAD"):
        ((_, recorded),) = ask(fields, method=method).recorded
        assert (recorded.kind, recorded.exit_code, recorded.output) == (kind, exit_code, output)
    if fields:
        ((_, recorded),) = ask(body=fields.encode(), headers=FORM).recorded
        assert (recorded.kind, recorded.exit_code, recorded.output) == (kind, exit_code, output)


def test_a_form_without_its_fields_is_the_output() -> None:
    ((_, recorded),) = ask("s=1", b"a=b&c", FORM).recorded
    assert (recorded.kind, recorded.output) == (Kind.FAILURE, "a=b&c")
    ((_, recorded),) = ask("m=short", b"s=1").recorded  # no form: its type says nothing
    assert (recorded.kind, recorded.output) == (Kind.SUCCESS, "short\ns=1")


def test_a_status_behind_a_long_message_is_read() -> None:
    ((_, recorded),) = ask(body=b"m=" + b"x" * 100_000 + b"the+end&s=4", headers=FORM).recorded
    assert (recorded.kind, recorded.exit_code) == (Kind.FAILURE, 4)
    assert recorded.output.endswith("the end")
    assert len(recorded.output) < 10_200


def test_other_methods_and_tokens() -> None:
    outcome = ping(DeadMansSnitchDialect(), URL, method="DELETE")
    assert (outcome.status, outcome.headers["allow"]) == (405, "GET, POST, HEAD")
    assert ping(DeadMansSnitchDialect(), "/snitch/wrong").status == 404
