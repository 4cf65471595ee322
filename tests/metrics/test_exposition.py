"""The exposition is byte for byte prometheus_client's, whatever is cached and however many clients scrape.

`REGENERATE=1 python -m pytest tests/metrics/test_exposition.py` rewrites the golden files; read the
difference before you commit it, because metrics are an interface.
"""

import gzip
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.utils import floatToGoString

from exporter.core.clock import DAY
from exporter.core.dependencies.suppression import Suppression, Suppressions
from exporter.core.exclusions import Calendar
from exporter.core.fleet import Fleet, FleetMonitor
from exporter.core.heartbeat import NO_HEARTBEATS, Heartbeat, HeartbeatState, Kind, Run, apply
from exporter.core.monitor import Monitor
from exporter.core.runtimes import Runtimes
from exporter.core.spans import Span
from exporter.core.status import Reason, Status
from exporter.core.timeline import CurrentStatus
from exporter.core.uptime import StatusChange
from exporter.metrics.exposition import renderer as module
from exporter.metrics.exposition.families import FAMILIES
from exporter.metrics.exposition.format import go_count, go_float, go_seconds
from exporter.metrics.exposition.negotiation import Format
from exporter.metrics.exposition.renderer import Exposition
from exporter.metrics.own.telemetry import ExporterTelemetry
from exporter.metrics.scrape import Scrape
from tests.conftest import START, ManualClock
from tests.support.reference import Reference
from tests.support.tools import run_tool

GOLDEN = Path(__file__).parent.parent / "golden"
TEXTS = st.text(alphabet='aZ09"\\\n\t ,={}é漢🙂#', max_size=12)
MOMENTS = st.none() | st.sampled_from([0, 1, 999_999_999, 1_000_000_000, START]) | st.integers(0, 4_000_000_000_000)
BLACKOUTS = st.integers(0, 4_000_000_000_000).map(lambda at: Span(at, at + 400 * DAY))
COUNTS = st.integers(0, 20) | st.sampled_from([999_999, 1_000_000, 1_234_567, 10_000_000, 2**53])


@st.composite
def states(draw: st.DrawFn) -> HeartbeatState:
    return HeartbeatState(
        received=draw(COUNTS),
        failures=draw(COUNTS),
        starts=draw(COUNTS),
        last_success_at=draw(MOMENTS),
        last_failure_at=draw(MOMENTS),
        last_start_at=draw(MOMENTS),
        last_outcome=draw(st.none() | st.sampled_from([Kind.SUCCESS, Kind.FAILURE])),
        last_exit_code=draw(st.none() | st.integers(-(2**63), 2**63 - 1)),
        last_duration=draw(MOMENTS),
        runs=draw(st.sampled_from([(), (Run("a", START),)])),
    )


RUNTIMES = st.none() | st.builds(
    Runtimes, COUNTS, st.integers(0, 30), st.integers(0, 10**7), st.integers(0, 4_000_000_000_000)
)


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    fleet = Fleet()
    tags = draw(st.lists(st.text("abcXYZ09._-", min_size=1, max_size=8), unique=True, max_size=5))
    fleet.update(
        FleetMonitor(
            number,
            Monitor(
                tag=tag,
                name=draw(TEXTS),
                group=draw(TEXTS),
                schedule=draw(st.sampled_from([None, "0 3 * * *"])),
                degraded_after=draw(st.integers(0, 10**9)),
                down_after=draw(st.integers(1, 10**10)),
                labels=tuple(sorted(draw(st.dictionaries(st.text("abz_", min_size=1), TEXTS, max_size=2)).items())),
                depends_on=draw(st.sampled_from([(), (), ("a*",), ("X", "b?")])),
            ),
            b"",
            CurrentStatus(draw(st.sampled_from(Status)), Reason.LATE, draw(st.integers(0, 4_000_000_000_000))),
            draw(states()),
        )
        for number, tag in enumerate(tags)
    )
    for watched in fleet:
        watched.runtimes = draw(RUNTIMES)
    suppressed = draw(st.dictionaries(st.integers(0, 6), st.builds(Suppression, st.just(1), released=st.booleans())))
    fleet.show_suppressions(Suppressions(suppressed, 1))
    return fleet


