"""What has to be true of every monitor after a storm, whatever happened in it. Each check yields what is not."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from exporter.core.alerts.alert import AlertState, Observation, advance
from exporter.core.exclusions import Calendar, Exclusions
from exporter.core.heartbeat import NO_HEARTBEATS, Kind, apply
from exporter.core.status import Reason, Status, evaluate
from exporter.core.timeline import CurrentStatus, changes
from tests.storm.clients import Sent
from tests.storm.monitors import RULE
from tests.storm.record import Alarm, Change, Delivered, Record
from tests.storm.worlds import World

Problems = Iterator[str]
PROMPT = 700
"""Milliseconds from a request to its answer, within which evaluations are taken to know it."""
_STATE = ("received", "failures", "starts", "last_received_at", "last_success_at", "last_failure_at", "last_start_at")


def stored_once(record: Record, sent: Iterable[Sent]) -> Problems:
    """Acknowledged is stored; nothing is stored more often than it was sent."""
    tag = record.monitor.tag
    attempts = Counter((one.kind, one.rid) for one in sent)
    acknowledged = {(one.kind, one.rid) for one in sent if one.status == 200}
    stored = Counter((one.beat.kind.value, one.beat.rid) for one in record.log)
    lost = acknowledged - set(stored)
    if lost:
        yield f"{tag}: {len(lost)} acknowledged heartbeats are lost: {sorted(lost)[:5]}"
    twice = [key for key, times in stored.items() if times > attempts[key]]
    if twice:
        yield f"{tag}: stored more often than sent: {twice[:5]}"


def order_of_receipt(record: Record, tolerance: int = 0) -> Problems:
    """The state is what the log amounts to, in the order of receipt, and no run is left over. Moments may differ by
    `tolerance` milliseconds.
    """
    tag, monitor = record.monitor.tag, record.monitor
    wanted = apply(NO_HEARTBEATS, record.received, monitor.max_runtime)
    for name in (*_STATE, "last_outcome", "last_exit_code", "consecutive_failures"):
        actual, right = getattr(record.state, name), getattr(wanted, name)
        near = name.endswith("_at") and actual is not None and right is not None and abs(actual - right) <= tolerance
        if actual != right and not near:
            yield f"{tag}: {name} is {getattr(record.state, name)}, the log says {getattr(wanted, name)}"
    left = [run.rid for run in wanted.runs]
    if record.in_order and sorted(record.runs) != sorted(left):
        yield f"{tag}: open runs are {record.runs}, the log says {left}"
    over = [rid for rid in record.runs if _ended(record, rid)]
    if over:
        yield f"{tag}: open runs that have ended: {over}"


def _ended(record: Record, rid: str) -> bool:
    beats = [beat for beat in record.received if beat.rid == rid and rid]
    return bool(beats) and beats[-1].kind in (Kind.SUCCESS, Kind.FAILURE)


def history(record: Record, sent: Iterable[Sent], calendar: Calendar) -> Problems:
    """Every transition is there once and at its moment, as the core says of the log in the order of receipt. Where
    heartbeats were stored long after they were received, evaluations could not know them: there, each transition has a
    reason that the log holds, and the last status is right.
    """
    tag = record.monitor.tag
    actual = transitions(record)
    if not actual or actual[0][0] is not Status.NO_DATA:
        yield f"{tag}: its history does not begin with NO_DATA: {actual[:2]}"
        return
    for before, after in pairwise(actual):
        if before[0] is after[0]:
            yield f"{tag}: the same transition twice: {before}, {after}"
        if after[2] < before[2]:
            yield f"{tag}: transitions go back in time: {before}, {after}"
    exclusions = calendar.of(record.monitor)
    wanted = expected(record, exclusions)
    if wanted != actual[1:]:
        if stored_in_time(record, sent) and not _about(actual[1:], wanted):
            yield f"{tag}: transitions are {_difference(actual[1:], wanted)}"
        unfounded = [one for one in record.changes[1:] if not _founded(record, one, exclusions)]
        if unfounded:
            yield f"{tag}: transitions without a reason in the log: {unfounded[:3]}"
        last = wanted[-1][0] if wanted else Status.NO_DATA
        if last is not actual[-1][0]:
            yield f"{tag}: is {actual[-1]}, by the order of receipt it is {wanted[-1:]}"
    if record.status is not actual[-1][0]:
        yield f"{tag}: is {record.status}, its last transition says {actual[-1][0]}"


def outline(record: Record, sent: Iterable[Sent]) -> Problems:
    """What holds of a history whatever clocks did: no transition twice, the last one is the status, and it was missed
    no more often than its client, by a clock that is right, had nothing stored for long enough.
    """
    stored = {one.beat.rid for one in record.log}  # what was stored without an acknowledgement counts for it too
    proofs = sorted((one.answered_at, one.sent_at) for one in sent if one.kind == "success" and one.rid in stored)
    silences = sum(after[0] - before[1] > record.monitor.down_after for before, after in pairwise(proofs))
    missed = sum(one.reason is Reason.MISSED for one in record.changes)
    if missed > silences + 1:
        yield f"{record.monitor.tag}: was missed {missed} times, and silent {silences + 1} times"
    actual = transitions(record)
    for before, after in pairwise(actual):
        if before[0] is after[0]:
            yield f"{record.monitor.tag}: the same transition twice: {before}, {after}"
    if not actual or record.status is not actual[-1][0]:
        yield f"{record.monitor.tag}: is {record.status}, its last transition says {actual[-1:]}"


def _about(actual: Sequence[tuple[Status, Reason, int]], wanted: Sequence[tuple[Status, Reason, int]]) -> bool:
    """The same transitions at almost the same moments: an evaluation may fall between a receipt and its commit."""
    return len(actual) == len(wanted) and all(
        one[:2] == other[:2] and abs(one[2] - other[2]) < PROMPT for one, other in zip(actual, wanted, strict=True)
    )


def transitions(record: Record) -> list[tuple[Status, Reason, int]]:
    return [(one.status, one.reason, one.at) for one in record.changes]


def stored_in_time(record: Record, sent: Iterable[Sent]) -> bool:
    """Whether every heartbeat was stored in the order of receipt and about when it was received."""
    prompt = {one.rid for one in sent if one.status == 200 and one.answered_at - one.sent_at < PROMPT}
    return record.in_order and all(one.beat.rid in prompt for one in record.log)


def expected(record: Record, exclusions: Exclusions) -> list[tuple[Status, Reason, int]]:
    """The core's pure function of the log, in the order of receipt."""
    current = CurrentStatus(Status.NO_DATA, Reason.NEVER_RECEIVED, record.created_at)
    beats = record.received
    until = max([record.evaluated_at, *(beat.received_at for beat in beats)])
    result = []
    for change in changes(record.monitor, NO_HEARTBEATS, current, record.created_at, until, beats, exclusions):
        if change.status is not current.status:
            result.append((change.status, change.reason, change.since))
        current = change
    return result


