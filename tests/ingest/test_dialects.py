"""The contract of dialects, on our own and others: no secret leaks, nothing is lost, nothing is guessed for free."""

import logging
import re
from base64 import b64encode
from collections.abc import Callable, Iterator

import pytest

from exporter.app.log_setup import Redactor
from exporter.core.errors import StorageUnavailable
from exporter.core.fleet import Fleet
from exporter.core.telemetry import RejectReason
from exporter.ingest.dialects import all_dialects
from exporter.ingest.errors import IngestError
from exporter.web.app import routes
from exporter.web.pages.rendering import Assets, Pages
from tests.ingest.dialects import Entry, entries
from tests.support.ingest import Asked, Outcome, fleet_of, monitor, send
from tests.support.scenes import World

SECRET, TOKEN = "SESAME-secret-of-job", "SESAME-token-of-job"
WRONG = "SESAME-wrong-credential"
ENTRIES = entries()
NAMES = [entry.dialect.name for entry in ENTRIES]
of_every_dialect = pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)


def fleet() -> Fleet:
    return fleet_of(monitor(1, "job", SECRET, [TOKEN]), monitor(2, "other", "another-secret"))


def filled(asked: Asked, secret: str = SECRET, token: str = TOKEN) -> Asked:
    values = {b"{secret}": secret, b"{token}": token, b"{basic}": b64encode(f"user:{secret}".encode()).decode()}

    def fill(text: bytes) -> bytes:
        for name, value in values.items():
            text = text.replace(name, value.encode())
        return text

    headers = [(name, fill(value)) for name, value in asked.headers]
    if asked.body:
        headers.append((b"content-length", b"%d" % len(asked.body)))
    return asked._replace(path=fill(asked.path.encode()).decode(), query=fill(asked.query), headers=tuple(headers))


def wrong_ones(entry: Entry) -> Iterator[Asked]:
    for asked in entry.good:
        yield filled(asked, WRONG, WRONG)
    for asked in entry.wrong:
        yield filled(asked)


def ask(entry: Entry, asked: Asked, fate: StorageUnavailable | str | None = None) -> Outcome:
    outcome = send(asked, [entry.dialect], fleet(), fate)
    return outcome._replace(body=re.sub(entry.varying, b"", outcome.body))


def test_every_dialect_of_ours_has_an_entry() -> None:
    assert {dialect.name for dialect in all_dialects()} <= set(NAMES)


@of_every_dialect
def test_credentials_are_taken_from_every_place(entry: Entry) -> None:
    for asked in entry.good:
        outcome = ask(entry, filled(asked))
        assert 200 <= outcome.status < 300, asked
        assert [tag for tag, _ in outcome.recorded] == ["job"], asked
        assert (outcome.rejected, outcome.slowed, outcome.passed_on) == ([], [], False)
        assert outcome.observed == [("heartbeat", asked.method, outcome.status)]


@of_every_dialect
def test_wrong_credentials_are_answered_alike_counted_and_slowed(entry: Entry) -> None:
    answers = set()
    for asked in wrong_ones(entry):
        outcome = ask(entry, asked)
        assert outcome.status == entry.denied, asked
        assert outcome.recorded == []
        (reason,) = outcome.rejected
        assert reason in (RejectReason.UNKNOWN_TAG, RejectReason.WRONG_SECRET, RejectReason.UNKNOWN_TOKEN)
        assert outcome.slowed == ["127.0.0.1"]
        answers.add((outcome.body, tuple(sorted(outcome.headers.items()))))
    assert len(answers) == 1


@of_every_dialect
def test_no_answer_and_no_log_line_holds_a_secret(entry: Entry, caplog: pytest.LogCaptureFixture) -> None:
    redactor = Redactor(entry.dialect.routes)
    with caplog.at_level(logging.DEBUG):
        every = [*map(filled, entry.good), *wrong_ones(entry), *(filled(asked) for asked, _ in entry.refused)]
        for asked in every:
            for fate in (None, StorageUnavailable("disk full")):
                outcome = ask(entry, asked, fate)
                assert b"SESAME" not in outcome.body
                assert "SESAME" not in str(outcome.headers)
            query = asked.query.decode()
            line = f"Error handling {asked.method} {asked.path}{'?' if query else ''}{query} {dict(asked.headers)}"
            assert "SESAME" not in redactor.redact(line)
            escaped = asked.path.replace("/", "%2F")
            assert "SESAME" not in redactor.redact(f"bad line {escaped}{'?' if query else ''}{query}")
    assert "SESAME" not in caplog.text


@of_every_dialect
def test_no_refusal_is_listed_with_a_credential(entry: Entry) -> None:
    for asked in (*entry.good, *entry.wrong, *(asked for asked, _ in entry.refused)):
        for reason, tag in ask(entry, filled(asked)).refused:
            assert tag in {"", "job", "nobody"}, (reason, asked)