def registry_of(fleet: Fleet, now: int) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Reference(fleet, now))  # type: ignore[arg-type]
    return registry


def rendered(fleet: Fleet, clock: ManualClock, format: Format, names: frozenset[str] | None = None) -> bytes:
    return b"".join(Exposition(fleet, clock).render(format, names))


@given(fleets(), st.integers(0, 4_000_000_000_000))
def test_byte_for_byte_what_prometheus_client_writes(fleet: Fleet, now: int) -> None:
    clock, registry = ManualClock(now), registry_of(fleet, now)
    text, openmetrics = rendered(fleet, clock, Format.TEXT), rendered(fleet, clock, Format.OPENMETRICS) + b"# EOF\n"
    assert text == generate_latest(registry)
    assert openmetrics == generate_openmetrics(registry)
    for families in (parse_text(text.decode()), parse_openmetrics(openmetrics.decode())):
        told = {family.name: family.samples for family in families}
        assert {sample.labels["tag"]: sample.labels["name"] for sample in told["heartbeat_info"]} == {
            watched.monitor.tag: watched.monitor.name or watched.monitor.tag for watched in fleet
        }


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**17), 10**17).map(float))
def test_numbers_are_gos(value: float) -> None:
    assert go_float(value) == floatToGoString(value)


EDGES = st.sampled_from([10**exponent * factor for exponent in range(17) for factor in (1, 2, 9)])


@given(
    st.integers(-(10**6), 4 * 10**15)
    | st.integers(999_999_000, 1_000_001_000)
    | st.integers(10**12, 10**13)
    | st.builds(int.__add__, EDGES, st.integers(-1001, 1001))
)
def test_seconds_are_gos(milliseconds: int) -> None:
    assert go_seconds(milliseconds) == floatToGoString(milliseconds / 1000)


@given(st.integers(0, 2**63) | st.integers(999_000, 1_001_000))
def test_counts_are_gos(count: int) -> None:
    assert go_count(count) == floatToGoString(count)


@pytest.fixture(scope="module")
def small_blocks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", 2)
        yield


@pytest.mark.usefixtures("small_blocks")
@given(st.data())
def test_what_is_kept_never_shows(data: st.DataObject) -> None:
    clock, fleet = ManualClock(), Fleet()
    kept = Exposition(fleet, clock)
    for _ in range(data.draw(st.integers(1, 6))):
        other = data.draw(fleets())
        match data.draw(st.integers(0, 5)):
            case 0:
                fleet.update(
                    [FleetMonitor(hash(one.monitor.tag), one.monitor, b"", one.current, one.state) for one in other],
                    removed=[one.id for one in fleet][: data.draw(st.integers(0, 3))],
                )
            case 1:
                for watched in fleet:
                    watched.state = data.draw(states())
            case 2:
                for watched in list(fleet)[::2]:
                    watched.current = CurrentStatus(data.draw(st.sampled_from(Status)), Reason.LATE, 5)
            case 5:
                for watched in fleet:
                    watched.runtimes = data.draw(RUNTIMES)
            case 4:
                fleet.use(Calendar(tuple(data.draw(st.lists(BLACKOUTS, max_size=1)))))
            case 3:
                for watched in list(fleet)[1::2]:
                    schedule = data.draw(st.sampled_from([None, "0 3 * * *", "*/7 * * * *"]))
                    watched.monitor = replace(watched.monitor, schedule=schedule, paused=True)
        clock.advance(1234)
        assert b"".join(kept.render(Format.TEXT)) == rendered(fleet, clock, Format.TEXT)


