"""`?at=`: what can be read is believed within bounds, and nothing makes a heartbeat fail."""

import asyncio
import json
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.clock import DAY, HOUR, MINUTE, SECOND
from exporter.core.heartbeat import Claim, Heartbeat, Kind
from exporter.ingest.credentials import Credentials
from exporter.ingest.dialects.native import NativeDialect
from exporter.ingest.intake import Beat, Ingest, Intake, counted_at
from exporter.ingest.waiters import Waiters
from exporter.presentation.sent_moments import read_moment
from exporter.recording.late import LatePending
from exporter.recording.statements import Pending
from tests.conftest import START, ManualClock
from tests.support.ingest import KEY, SECRET, Asked, fleet_of, monitor, send

FLEET = fleet_of(monitor(1, "job"))
NOW = "2026-09-21T14:13:20"  # START, in UTC


def sent(query: str, path: str = f"/ext/heartbeat/job:{SECRET}", method: str = "GET") -> tuple[Heartbeat, str]:
    """The heartbeat, received at START, and the warning."""
    asked = Asked(path, method, query.encode("utf-8", "surrogatepass"))
    outcome = send(asked, [NativeDialect()], FLEET)
    assert outcome.status == 200
    answer = json.loads(outcome.body)
    assert answer["status"] == "OK"
    ((tag, beat),) = outcome.recorded
    assert tag == "job"
    return beat, answer.get("warning", "")


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("0", 0),
        ("1790000000", START),
        ("1790000000.", START),
        ("1790000000.5", START + 500),
        ("1790000000,25", START + 250),
        ("1790000000.1239999", START + 123),
        ("1790000000.001", START + 1),
        ("1.79e+09", START),
        ("1.79e 09", START),
        (" 1790000000 ", START),
        (f"{NOW}Z", START),
        (f"{NOW}z", START),
        ("2026-09-21t14:13:20.5Z", START + 500),
        (f"{NOW}.1239999Z", START + 123),
        (f"{NOW},123456789+00:00", START + 123),
        (f"{NOW}-00:00", START),
        ("2026-09-21T16:13:20+02:00", START),
        ("2026-09-21T16:13:20 02:00", START),
        ("2026-09-21T16:13:20+0200", START),
        ("2026-09-21T16:13:20 0200", START),
        ("2026-09-21 16:13:20 +0200", START),
        ("2026-09-21 16:13:20  0200", START),
        ("2026-09-21T08:43:20-05:30", START),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),
        ("1970-01-01T00:00:00Z", 0),
    ],
)
def test_what_can_be_read(text: str, at: int) -> None:
    assert read_moment(text) == at


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "nan",
        "inf",
        "-inf",
        "Infinity",
        "-1",
        "now",
        "yesterday",
        "1790000000000",  # milliseconds
        "1790000000000000",
        "1790000000000000000",
        "1e99",
        "1e999999999",
        "0x6ab1",
        "1_790_000_000",
        "١٧٩٠٠٠٠٠٠٠",
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
        "10000-01-01T00:00:00Z",
        NOW,  # of which timezone?
        "2026-09-21",
        "2026-09-21T14:13Z",
        "2026-09-31T14:13:20Z",
        "2026-09-21T24:00:00Z",
        "2026-09-21T14:13:61Z",
        "2026-09-21T14:13:20+24:00",
        "2026-09-21T14:13:20+01:60",
        "2026-09-21T14:13:20 Europe/Rome",
        f"{NOW}Z\0",
        "9" * 5000,
        "1." + "9" * 5000,
    ],
)
def test_what_cannot_be_read_is_the_receipt_and_named(text: str) -> None:
    assert read_moment(text) is None
    beat, warning = sent(f"at={quote(text)}")
    assert beat.received_at == START
    assert "the moment of receipt counts" in warning