@of_every_dialect
def test_a_heartbeat_is_acknowledged_only_when_it_is_stored(entry: Entry) -> None:
    for fate, reason in (
        (StorageUnavailable("disk full"), RejectReason.STORAGE),
        ("overloaded", RejectReason.OVERLOADED),
        ("starting", RejectReason.STORAGE),
    ):
        for asked in entry.good:
            outcome = ask(entry, filled(asked), fate)
            assert outcome.status == 503
            assert outcome.headers["retry-after"] == "5"
            assert outcome.rejected == [reason]
            assert outcome.slowed == []


@of_every_dialect
def test_the_same_request_twice_is_two_heartbeats(entry: Entry) -> None:
    """A dialect keeps nothing between requests."""
    for asked in entry.good:
        first, second = ask(entry, filled(asked)), ask(entry, filled(asked))
        assert first._replace(recorded=()) == second._replace(recorded=())
        assert [tag for tag, _ in second.recorded] == ["job"]


@of_every_dialect
def test_other_methods_are_no_heartbeats(entry: Entry) -> None:
    for asked in entry.good:
        for method in entry.methods:
            outcome = ask(entry, filled(asked)._replace(method=method))
            if outcome.status == 204:
                assert method == "OPTIONS"
                assert outcome.recorded == []
                continue
            assert outcome.status == 405, (method, asked)
            assert asked.method in outcome.headers["allow"].split(", ")
            assert method not in outcome.headers["allow"].split(", ")
            assert (outcome.recorded, outcome.rejected, outcome.slowed) == ([], [], [])
            assert outcome.observed == [("heartbeat", "other" if method == "STRANGE" else method, 405)]


@pytest.mark.parametrize(
    "entry", [entry for entry in ENTRIES if entry.body is not None], ids=lambda one: one.dialect.name
)
def test_bodies_of_any_length_and_content_are_taken(entry: Entry) -> None:
    assert entry.body is not None
    for body in (b"", b"x", b"\0\xff\xfe\xf0\x9f", b"y" * 10_000, b"z" * 3_000_000):
        outcome = ask(entry, filled(entry.body._replace(body=body)))
        assert 200 <= outcome.status < 300
        ((_, beat),) = outcome.recorded
        assert len(beat.output) <= 10_000 + len("\n[… 2,990,000 bytes are missing here …]\n")
        assert "\0" not in beat.output
        beat.output.encode()


@of_every_dialect
def test_what_a_dialect_refuses_leaves_nothing_behind(entry: Entry) -> None:
    for asked, status in entry.refused:
        outcome = ask(entry, filled(asked))
        assert outcome.status == status
        assert outcome.recorded == []
        assert len(outcome.rejected) == 1
        assert outcome.slowed == []  # its credentials were right


@of_every_dialect
@pytest.mark.parametrize("status", [400, 403, 404, 405, 409, 413, 422, 500, 503])
def test_every_problem_has_an_answer(entry: Entry, status: int) -> None:
    for hint in (None, "a sentence"):
        response = entry.dialect.error(IngestError(RejectReason.INVALID, "text", hint, status))
        assert 400 <= response.status < 600
        assert isinstance(response.body, bytes)
        response.messages()


@of_every_dialect
def test_no_dialect_takes_a_page_of_ours(entry: Entry) -> None:
    world = World()
    pages = [route.template for route in routes(world.parts(), Assets(), Pages(Assets(), "1", lambda: None))]
    for template in pages:
        path = template.replace("{tag}", "job").replace("{id}", "1").replace("{name}", "style.css")
        assert ask(entry, Asked(path)).passed_on, path


@of_every_dialect
def test_it_can_be_switched_off(entry: Entry) -> None:
    for asked in entry.good:
        outcome = send(filled(asked), [entry.dialect], fleet(), switched_off=[entry.dialect.name])
        assert outcome.passed_on


def _everywhere(change: Callable[[Asked], Asked] = lambda asked: asked) -> tuple[Entry, Asked]:
    entry = ENTRIES[NAMES.index("everywhere")]
    return entry, change(filled(Asked("/everywhere/job/several", "PUT", headers=((b"x-api-key", b"{secret}"),))))


def test_beats_for_several_monitors_with_durations_of_the_sender() -> None:
    entry, asked = _everywhere()
    both = fleet_of(monitor(1, "job", SECRET), monitor(2, "twin", SECRET), monitor(3, "other", "x" * 20))
    body = b"twin other nobody"
    asked = asked._replace(headers=(*asked.headers, (b"content-length", b"%d" % len(body))), body=body)
    outcome = send(asked, [entry.dialect], both)
    assert [(tag, beat.duration) for tag, beat in outcome.recorded] == [("job", 90_000), ("twin", 90_000)]


def test_a_dialect_that_reads_less_keeps_the_output_all_the_same() -> None:
    entry, _ = _everywhere()
    assert entry.body is not None
    for size in (21, 20_000):
        ((_, beat),) = ask(entry, filled(entry.body._replace(body=b"a" * size + b"end"))).recorded
        assert beat.output.endswith("end")
        assert len(beat.output) >= min(size, 10_000)