def plain(numbers: range) -> list[FleetMonitor]:
    return [FleetMonitor(n, Monitor(tag=f"t{n}"), b"", CurrentStatus(Status.UP, Reason.ON_TIME, 1)) for n in numbers]


def test_a_monitor_that_comes_leaves_the_other_blocks_as_they_are(clock: ManualClock) -> None:
    fleet = Fleet()
    fleet.update(plain(range(5_000)))
    exposition = Exposition(fleet, clock)
    before = set(exposition.render(Format.TEXT, frozenset({"heartbeat_info"})))
    fleet.update([FleetMonitor(9_999, Monitor(tag="a-first"), b"", CurrentStatus(Status.UP, Reason.ON_TIME, 1))])
    after = set(exposition.render(Format.TEXT, frozenset({"heartbeat_info"})))
    assert len(before) > 20
    assert len(after - before) <= 2


@pytest.mark.parametrize(("schedule", "timezone"), [("0 0 30 2 *", "UTC"), ("0 3 * * *", "Mars/Olympus"), ("x", "UTC")])
def test_a_schedule_that_no_longer_reads_costs_its_own_line_alone(
    schedule: str, timezone: str, clock: ManualClock
) -> None:
    fleet = golden_fleet()
    exposition = Exposition(fleet, clock)
    whole = b"".join(exposition.render(Format.TEXT))
    watched = fleet.get("nightly")
    assert watched is not None
    watched.monitor = Monitor(tag="nightly", name="Nightly backup", schedule=schedule, timezone=timezone)
    lines = b"".join(exposition.render(Format.TEXT)).splitlines()
    lost = {line for line in whole.splitlines() if line not in lines}
    assert {line.partition(b"{")[0] for line in lost} == {b"heartbeat_info", b"heartbeat_due_timestamp_seconds"}


def test_scrapes_side_by_side_while_heartbeats_arrive() -> None:
    clock, fleet = ManualClock(), Fleet()
    fleet.update(plain(range(300)))
    exposition, stop, bodies = Exposition(fleet, clock), threading.Event(), []

    def change() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            for watched in fleet:
                watched.state = apply(watched.state, [Heartbeat(Kind.SUCCESS, START)])
                watched.current = CurrentStatus(Status.DOWN, Reason.MISSED, START)
            fleet.update(
                plain(range(1_000, 1_010)) if turn % 2 else (), removed=() if turn % 2 else range(1_000, 1_010)
            )

    def scrape() -> None:
        for _ in range(10):
            bodies.append(b"".join(exposition.render(Format.TEXT)))

    changer = threading.Thread(target=change)
    scrapers = [threading.Thread(target=scrape) for _ in range(2)]
    for thread in (changer, *scrapers):
        thread.start()
    for thread in scrapers:
        thread.join(60)
    stop.set()
    changer.join(60)
    assert len(bodies) == 20
    for body in bodies:
        families = {family.name: family for family in parse_text(body.decode())}
        assert len(families["heartbeat_status"].samples) in (6 * 300, 6 * 310)
        assert len(families["heartbeat_received"].samples) in (300, 310)
    stopped = b"".join(exposition.render(Format.TEXT))
    assert stopped == rendered(fleet, clock, Format.TEXT)


def test_names_select_families_by_either_name(clock: ManualClock) -> None:
    fleet = golden_fleet()
    body = rendered(fleet, clock, Format.TEXT, frozenset({"heartbeat_received_total", "heartbeat_age_seconds"}))
    assert {family.name for family in parse_text(body.decode())} == {"heartbeat_received", "heartbeat_age_seconds"}
    assert rendered(fleet, clock, Format.TEXT, frozenset({"heartbeat_received"})) != b""
    assert rendered(fleet, clock, Format.TEXT, frozenset({"nonsense"})) == b""


