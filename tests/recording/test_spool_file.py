"""Spool files: whatever happens to their bytes, no more is lost than what was hit."""

import errno
import os
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.heartbeat import Claim, Heartbeat, Kind
from exporter.recording.spool import file as spool
from exporter.recording.spool.backlog import Backlog
from exporter.recording.spool.file import LATEST, Record, SpoolFile, SpoolUnusable, decode, encode
from tests.conftest import START, ManualClock

RECORDS = st.builds(
    Record,
    st.from_regex(r"[A-Za-z0-9._-]{1,128}", fullmatch=True),
    st.builds(
        Heartbeat,
        st.sampled_from(Kind),
        st.integers(0, LATEST),
        st.from_regex(r"[A-Za-z0-9._-]{0,64}", fullmatch=True),
        st.none() | st.integers(-(2**31), 2**32),
        st.text(max_size=50),
        st.none() | st.integers(0, 2**53),
    ),
    st.integers(0, 2**40),
    st.none() | st.builds(Claim, st.integers(0, LATEST), st.integers(0, LATEST)),
)
SOME = [Record("job", Heartbeat(Kind.SUCCESS, START + number, f"r{number}", output="é\r\n\0")) for number in range(6)]


MOST = 1 << 20


def backlog_in(directory: Path, clock: ManualClock | None = None, most: int = MOST, database: str = "one") -> Backlog:
    return Backlog(directory, clock or ManualClock(), most, lambda: database)


def beats(file: SpoolFile) -> list[Record]:
    found: list[Record] = []
    while file.position < file.end:
        piece = file.read(2)
        file.put_aside(piece.damaged)
        found += piece.records
        file.replayed(piece)
    assert file.waiting == 0
    return found


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def written(directory: Path) -> bytes:
    file = SpoolFile.create(directory, "a", START)
    file.append(SOME[:2], MOST)
    file.append(SOME[2:], MOST)
    file.close()
    return file.path.read_bytes()


@given(RECORDS)
def test_a_record_is_one_line_and_comes_back(record: Record) -> None:
    line = encode(record)
    assert line.count(b"\n") == 1
    assert decode(line.removesuffix(b"\n")) == record


def test_what_is_put_in_comes_out_in_order_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    written(tmp_path)
    assert (tmp_path / "a.spool").stat().st_mode & 0o777 == 0o600
    file = SpoolFile.adopt(tmp_path / "a.spool")
    assert file is not None
    assert (file.id, file.created, file.waiting) == ("a", START, 6)
    assert beats(file) == SOME
    file.close()


def test_any_prefix_of_a_file_is_a_file() -> None:
    """Wherever a crash cut it: whole lines count, the torn one is cut off, and more can be added."""
    with folder() as directory:
        whole = written(directory)
        path = directory / "a.spool"
        header = whole.index(b"\n") + 1
        for length in range(len(whole) + 1):
            path.write_bytes(whole[:length])
            file = SpoolFile.adopt(path)
            assert file is not None
            kept = max(0, whole[header:length].count(b"\n"))
            assert file.waiting == kept
            file.append(SOME[:1], MOST)
            assert beats(file) == [*SOME[:kept], SOME[0]], length
            file.close()
            assert list(directory.glob("*.damaged")) == []


@given(st.data())
def test_a_damaged_byte_costs_its_own_line(data: st.DataObject) -> None:
    with folder() as directory:
        whole = written(directory)
        place = data.draw(st.integers(0, len(whole) - 1))
        damaged = bytearray(whole)
        damaged[place] ^= data.draw(st.integers(1, 255))
        path = directory / "a.spool"
        path.write_bytes(damaged)
        file = SpoolFile.adopt(path)
        assert file is not None
        found = beats(file)
        file.close()
        starts = [0]
        for line in whole.splitlines(keepends=True):
            starts.append(starts[-1] + len(line))
        hit = max(number for number, start in enumerate(starts) if start <= place)
        # A line feed that is lost joins two lines; at the very end, what it ended is a torn one.
        lost = {hit, hit + 1} if place + 1 == starts[hit + 1] else {hit}
        assert found == [record for number, record in enumerate(SOME, start=1) if number not in lost]
        # One that appears splits a line in two, and all that is left of it is put aside, each piece by itself.
        asides = sorted(directory.glob("*.damaged"), key=lambda one: int(one.name.split(".")[1]))
        aside = b"".join(one.read_bytes() for one in asides)
        if place == len(whole) - 1:
            assert aside == b""
        else:
            assert (
                aside
                == bytes(damaged)[starts[min(lost)] : starts[max(lost) + 1] if max(lost) < len(starts) - 1 else None]
            )


