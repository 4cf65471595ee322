"""What no version of ours wrote is put aside: in spool files, and in rows of the database."""

import json
import zlib
from pathlib import Path

import pytest

from exporter.core.clock import HOUR
from exporter.core.heartbeat import Heartbeat, Kind
from exporter.evaluation.evaluator import QUARANTINE
from exporter.fleet.loader import load
from exporter.recording.spool.file import Record, encode
from tests.conftest import START, ManualClock
from tests.recording.test_spool import Spooling
from tests.support.replica import Replica

GOOD = [0, "job", "success", START, "good", None, ""]
POISON = {
    "an unknown kind": [0, "job", "paused", START, "x", None, ""],
    "a kind that is no text": [0, "job", ["success"], START, "x", None, ""],
    "a negative moment": [0, "job", "success", -5, "x", None, ""],
    "a moment beyond the year 9999": [0, "job", "success", 10**17, "x", None, ""],
    "a moment that is no number": [0, "job", "success", "today", "x", None, ""],
    "a moment of true": [0, "job", "success", True, "x", None, ""],
    "a field too few": [0, "job", "success", START, "x", None],
    "a field too many": [0, "job", "success", START, "x", None, "", ""],
    "an exit code beyond 64 bits": [0, "job", "failure", START, "x", 2**63, ""],
    "an exit code that is a text": [0, "job", "failure", START, "x", "1", ""],
    "half a character": [0, "job", "success", START, "x", None, "\ud800"],
    "a tag that is none": [0, None, "success", START, "x", None, ""],
    "an absurd group": [-1, "job", "success", START, "x", None, ""],
    "a text": "success",
    "null": None,
}


def line(content: object) -> bytes:
    text = json.dumps(content, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


@pytest.fixture
def spooling(replica: Replica, tmp_path: Path) -> Spooling:
    replica.add("job")
    spooling = Spooling(replica, tmp_path / "spool")
    spooling.begin()
    return spooling


def left_behind(spooling: Spooling, *lines: bytes) -> None:
    """A file of a process that is gone."""
    header = line({"spool": 1, "id": "a" * 32, "created": START})
    (spooling.backlog.directory / f"{'a' * 32}.spool").write_bytes(header + b"".join(lines))
    spooling.catch_up()


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
def test_a_line_with_a_good_checksum_and_no_meaning_is_put_aside(spooling: Spooling, poison: object) -> None:
    left_behind(spooling, line(GOOD), line(poison), line([*GOOD[:4], "after", None, ""]))
    assert [rid for rid, _ in spooling.log()] == ["good", "after"]
    assert not spooling.spooler.behind
    damaged = list(spooling.backlog.directory.glob("*.damaged"))
    assert [path.read_bytes() for path in damaged] == [line(poison)]
    assert spooling.send(("job", "later")) == ["later"]


def test_a_line_that_is_deeply_nested_is_put_aside(spooling: Spooling) -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    left_behind(spooling, b"%08x %s\n" % (zlib.crc32(deep), deep), line(GOOD))
    assert [rid for rid, _ in spooling.log()] == ["good"]


@pytest.mark.parametrize("header", [b"", b"garbage\n", line({"spool": 1, "id": "x", "created": "long ago"})])
def test_a_file_without_a_good_header_loses_no_heartbeat(spooling: Spooling, header: bytes) -> None:
    (spooling.backlog.directory / f"{'b' * 32}.spool").write_bytes(header + line(GOOD))
    spooling.catch_up()
    assert [rid for rid, _ in spooling.log()] == ["good"]
    assert not spooling.spooler.behind


def test_a_heartbeat_that_cannot_be_written_is_put_aside_and_costs_no_other(
    spooling: Spooling, monkeypatch: pytest.MonkeyPatch
) -> None:
    replay = spooling.spooler._replay
    write = replay._group.write

    def poisoned(transaction: object, batch: list[object]) -> object:
        if any(pending.beat.rid == "r37" for pending in batch):  # type: ignore[attr-defined]
            raise ZeroDivisionError
        return write(transaction, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(replay._group, "write", poisoned)
    records = [Record("job", Heartbeat(Kind.SUCCESS, START, f"r{number}")) for number in range(100)]
    left_behind(spooling, *map(encode, records))
    assert [rid for rid, _ in spooling.log()] == [f"r{number}" for number in range(100) if number != 37]
    assert not spooling.spooler.behind
    assert [path.read_bytes() for path in spooling.backlog.directory.glob("*.damaged")] == [encode(records[37])]


def test_what_a_database_refuses_for_good_is_put_aside(spooling: Spooling) -> None:
    """PostgreSQL stores no NUL; SQLite does."""
    engine = spooling.replica.db.engine
    records = [Record("job", Heartbeat(Kind.SUCCESS, START, rid, None, out)) for rid, out in [("a", "\0"), ("b", "")]]
    left_behind(spooling, *map(encode, records))
    assert not spooling.spooler.behind
    assert [rid for rid, _ in spooling.log()] == (["b"] if engine.locks_rows else ["a", "b"])


ROWS = {
    "schedule": "UPDATE monitors SET schedule = 'nonsense' WHERE tag = 'bad'",
    "timezone": "UPDATE monitors SET schedule = '0 3 * * *', timezone = 'Mars/Olympus' WHERE tag = 'bad'",
    "evaluation_cron": "UPDATE monitors SET evaluation_cron = '61 * * * *' WHERE tag = 'bad'",
    "labels": "UPDATE monitors SET labels = '{' WHERE tag = 'bad'",
    "labels of another shape": "UPDATE monitors SET labels = '[1]' WHERE tag = 'bad'",
    "status": "UPDATE states SET status = 'SLEEPING' WHERE monitor_id = 1",
    "reason": "UPDATE states SET reason = 'bored' WHERE monitor_id = 1",
    "outcome": "UPDATE states SET last_outcome = 'maybe' WHERE monitor_id = 1",
}


@pytest.mark.parametrize("change", ROWS.values(), ids=ROWS)
def test_a_row_that_cannot_be_read_costs_no_other_monitor(
    replica: Replica, clock: ManualClock, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    replica.add("bad")
    replica.add("good")
    replica.beat("bad")
    replica.beat("good")
    replica.execute(change)
    replica.refresh()
    assert "the monitor bad cannot be read from the database and is set aside" in caplog.text
    replica.evaluator.evaluate_due()
    assert replica.status("good") == ("UP", "on_time")
    assert replica.status("bad") == ("PAUSED", "paused")
    assert replica.evaluations.due(clock.now(), 10) == []
    assert QUARANTINE == HOUR
    # Its heartbeats are taken all the same.
    replica.beat("bad")
    assert replica.execute("SELECT received FROM states WHERE monitor_id = 1") == [(2,)]


def test_a_row_that_can_be_read_again_is_evaluated_again(replica: Replica, clock: ManualClock) -> None:
    replica.add("bad")
    replica.beat("bad")
    replica.execute("UPDATE monitors SET labels = '{' WHERE tag = 'bad'")
    replica.refresh()
    replica.evaluator.evaluate_due()
    replica.execute("UPDATE monitors SET labels = '[]' WHERE tag = 'bad'")
    replica.refresh()
    clock.advance(HOUR)
    replica.beat("bad")
    replica.evaluator.evaluate_due()
    assert replica.status("bad") == ("UP", "on_time")
    assert not load(replica.db)[0].unreadable