def golden_fleet() -> Fleet:
    """A monitor in every status, and labels that need escaping."""
    fleet = Fleet()
    ran = apply(
        NO_HEARTBEATS,
        [Heartbeat(Kind.START, START - 90_500, "r1"), Heartbeat(Kind.SUCCESS, START - 30_000, "r1")],
    )
    failed = apply(ran, [Heartbeat(Kind.FAILURE, START - 10_000, exit_code=3)])
    late = apply(NO_HEARTBEATS, [Heartbeat(Kind.SUCCESS, START - 400_000)])
    odd = Monitor(tag="odd", name='Quote " and \\ and\nnewline', group="Größe 漢字", labels=(("team", 'a"b\\c'),))
    nightly = Monitor(tag="nightly", name="Nightly backup", schedule="0 3 * * *", timezone="Europe/Rome")
    rows = [
        (odd, Status.UP, Reason.ON_TIME, ran),
        (nightly, Status.UP, Reason.ON_TIME, ran),
        (Monitor(tag="late", depends_on=("fail*", "new")), Status.DEGRADED, Reason.LATE, late),
        (Monitor(tag="failed"), Status.DOWN, Reason.FAILED, failed),
        (Monitor(tag="failing", every=3_600_000, failure_tolerance=2), Status.DEGRADED, Reason.FAILING, failed),
        (Monitor(tag="new"), Status.NO_DATA, Reason.NEVER_RECEIVED, NO_HEARTBEATS),
        (Monitor(tag="resting", paused=True), Status.PAUSED, Reason.PAUSED, late),
        (Monitor(tag="window"), Status.MAINTENANCE, Reason.ON_TIME, late),
    ]
    fleet.update(
        FleetMonitor(number, monitor, b"", CurrentStatus(status, reason, START - 60_000), state)
        for number, (monitor, status, reason, state) in enumerate(rows)
    )
    fleet.show_suppressions(Suppressions({2: Suppression(START - 60_000), 3: Suppression(START)}, 1))
    fleet.show_runtimes({0: Runtimes(20, 9, 60_500, 61_000), 1: Runtimes(200, 100, 60_500, 75_250)})
    return fleet


@pytest.mark.parametrize(
    ("file", "format"), [("metrics.txt", Format.TEXT), ("metrics.openmetrics.txt", Format.OPENMETRICS)]
)
def test_golden(file: str, format: Format, clock: ManualClock) -> None:
    body = rendered(golden_fleet(), clock, format) + (b"# EOF\n" if format is Format.OPENMETRICS else b"")
    if os.environ.get("REGENERATE"):
        (GOLDEN / file).write_bytes(body)
    assert body == (GOLDEN / file).read_bytes()


def test_golden_text_is_clean_by_promtools_rules() -> None:
    run_tool("promtool", "check", "metrics", input=(GOLDEN / "metrics.txt").read_text())


def scrape_of(fleet: Fleet, clock: ManualClock) -> Scrape:
    registry = CollectorRegistry()
    telemetry = ExporterTelemetry(registry, fleet, "1.2.3")
    telemetry.request_served("heartbeat", "GET", 200, 0.003)
    return Scrape(Exposition(fleet, clock), registry, telemetry)


def test_a_whole_scrape_in_every_format_and_encoding(clock: ManualClock) -> None:
    scrape = scrape_of(golden_fleet(), clock)
    plain = scrape.answer(None, None, None)
    text = b"".join(plain.chunks).decode()
    assert (plain.content_type, plain.content_encoding) == (Format.TEXT.value, None)
    names = {family.name for family in parse_text(text)}
    assert {family.name for family in FAMILIES} <= names
    assert "heartbeat_exporter_build_info" in names
    assert "process_resident_memory_bytes" in names
    assert "_created" not in text
    assert 'handler="heartbeat",le="0.005"} 1.0' in text
    run_tool("promtool", "check", "metrics", input=text)
    packed = scrape.answer("application/openmetrics-text;version=1.0.0", "gzip", None)
    assert (packed.content_type, packed.content_encoding) == (Format.OPENMETRICS.value, "gzip")
    body = b"".join(packed.chunks)
    assert body[8] == 4  # the header's word for "compressed by the fastest method"
    openmetrics = gzip.decompress(body).decode()
    assert openmetrics.endswith("\n# EOF\n")
    assert openmetrics.count("# EOF") == 1
    assert {family.name for family in parse_openmetrics(openmetrics)} == names | {
        "heartbeat_exporter_scrape_duration_seconds"
    }
    assert "_created" not in openmetrics