def test_a_position_is_where_to_go_on(tmp_path: Path) -> None:
    written(tmp_path)
    file = SpoolFile.adopt(tmp_path / "a.spool")
    assert file is not None
    position = file.read(4).end
    file.skip_to(position)
    assert file.waiting == 2
    assert beats(file) == SOME[4:]
    file.skip_to(position)
    assert file.position == file.end
    file.close()


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "b.spool").write_bytes(spool._line({"spool": 2}) + b"what follows is not ours to read\n")
    backlog = backlog_in(tmp_path)
    backlog.open()
    backlog.adopt()
    assert not backlog.holding
    assert (tmp_path / "b.spool").exists()
    backlog.close()


def test_a_full_disk_takes_nothing_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = SpoolFile.create(tmp_path, "a", START)
    file.append(SOME[:1], MOST)
    real = os.write

    def write(descriptor: int, content: bytes) -> int:
        if len(content) > 10:
            return real(descriptor, content[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", write)
        with pytest.raises(SpoolUnusable, match="No space left"):
            file.append(SOME[1:], MOST)
    assert file.path.stat().st_size == file.end
    file.append(SOME[1:2], MOST)
    assert beats(file) == SOME[:2]
    file.close()


def test_a_file_that_may_not_grow_takes_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    """The kernel's own refusal, in the middle of a group."""
    file = SpoolFile.create(tmp_path, "a", START)
    file.append(SOME[:1], MOST)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.end + 100, before[1]))
    try:
        with pytest.raises(SpoolUnusable, match="File too large"):
            file.append(SOME[1:], MOST)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert file.path.stat().st_size == file.end
    file.append(SOME[1:2], MOST)
    assert beats(file) == SOME[:2]
    file.close()


def test_a_file_that_cannot_be_mended_is_followed_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backlog = backlog_in(tmp_path)
    backlog.open()
    backlog.put(SOME[:1])

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", fail)
        patched.setattr(os, "ftruncate", fail)
        with pytest.raises(SpoolUnusable, match="Input/output"):
            backlog.put(SOME[1:2])
    # That a group may have been committed is noted for a file, and this one takes no more.
    with pytest.raises(SpoolUnusable, match="broken"):
        backlog.put([SOME[1]._replace(group=1)])
    backlog.put(SOME[2:3])
    first = backlog.first()
    assert first is not None
    assert beats(first) == SOME[:1]
    backlog.settle(first)
    second = backlog.first()
    assert second is not None
    assert second.path != first.path
    assert beats(second) == SOME[2:3]
    backlog.close()


def test_no_more_may_wait_than_it_was_given(tmp_path: Path) -> None:
    backlog = backlog_in(tmp_path, most=len(encode(SOME[0])) * 3)
    backlog.open()
    backlog.put(SOME[:2])
    with pytest.raises(SpoolUnusable, match="full"):
        backlog.put(SOME[2:4])
    backlog.put(SOME[2:3])
    file = backlog.first()
    assert file is not None
    file.replayed(file.read(1))
    backlog.put(SOME[3:4])  # what is replayed makes room, though it is still in the file
    with pytest.raises(SpoolUnusable, match="full"):
        backlog.put(SOME[4:5])
    assert beats(file) == SOME[1:4]
    backlog.close()


