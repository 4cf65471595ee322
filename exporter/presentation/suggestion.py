"""A suggestion as text: YAML for the configuration file, with the evidence as comments, and JSON for scripts."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from exporter.core.clock import DAY, MINUTE, SECOND
from exporter.core.durations import describe_duration, format_duration
from exporter.core.monitor import EARLY
from exporter.core.suggestion.suggestion import MIN_HEARTBEATS, Pattern, Quantiles, Suggestion
from exporter.presentation.moments import rfc3339

_FORTNIGHT = 14 * DAY


def suggestion_yaml(suggestion: Suggestion) -> str:
    """The entry of one monitor below `monitors:`, or comments alone if there is nothing to suggest."""
    lines = [f"  # {line}" for line in evidence_lines(suggestion)]
    settings = dict(_settings(suggestion))
    if settings:
        lines.append(f"  - tag: {json.dumps(suggestion.monitor.tag)}")
        lines += [
            f"    {name}: {json.dumps(value) if name == 'schedule' else value}" for name, value in settings.items()
        ]
    return "\n".join(lines) + "\n"


def evidence_lines(suggestion: Suggestion) -> list[str]:
    """Sentences for people: what the heartbeats show."""
    return list(_evidence(suggestion))


def suggestion_json(suggestion: Suggestion) -> dict[str, object]:
    """The same for scripts; durations as the configuration file has them."""
    return {
        "tag": suggestion.monitor.tag,
        "pattern": suggestion.pattern.value.replace(" ", "_"),
        "heartbeats": suggestion.heartbeats,
        "first": None if suggestion.first is None else rfc3339(suggestion.first),
        "last": None if suggestion.last is None else rfc3339(suggestion.last),
        "settings": dict(_settings(suggestion)),
        "differs": suggestion.proposes and suggestion.differs,
        "evidence": evidence_lines(suggestion),
    }


def _settings(suggestion: Suggestion) -> Iterator[tuple[str, str]]:
    """Names and values as the configuration file has them."""
    if suggestion.schedule is not None and suggestion.timezone is not None:
        yield "schedule", suggestion.schedule
        yield "timezone", suggestion.timezone
    for name, value in (
        ("every", suggestion.every),
        ("early", suggestion.early),
        ("degraded_after", suggestion.degraded_after),
        ("down_after", suggestion.down_after),
        ("max_runtime", suggestion.max_runtime),
    ):
        if value is not None:
            yield name, format_duration(value)


def _evidence(suggestion: Suggestion) -> Iterator[str]:
    monitor, count = suggestion.monitor, suggestion.heartbeats
    if suggestion.pattern is Pattern.TOO_FEW:
        yield (
            f"{monitor.tag}: no suggestion, too few heartbeats: {count} with a result "
            f"{'is' if count == 1 else 'are'} kept, and {MIN_HEARTBEATS} are needed."
        )
        return
    assert suggestion.first is not None
    assert suggestion.last is not None
    zone = suggestion.timezone or monitor.timezone
    yield (
        f"{monitor.tag}: {count} heartbeats with a result, from {_moment(suggestion.first, zone)} to "
        f"{_moment(suggestion.last, zone)} ({zone}), {describe_duration(suggestion.last - suggestion.first)}."
    )
    yield from _pattern(suggestion)
    if suggestion.runtimes is not None:
        runs = suggestion.runtimes.count
        yield f"Runtimes of {runs} run{'' if runs == 1 else 's'}: {_quantiles(suggestion.runtimes)}."
    if suggestion.pattern is not Pattern.NONE:
        yield f"In force: {_in_force(suggestion)}." + ("" if suggestion.differs else " Nothing would change.")


def _pattern(suggestion: Suggestion) -> Iterator[str]:
    fit, lateness = suggestion.fit, suggestion.lateness
    assert suggestion.first is not None
    assert suggestion.last is not None
    if fit is not None:
        what = "starts" if suggestion.by_start else "heartbeats"
        if suggestion.lead is not None:
            covered = "" if suggestion.early else f", which early: {format_duration(suggestion.monitor.early)} covers"
            lead = describe_duration(suggestion.lead - suggestion.lead % SECOND)
            yield f"The {what} come before the times of the schedule in force, by up to {lead}{covered}."
        yield f"{fit.fitting} of {fit.moments} {what} fit the schedule; {fit.served} of its {fit.ticks} times have one."
        if not suggestion.by_start and fit.candidate.reach > 3 * MINUTE:
            yield "No starts are reported, so the times are those at which runs ended, and vary with the runtime."
        if suggestion.last - suggestion.first < _FORTNIGHT and fit.candidate.expression.endswith("* * *"):
            yield "The heartbeats cover less than two weeks: whether it runs at weekends as well is not certain."
        if lateness is not None:
            yield f"Success after the scheduled time: {_quantiles(lateness)}."
    elif suggestion.pattern is Pattern.INTERVAL and lateness is not None:
        yield "They come regularly, but at no times that a cron expression names: an interval is suggested, and"
        yield "the thresholds count from its end."
        yield f"Time between two successes: {_quantiles(lateness)}."
        if suggestion.monitor.schedule is not None:
            yield "The schedule in force does not fit: remove it."
    else:
        yield "No pattern: neither a cron expression nor a regular interval fits them, so nothing is suggested"
        yield "for the schedule and the thresholds."
        if lateness is not None:
            yield f"Time between two successes: {_quantiles(lateness)}."


def _quantiles(durations: Quantiles) -> str:
    return (
        f"median {describe_duration(durations.median)}, 95 % up to {describe_duration(durations.p95)}, "
        f"longest {describe_duration(durations.longest)}"
    )


def _in_force(suggestion: Suggestion) -> str:
    monitor = suggestion.monitor
    schedule = "no schedule" if monitor.schedule is None else f"{monitor.schedule} in {monitor.timezone}"
    if monitor.schedule is not None and monitor.early != EARLY:
        schedule += f", early {format_duration(monitor.early)}"
    if monitor.every is not None:
        schedule = f"every {format_duration(monitor.every)}"
    longest = "" if monitor.max_runtime is None else f", max_runtime {format_duration(monitor.max_runtime)}"
    return (
        f"{schedule}, degraded_after {format_duration(monitor.degraded_after)}, "
        f"down_after {format_duration(monitor.down_after)}{longest}"
    )


def _moment(at: int, zone: str) -> str:
    return f"{datetime.fromtimestamp(at / 1000, UTC).astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"