def test_an_empty_fleet_still_has_every_family(clock: ManualClock) -> None:
    body = b"".join(scrape_of(Fleet(), clock).answer(None, "identity", None).chunks).decode()
    assert {family.name for family in FAMILIES} <= {family.name for family in parse_text(body)}
    nothing = scrape_of(Fleet(), clock).answer("application/openmetrics-text", None, frozenset({"nonsense"}))
    assert b"".join(nothing.chunks) == b"# EOF\n"


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("heartbeat_exporter_commit_duration_seconds_bucket", "heartbeat_exporter_commit_duration_seconds"),
        ("heartbeat_exporter_commit_duration_seconds", "heartbeat_exporter_commit_duration_seconds"),
        ("heartbeat_exporter_http_request_duration_seconds_bucket", "heartbeat_exporter_http_request_duration_seconds"),
        ("heartbeat_exporter_http_requests_total", "heartbeat_exporter_http_requests"),
        ("heartbeat_exporter_monitors", "heartbeat_exporter_monitors"),
        ("process_open_fds", "process_open_fds"),
        ("heartbeat_age_seconds", "heartbeat_age_seconds"),
    ],
)
def test_one_name_brings_one_family(name: str, family: str, clock: ManualClock) -> None:
    body = b"".join(scrape_of(golden_fleet(), clock).answer(None, None, frozenset({name})).chunks)
    assert [found.name for found in parse_text(body.decode())] == [family]


def test_uptime_is_made_anew_once_a_minute_and_whenever_something_happens(clock: ManualClock) -> None:
    fleet, now = Fleet(), clock.now()
    fleet.update(
        FleetMonitor(number, Monitor(tag=f"job-{number}"), b"", CurrentStatus(Status.UP, Reason.ON_TIME, now - DAY))
        for number in range(3)
    )
    one = fleet.all()[1]
    one.past = (
        StatusChange(now - 2 * DAY, Status.UP),
        StatusChange(now - DAY, Status.DOWN),
        StatusChange(now - DAY // 2, Status.UP),
    )
    exposition = Exposition(fleet, clock)

    def shown() -> bytes:
        return b"".join(exposition.render(Format.TEXT, frozenset({"heartbeat_uptime_ratio"})))

    def exact() -> bytes:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Reference(fleet, clock.now()))  # type: ignore[arg-type]
        whole = generate_latest(registry).decode()
        return "".join(line for line in whole.splitlines(True) if "heartbeat_uptime_ratio" in line).encode()

    first = shown()
    assert first == exact()
    assert b'heartbeat_uptime_ratio{tag="job-1",window="24h"} 0.5\n' in first
    assert b'heartbeat_uptime_ratio{tag="job-0",window="90d"} 1.0\n' in first
    seen, right = set(), set()
    for _ in range(20):
        clock.advance(50)
        seen.add(shown())
        right.add(exact())
    assert len(seen) <= 2  # the minute may just have been over
    assert len(right) == 20
    before = clock.now()
    while shown() == first:
        clock.advance(100)
    second = shown()
    assert second == exact()
    assert clock.now() - before <= 60_000
    # A blackout, and a change of status, are known at once.
    fleet.use(Calendar((Span(now - DAY, now - DAY // 2),)))
    assert second != shown() == exact()
    one.current = CurrentStatus(Status.DOWN, Reason.MISSED, clock.now())
    one.past = (*one.past, StatusChange(clock.now(), Status.DOWN))
    clock.advance(30_000)
    assert shown() == exact()
    clock.step(-90_000)
    assert shown() == exact()