def test_a_long_backlog_is_many_files_and_each_goes_when_it_is_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.recording.spool.backlog.MAX_SIZE", 300)
    backlog = backlog_in(tmp_path)
    backlog.open()
    many = [Record("job", Heartbeat(Kind.SUCCESS, START + number, f"r{number}")) for number in range(40)]
    for number in range(0, 40, 2):
        id = backlog.id
        backlog.put(many[number : number + 2])
        assert SpoolFile.adopt(tmp_path / f"{id}.spool") is None, (
            "in the file whose number was noted before, and in use"
        )
    files = len(list(tmp_path.glob("*.spool")))
    assert files > 10
    assert backlog.waiting == 40
    found = []
    while (file := backlog.first()) is not None:
        found += beats(file)
        backlog.settle(file)
        assert len(list(tmp_path.glob("*.spool"))) < files or not backlog.holding
    assert found == many
    backlog.close()


def test_a_file_that_the_disk_does_not_give_back_is_left_and_not_waited_for(tmp_path: Path) -> None:
    backlog = backlog_in(tmp_path)
    backlog.open()
    backlog.put(SOME[:2])
    os.truncate(tmp_path / f"{backlog.id}.spool", 20)
    file = backlog.first()
    assert file is not None
    with pytest.raises(OSError, match="shorter"):
        file.read(2)
    backlog.give_up(file)
    assert not backlog.holding
    backlog.put(SOME[2:])
    second = backlog.first()
    assert second is not None
    assert beats(second) == SOME[2:]
    assert file.path.exists()
    backlog.close()


def test_who_has_another_database_may_not_use_it(tmp_path: Path) -> None:
    """It would record what is not its own, or drop it."""
    one, same, other = backlog_in(tmp_path), backlog_in(tmp_path), backlog_in(tmp_path, database="two")
    one.open()
    same.open()
    one.put(SOME[:2])
    for _ in range(2):
        with pytest.raises(SpoolUnusable, match="used by processes with another database"):
            other.open()
        one.close()
        other.adopt()
    assert other.waiting == 0
    same.adopt()
    assert same.waiting == 2
    same.close()
    other.adopt()  # who is alone may have another database than before
    assert other.waiting == 2
    with pytest.raises(SpoolUnusable):
        one.open()
    other.put(SOME[2:3])
    other.close()


def test_a_file_in_use_is_nobody_elses(tmp_path: Path) -> None:
    one, two = backlog_in(tmp_path), backlog_in(tmp_path)
    one.open()
    one.put(SOME[:3])
    two.open()
    assert (one.waiting, two.waiting) == (3, 0)
    one.close()
    two.adopt()
    assert two.waiting == 3
    two.close()


def test_files_of_the_dead_are_replayed_oldest_first(tmp_path: Path) -> None:
    clock = ManualClock()
    for number in range(3):
        clock.advance(1000)
        dead = backlog_in(tmp_path, clock)
        dead.open()
        dead.put([SOME[number]])
        # The next one adopts this file: it is kept from doing so by a name that it does not know.
        dead.close()
        for path in tmp_path.glob("*.spool"):
            path.rename(path.with_suffix(f".{number}"))
    (tmp_path / "half.new").write_bytes(b"")
    for number, path in enumerate(sorted(tmp_path.glob("*.[0-9]"))):
        path.rename(tmp_path / f"{9 - number}.spool")
    heir = backlog_in(tmp_path, clock)
    heir.open()
    heir.put([SOME[3]])
    found = []
    while (file := heir.first()) is not None:
        found += beats(file)
        heir.settle(file)
    assert found == SOME[:4]
    assert heir.since is None
    heir.close()
    assert {path.name if path.name == "owner" else path.suffix for path in tmp_path.iterdir()} == {"owner", ".done"}


def test_a_directory_that_cannot_be_is_told_and_tried_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    backlog = backlog_in(tmp_path / "file" / "spool")
    with pytest.raises(SpoolUnusable, match="Not a directory"):
        backlog.open()
    with pytest.raises(SpoolUnusable, match="Not a directory"):
        backlog.put(SOME)
    (tmp_path / "file").unlink()
    backlog.put(SOME)
    assert backlog.waiting == len(SOME)
    backlog.close()