@given(
    st.datetimes(datetime(1970, 1, 3), datetime(9999, 12, 29)),  # noqa: DTZ001 - of any timezone
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
    st.sampled_from(["+", "%2B"]),
)
def test_every_moment_of_rfc_3339_in_every_timezone(moment: datetime, minutes: int, plus: str) -> None:
    written = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    expected = (written - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert read_moment(written.isoformat()) == expected
    if expected <= START + MINUTE:
        beat, warning = sent("at=" + written.isoformat().replace("+", plus))
        assert beat.received_at == min(START, max(expected, START - 7 * DAY))
        assert ("7 days" in warning) is (expected < START - 7 * DAY)


@given(st.text(max_size=60))
def test_no_text_makes_a_heartbeat_fail(text: str) -> None:
    at = read_moment(text)
    assert at is None or 0 <= at <= 253_402_300_799_999
    beat, _ = sent(f"rid=r&at={text}")
    assert START - 7 * DAY <= beat.received_at <= START
    assert beat.rid == "r" or "&" in text


@pytest.mark.parametrize(
    ("age", "counts", "warned"),
    [
        (HOUR, HOUR, ""),
        (1, 1, ""),
        (0, 0, ""),
        (-SECOND, 0, ""),
        (-60 * SECOND, 0, ""),
        (-60 * SECOND - 1, 0, "ahead"),
        (-DAY, 0, "ahead"),
        (7 * DAY, 7 * DAY, ""),
        (7 * DAY + 1, 7 * DAY, "7 days"),
        (START, 7 * DAY, "7 days"),
    ],
)
def test_the_bounds(age: int, counts: int, warned: str) -> None:
    beat, warning = sent(f"at={(START - age) / 1000:.3f}")
    assert START - beat.received_at == counts
    assert bool(warning) is bool(warned)
    assert warned in warning
    assert counted_at(START - age, START) == (START - counts if warned != "ahead" else None)


@pytest.mark.parametrize(
    "query", ["at", "at=", "at=1790000000&at=1790000000", "at=1789999000&at=", "at=&at=1789999000"]
)
def test_empty_or_twice_is_the_receipt(query: str) -> None:
    beat, warning = sent(query)
    assert beat.received_at == START
    assert "the moment of receipt counts" in warning


@pytest.mark.parametrize("form", ["/ext/heartbeat/job:{}", "/ext/heartbeat/job/{}"])
@pytest.mark.parametrize(
    ("suffix", "kind", "code"),
    [
        ("", Kind.SUCCESS, None),
        ("/", Kind.SUCCESS, None),
        ("/start", Kind.START, None),
        ("/fail", Kind.FAILURE, None),
        ("/log", Kind.LOG, None),
        ("/0", Kind.SUCCESS, 0),
        ("/3", Kind.FAILURE, 3),
    ],
)
def test_every_form_and_kind(form: str, suffix: str, kind: Kind, code: int | None) -> None:
    for method in ("GET", "POST", "HEAD"):
        beat, warning = sent("rid=a&at=1789990000", form.format(SECRET) + suffix, method)
        assert beat == Heartbeat(kind, START - 10_000 * SECOND, "a", code)
        assert warning == ""


def test_other_parameters_are_not_mistaken_for_it() -> None:
    for query in ("AT=1789990000", "format=1", "data=1", "cat=1789990000", "at[]=1789990000"):
        assert sent(query)[0].received_at == START
    assert sent("%61t=1789990000")[0].received_at == START - 10_000 * SECOND


def test_what_is_kept_already_is_answered_and_not_counted() -> None:
    class Recorder:
        def record(self, pending: Pending) -> bool:
            if isinstance(pending, LatePending):
                seen.append(pending.claim)
                pending.repeated = len(seen) > 1
            waiters.settled([pending])
            return True

    async def work() -> None:
        nonlocal waiters
        waiters = Waiters(asyncio.get_running_loop(), ManualClock())
        intake = Intake(
            Credentials(FLEET, KEY),
            Recorder(),  # type: ignore[arg-type]
            waiters,
            count=lambda dialect, kind: counted.append((dialect, kind)),
        )
        watched = FLEET.get("job")
        assert watched is not None
        for kind in (Kind.START, Kind.LOG):
            await Ingest(intake, "native", START).record([Beat(watched, kind, at=START - 1), Beat(watched)])
        waiters.close()

    waiters: Waiters
    seen: list[Claim] = []
    counted: list[tuple[str, Kind]] = []
    asyncio.run(work())
    assert seen == [Claim(START - 1, START)] * 2
    assert counted == [("native", Kind.START), ("native", Kind.SUCCESS), ("native", Kind.SUCCESS)]