def _difference(actual: Sequence[object], wanted: Sequence[object]) -> str:
    for place, (one, other) in enumerate(zip(actual, wanted, strict=False)):
        if one != other:
            return f"…{actual[place : place + 3]} and not {wanted[place : place + 3]} (place {place})"
    return f"{len(actual)} and not {len(wanted)}: …{actual[len(wanted) :][:3]}{wanted[len(actual) :][:3]}"


def _founded(record: Record, change: Change, exclusions: Exclusions) -> bool:
    """Whether it is what the whole log says of that moment, or what a part of it said before the rest was stored."""
    monitor, at = record.monitor, change.at
    beats = record.received
    state = apply(NO_HEARTBEATS, (beat for beat in beats if beat.received_at <= at), monitor.max_runtime)
    if evaluate(monitor, state, at, exclusions).status is change.status:
        return True
    if change.reason is Reason.FAILED:
        return any(beat.kind is Kind.FAILURE and beat.received_at == at for beat in beats)
    if change.status is Status.UP:
        return any(beat.kind is Kind.SUCCESS and beat.received_at == at for beat in beats)
    if change.reason is Reason.OVERRUN:
        assert monitor.max_runtime is not None
        starts = (beat.received_at for beat in beats if beat.kind is Kind.START)
        return any(exclusions.deadline(start, monitor.max_runtime + 1, at) == at for start in starts)
    threshold = monitor.down_after if change.status is Status.DOWN else monitor.degraded_after
    successes = (beat.received_at for beat in beats if beat.kind is Kind.SUCCESS)
    return any(exclusions.deadline(success, threshold + 1, at) == at for success in successes)


def overtaken(record: Record) -> int:
    """How often it was DOWN because it was missed although a success had been received in time, which was stored only
    afterwards: nothing that was stored then said so.
    """
    successes = [beat.received_at for beat in record.received if beat.kind is Kind.SUCCESS]
    return sum(
        any(one.at - record.monitor.down_after <= at < one.at for at in successes)
        for one in record.changes
        if one.reason is Reason.MISSED
    )


