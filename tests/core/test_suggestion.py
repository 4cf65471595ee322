"""Suggestions: a job that runs by a cron expression yields an equivalent schedule; noise yields none."""

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.core.calendar.schedule import check_cron, next_tick
from exporter.core.clock import DAY, HOUR, MINUTE, SECOND
from exporter.core.exclusions import Exclusions
from exporter.core.heartbeat import Heartbeat, Kind
from exporter.core.monitor import Monitor
from exporter.core.spans import Span
from exporter.core.suggestion.cron_text import field
from exporter.core.suggestion.suggestion import MIN_HEARTBEATS, Pattern, Suggestion, interval_of, nice, suggest
from exporter.core.suggestion.ticks import ticks_between
from tests.core.test_schedule import EXPRESSIONS, STARTS, ZONES

SOURCES = st.integers(0, 10**9).map(random.Random)
"""Noise; what hypothesis chooses itself is no noise."""


def moment(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def ticks_of(expression: str, zone: str, start: int, count: int) -> list[int]:
    return ticks_between(expression, zone, start, start + 3000 * DAY, count)


def at_ticks(ticks: list[int], late: list[int]) -> list[Heartbeat]:
    return [Heartbeat(Kind.SUCCESS, tick + delay) for tick, delay in zip(ticks, late, strict=True)]


def assert_equivalent(found: Suggestion, expression: str, zone: str, ticks: list[int]) -> None:
    """The same ticks over the time that was seen."""
    assert found.schedule is not None, found
    assert found.timezone is not None
    check_cron(found.schedule)
    wanted, suggested = [
        ticks_between(one, its_zone, ticks[0] - 1, ticks[-1], 5000)
        for one, its_zone in ((expression, zone), (found.schedule, found.timezone))
    ]
    assert suggested == wanted, (found.schedule, found.timezone)


# ── a schedule is found again ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_all_ticks_of_a_span_are_those_that_come_one_after_the_other(expression: str, zone: str) -> None:
    for start in STARTS:
        begin = at = moment(start)
        ticks = [at := next_tick(expression, zone, at) for _ in range(12)]
        if ticks[-1] < begin + 2000 * DAY:
            assert ticks_between(expression, zone, begin, ticks[-1], 1000) == ticks
            assert ticks_between(expression, zone, ticks[3], ticks[-1], 5) == ticks[4:9]


WEEKDAYS = st.sampled_from(["*", "*", "1-5", "1", "3,5", "0,6", "6", "0"])


@st.composite
def schedules(draw: st.DrawFn) -> tuple[str, int]:
    """An expression, and how many of its ticks show it."""
    minute = draw(st.integers(0, 59))
    match draw(st.integers(0, 5)):
        case 0:  # every N minutes
            step = draw(st.sampled_from([1, 2, 5, 10, 15, 20, 30]))
            begin = draw(st.integers(0, step - 1))
            return (f"{begin}-59/{step}" if begin else f"*/{step}") + " * * * *", draw(st.integers(30, 100))
        case 1:  # every hour, once or more
            minutes = sorted({minute, *draw(st.lists(st.integers(0, 5).map(lambda one: (minute + 10 * one) % 60)))})
            return f"{','.join(map(str, minutes))} * * * *", draw(st.integers(30, 100))
        case 2:  # every few hours
            step = draw(st.sampled_from([2, 3, 4, 6, 8, 12]))
            return f"{minute} {draw(st.integers(0, step - 1))}-23/{step} * * *", draw(st.integers(40, 100))
        case 3:  # several times a day
            hours = draw(st.lists(st.integers(0, 23), min_size=2, max_size=4, unique=True))
            return f"{minute} {','.join(map(str, sorted(hours)))} * * *", draw(st.integers(30, 100))
        case 4:  # on days of the month
            days = draw(st.sampled_from(["1", "15", "1,15", "5,20", "*/2", "L", "1,11,21"]))
            return f"{minute} {draw(st.integers(0, 23))} {days} * *", draw(st.integers(24, 60))
        case _:  # at a time of day, on weekdays or all days
            return f"{minute} {draw(st.integers(0, 23))} * * {draw(WEEKDAYS)}", draw(st.integers(30, 100))


@settings(max_examples=100)
@given(schedules(), st.sampled_from(ZONES), st.sampled_from(STARTS), st.integers(0, 50), SOURCES)
def test_a_job_that_runs_by_a_schedule_yields_an_equivalent_one(
    schedule: tuple[str, int], zone: str, start: str, jitter: int, source: random.Random
) -> None:
    """With up to 50 s of delay, over changes of the clocks; the monitor has the right timezone."""
    expression, count = schedule
    ticks = ticks_of(expression, zone, moment(start), count)
    late = [source.randint(0, jitter * SECOND) for _ in ticks]
    found = suggest(Monitor(tag="job", timezone=zone), at_ticks(ticks, late))
    assert found.pattern is Pattern.SCHEDULE
    assert_equivalent(found, expression, zone, ticks)
    assert found.fit is not None
    assert found.fit.fitting == found.fit.moments == found.fit.served == found.fit.ticks == count
    assert found.degraded_after is not None
    assert found.down_after is not None
    assert max(late) < found.degraded_after < found.down_after


@settings(max_examples=40)
@given(st.sampled_from(["Europe/Berlin", "America/New_York"]), st.integers(0, 23), st.integers(0, 59))
def test_the_timezone_is_found_when_clocks_changed(zone: str, hour: int, minute: int) -> None:
    """The monitor says UTC, as by default, and the job's machine has another timezone."""
    expression = f"{minute} {hour} * * *"
    ticks = ticks_of(expression, zone, moment("2026-02-14T00:00"), 80)
    found = suggest(Monitor(tag="job"), at_ticks(ticks, [3000] * 80))
    assert_equivalent(found, expression, zone, ticks)
    assert found.timezone == zone
    still = ticks_of(expression, zone, moment("2026-05-01T00:00"), 80)
    assert suggest(Monitor(tag="job"), at_ticks(still, [3000] * 80)).timezone == "UTC"  # nothing tells them apart


def test_a_job_on_utc_whose_monitor_says_otherwise() -> None:
    ticks = ticks_of("0 3 * * *", "UTC", moment("2026-02-14T00:00"), 80)
    found = suggest(Monitor(tag="job", timezone="Europe/Berlin"), at_ticks(ticks, [3000] * 80))
    assert (found.schedule, found.timezone) == ("0 3 * * *", "UTC")


@settings(max_examples=30)
@given(SOURCES, st.sampled_from(["0 3 * * *", "0 * * * *", "30 4 * * 1-5", "*/15 * * * *"]))
def test_a_few_missing_runs_and_odd_ones_change_nothing(source: random.Random, expression: str) -> None:
    ticks = ticks_of(expression, "UTC", moment("2026-05-04T00:00"), 100)
    beats = at_ticks(ticks, [source.randint(0, 40_000) for _ in ticks])
    for place in sorted(source.sample(range(1, 99), 4), reverse=True):
        del beats[place]
    by_hand = [Heartbeat(Kind.SUCCESS, source.choice(ticks[:-1]) + source.randint(2, 12) * MINUTE) for _ in range(2)]
    beats = sorted([*beats, *by_hand], key=lambda beat: beat.received_at)
    assert_equivalent(suggest(Monitor(tag="job"), beats), expression, "UTC", ticks)


def test_starts_say_when_it_runs_and_ends_how_long_it_may_take() -> None:
    source = random.Random(1)
    beats = []
    for place, tick in enumerate(ticks_of("0 3 * * *", "UTC", moment("2026-05-04T00:00"), 40)):
        took = source.randint(20, 85) * MINUTE
        beats.append(Heartbeat(Kind.START, tick + 1500, f"r{place}"))
        beats.append(Heartbeat(Kind.SUCCESS, tick + 1500 + took, f"r{place}"))
    found = suggest(Monitor(tag="job"), beats)
    assert (found.schedule, found.by_start) == ("0 3 * * *", True)
    assert found.lateness is not None
    assert 80 * MINUTE < found.lateness.longest < 87 * MINUTE
    assert (found.degraded_after, found.down_after, found.max_runtime) == (3 * HOUR, 6 * HOUR, 3 * HOUR)
    ends = [beat for beat in beats if beat.kind is Kind.SUCCESS]
    without = suggest(Monitor(tag="job"), ends)
    assert without.by_start is False
    assert without.max_runtime is None
    assert without.schedule is not None
    assert without.schedule.endswith(" 3 * * *")


def test_failures_that_are_tried_again_belong_to_their_tick() -> None:
    beats = []
    for place, tick in enumerate(ticks_of("0 3 * * *", "UTC", moment("2026-05-04T00:00"), 40)):
        if place % 3 == 0:
            beats.append(Heartbeat(Kind.FAILURE, tick + 1000, exit_code=1))
        beats.append(Heartbeat(Kind.SUCCESS, tick + 20_000))
    assert suggest(Monitor(tag="job"), beats).schedule == "0 3 * * *"


def test_seconds_early_belong_to_the_tick_that_follows() -> None:
    ticks = ticks_of("0 3 * * *", "UTC", moment("2026-05-04T00:00"), 40)
    assert suggest(Monitor(tag="job"), at_ticks(ticks, [-3000, 2000] * 20)).schedule == "0 3 * * *"


def test_ticks_that_are_excused_are_not_missed() -> None:
    ticks = ticks_of("0 * * * *", "UTC", moment("2026-05-04T00:00"), 100)
    away = Span(ticks[20] - 1, ticks[60] + 1)
    beats = at_ticks([tick for tick in ticks if not away.start <= tick < away.end], [1000] * 59)
    assert suggest(Monitor(tag="job"), beats).pattern is not Pattern.SCHEDULE
    found = suggest(Monitor(tag="job"), beats, exclusions=Exclusions((away,)))
    assert found.schedule == "0 * * * *"


# ── and none where there is none ─────────────────────────────────────────────────────────────────────────────────


@given(st.integers(0, MIN_HEARTBEATS - 1))
def test_too_few_heartbeats_say_nothing(count: int) -> None:
    ticks = ticks_of("0 3 * * *", "UTC", moment("2026-05-04T00:00"), count)
    logs = [Heartbeat(Kind.LOG, tick) for tick in range(50)]
    found = suggest(Monitor(tag="job"), [*logs, *at_ticks(ticks, [0] * count)])
    assert (found.pattern, found.heartbeats, found.schedule) == (Pattern.TOO_FEW, count, None)
    assert (found.degraded_after, found.down_after, found.max_runtime) == (None, None, None)
    assert not found.differs


@given(SOURCES, st.integers(20, 100))
def test_heartbeats_at_random_have_no_pattern(source: random.Random, count: int) -> None:
    at, beats = moment("2026-05-04T00:00"), []
    for _ in range(count):
        at += round(source.expovariate(1 / (5 * HOUR))) + MINUTE
        beats.append(Heartbeat(Kind.SUCCESS, at))
    found = suggest(Monitor(tag="job"), beats)
    assert found.pattern is Pattern.NONE, found.fit
    assert found.degraded_after is None


@given(SOURCES, st.sampled_from([7 * MINUTE, 47 * MINUTE, 100 * MINUTE]))
def test_a_loop_that_sleeps_has_an_interval_and_no_schedule(source: random.Random, pause: int) -> None:
    at, beats = moment("2026-05-04T00:00"), []
    for _ in range(100):
        at += pause + source.randint(0, pause // 10)
        beats.append(Heartbeat(Kind.SUCCESS, at))
    found = suggest(Monitor(tag="job"), beats)
    assert (found.pattern, found.schedule) == (Pattern.INTERVAL, None)
    assert found.every is not None
    assert found.degraded_after is not None
    assert 0.9 * pause <= found.every <= 1.3 * pause
    assert 1.1 * pause < found.every + found.degraded_after
    assert found.degraded_after <= max(pause, 5 * MINUTE)
    assert found.down_after is not None
    assert found.degraded_after < found.down_after
    again = suggest(
        Monitor(tag="job", every=found.every, degraded_after=found.degraded_after, down_after=found.down_after),
        beats,
    )
    assert not again.differs


@pytest.mark.parametrize(
    ("pause", "every"),
    [
        (10 * SECOND, 10 * SECOND),
        (33 * SECOND, 33 * SECOND),
        (613 * SECOND, 10 * MINUTE),
        (2 * HOUR + 3 * MINUTE, 2 * HOUR),
        (100 * MINUTE, 100 * MINUTE),
        (101 * MINUTE + 1, 105 * MINUTE),
        (5 * HOUR + MINUTE, 5 * HOUR + 5 * MINUTE),
        (25 * HOUR, DAY),
        (31 * HOUR + MINUTE, 32 * HOUR),
    ],
)
def test_intervals_are_written_as_people_write_them(pause: int, every: int) -> None:
    assert interval_of(pause) == every


# ── early runs ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("by_start", [False, True])
@pytest.mark.parametrize(
    ("schedule", "lead", "early", "suggested"),
    [
        ("0 3 * * *", 30 * SECOND, MINUTE, None),
        ("0 3 * * *", 30 * SECOND, 0, MINUTE),
        ("0 3 * * *", 90 * SECOND, MINUTE, 3 * MINUTE),
        ("0 3 * * *", 90 * SECOND, 2 * MINUTE, None),
        ("*/15 * * * *", 3 * MINUTE, MINUTE, 5 * MINUTE),
        ("0 9 * * 1-5", 100 * SECOND, MINUTE, 3 * MINUTE),
    ],
)
def test_a_job_that_always_comes_before_its_tick(
    schedule: str, lead: int, early: int, suggested: int | None, by_start: bool
) -> None:
    """The schedule in force stays."""
    ticks = ticks_of(schedule, "Europe/Rome", moment("2026-05-04T00:00"), 40)
    beats = []
    for number, tick in enumerate(ticks):
        at = tick - lead + number % 7 * SECOND
        beats += [Heartbeat(Kind.START, at)] if by_start else []
        beats.append(Heartbeat(Kind.SUCCESS, at + (20 * SECOND if by_start else 0)))
    found = suggest(Monitor(tag="job", schedule=schedule, timezone="Europe/Rome", early=early), beats)
    assert (found.schedule, found.timezone) == (schedule, "Europe/Rome")
    assert (found.early, found.lead) == (suggested, lead)
    assert found.every is None
    assert found.fit is not None
    assert found.fit.served == found.fit.ticks == 40
    assert found.degraded_after is not None
    assert found.degraded_after <= 5 * MINUTE


def test_a_job_that_runs_at_another_time_is_not_early() -> None:
    ticks = ticks_of("40 2 * * *", "UTC", moment("2026-05-04T00:00"), 40)
    found = suggest(Monitor(tag="job", schedule="0 3 * * *"), at_ticks(ticks, [1000] * 40))
    assert (found.schedule, found.early, found.lead) == ("40 2 * * *", None, None)


def test_a_job_that_is_early_only_now_and_then() -> None:
    ticks = ticks_of("0 3 * * *", "UTC", moment("2026-05-04T00:00"), 40)
    late = [-40_000 if number % 3 == 0 else 5000 for number in range(40)]
    assert suggest(Monitor(tag="job", schedule="0 3 * * *"), at_ticks(ticks, late)).lead is None


@given(st.lists(st.integers(0, 400 * DAY), max_size=60), st.sampled_from(ZONES))
def test_any_heartbeats_can_be_looked_at(moments: list[int], zone: str) -> None:
    start = moment("2026-01-01T00:00")
    beats = [Heartbeat(Kind.SUCCESS, start + at) for at in sorted(moments)]
    found = suggest(Monitor(tag="job", timezone=zone), beats)
    assert found.schedule is None or check_cron(found.schedule)


@pytest.mark.parametrize("gap", [0, 1])
def test_heartbeats_at_one_moment_have_no_pattern(gap: int) -> None:
    beats = [Heartbeat(Kind.SUCCESS, moment("2026-05-04T00:00") + gap * number) for number in range(30)]
    assert suggest(Monitor(tag="job"), beats).pattern is Pattern.NONE


# ── texts ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("values", "low", "high", "text"),
    [
        (range(60), 0, 59, "*"),
        (range(0, 60, 5), 0, 59, "*/5"),
        (range(7, 60, 15), 0, 59, "7-59/15"),
        (range(8, 18, 3), 0, 23, "8-17/3"),
        (range(8, 18), 0, 23, "8-17"),
        ([0, 30], 0, 59, "0,30"),
        ([1, 2, 5, 7, 8, 9], 0, 23, "1,2,5,7-9"),
        (range(1, 32, 2), 1, 31, "*/2"),
    ],
)
def test_fields_are_short(values: range | list[int], low: int, high: int, text: str) -> None:
    assert field(values, low, high) == text


@given(st.sets(st.integers(0, 23), min_size=1), st.booleans())
def test_fields_name_their_numbers(hours: set[int], star_steps: bool) -> None:
    text = field(hours, 0, 23, star_steps=star_steps)
    start = moment("2026-05-04T00:00") - 1
    ticks = ticks_between(f"0 {text} * * *", "UTC", start, start + DAY, 100)
    assert {(tick // HOUR) % 24 for tick in ticks} == hours


@given(st.integers(1, 500 * DAY))
def test_nice_durations_are_no_shorter(duration: int) -> None:
    assert duration <= nice(duration) <= max(MINUTE, 2.1 * duration)