def falsely_late(record: Record, sent: Sequence[Sent]) -> Problems:
    """No transition to late or missed while a client had an acknowledgement that proves the opposite."""
    monitor = record.monitor
    replayed = {one.beat.rid for one in record.log if one.late}
    proofs = [one for one in sent if one.status == 200 and one.kind == "success" and one.rid not in replayed]
    for change in record.changes:
        if change.reason not in (Reason.LATE, Reason.MISSED):
            continue
        threshold = monitor.down_after if change.status is Status.DOWN else monitor.degraded_after
        for one in proofs:
            if one.sent_at > change.at - threshold - 1 and one.answered_at < change.at:
                yield f"{monitor.tag}: falsely {change.status} at {change.at}: {one} was acknowledged"
                break


def alarms(record: Record, delivered: dict[str, Delivered], calendar: Calendar) -> Problems:
    """An alert for each time that it was DOWN, at its moment, each told once under one key, and so is its end."""
    tag = record.monitor.tag
    seen = [Observation(one.at, one.status, one.reason) for one in record.changes]
    if not seen:
        return
    blackouts = calendar.blackouts if calendar.forgives else ()
    _, steps = advance(RULE, None, seen, max(seen[-1].at, record.evaluated_at), blackouts)
    begun = [step.at for step in steps if step.step is AlertState.TRIGGERED]
    ended = [step.at for step in steps if step.step is AlertState.RESOLVED]
    if [alarm.triggered_at for alarm in record.alarms] != begun:
        yield f"{tag}: alerts began at {[alarm.triggered_at for alarm in record.alarms]} and not at {begun}"
    resolved = [alarm.resolved_at for alarm in record.alarms if alarm.resolved_at is not None]
    if sorted(resolved) != ended:
        yield f"{tag}: alerts ended at {resolved} and not at {ended}"
    for alarm in record.alarms:
        yield from _told(tag, alarm, delivered.get(alarm.uid, Delivered()))


def _told(tag: str, alarm: Alarm, delivered: Delivered) -> Problems:
    for event, keys in delivered.keys.items():
        if len(set(keys)) > 1:
            yield f"{tag}: {event} of alert {alarm.uid} was sent under the keys {sorted(set(keys))}"
    events = set(delivered.keys)
    if alarm.resolved_at is None and events != {"TRIGGERED"}:
        yield f"{tag}: alert {alarm.uid} goes on, and {sorted(events) or 'nothing'} was sent"
    if alarm.resolved_at is not None and not events:
        yield f"{tag}: nothing was sent of alert {alarm.uid}"
    if alarm.resolved_at is not None and "TRIGGERED" in events and "RESOLVED" not in events:
        yield f"{tag}: the end of alert {alarm.uid} was not sent"


def settled(world: World) -> Problems:
    """No notification waits or was given up, and nothing is in a spool."""
    for state, count in world.rows(
        "SELECT state, COUNT(*) FROM notifications WHERE state IN ('pending', 'dead') GROUP BY state"
    ):
        yield f"{count} notifications are {state}"


def shown(record: Record, service: str, metrics: dict[tuple[str, ...], float]) -> Problems:
    """What a replica shows is what is stored."""
    tag, state = record.monitor.tag, record.state
    for name, wanted in (
        ("heartbeat_received_total", len(record.log)),
        ("heartbeat_failures_total", sum(one.beat.kind is Kind.FAILURE for one in record.log)),
        ("heartbeat_starts_total", sum(one.beat.kind is Kind.START for one in record.log)),
        ("heartbeat_last_success_timestamp_seconds", _seconds(state.last_success_at)),
        ("heartbeat_last_failure_timestamp_seconds", _seconds(state.last_failure_at)),
    ):
        actual = metrics.get((name, tag))
        if actual != wanted:
            yield f"{tag}: {service} shows {name} {actual} and not {wanted}"
    statuses = defaultdict(list)
    for key, value in metrics.items():
        if key[0] == "heartbeat_status" and key[2] == tag and value:
            statuses[tag].append(key[1])
    if statuses[tag] != [record.status.value]:
        yield f"{tag}: {service} shows {statuses[tag]} and not {record.status.value}"


def _seconds(moment: int | None) -> float | None:
    return moment / 1000 if moment is not None else None
