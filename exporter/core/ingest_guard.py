"""The ingest guard: decides whether so many monitors are silent at once that heartbeats may not reach the exporter.

What is expected is known, so no history is needed. Each active monitor has one expectation: a success by its deadline,
which is its due moment + `degraded_after`. The sample are the monitors whose deadline passed unmet within the window,
and those that sent a success since the earliest such deadline. A monitor with a schedule that met an expectation whose
deadline lies between is in it too, and counts as heard: of a hundred jobs that are due together, five that die are five
of a hundred even at the moment of the deadline, since which none has sent anything. Everything here is pure; moments
are Unix time in milliseconds.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import floor
from typing import NamedTuple

from exporter.core.clock import MINUTE

MAX_STRAGGLERS = 3
"""One in so many of the late monitors may have been late before the silence began: jobs always die now and then."""


@dataclass(frozen=True, slots=True)
class GuardPolicy:
    """When silence is suspect. Durations in milliseconds."""

    window: int = 5 * MINUTE
    """How long an unmet deadline counts."""
    hold: int = 5 * MINUTE
    """How long alerts are held at most."""
    min_monitors: int = 10
    """Active monitors below which the guard never acts."""
    min_due: int = 5
    """Late monitors below which nothing is suspect."""
    late_share: float = 0.5
    """Share of the sample that must be late."""
    received_share: float = 0.3
    """Share of the sample that must not have sent anything since; from it on, heartbeats arrive."""


class LateMonitor(NamedTuple):
    """A monitor whose deadline passed unmet."""

    deadline: int
    id: int
    group: str
    """Monitors of one group may well be late together: they may run on one host. Empty: it is its own group."""


class ActiveMonitor(NamedTuple):
    """What the guard has to know of a monitor that is not late."""

    id: int
    last_success_at: int
    met_deadline: int | None
    """The deadline of the last expectation that it met; None if that is not known."""


class Ending(StrEnum):
    """Why a suspicion is over."""

    RETURNED = "returned"
    """Heartbeats arrive again."""
    LASTED = "lasted"
    """The hold has ended, and all that was held is sent."""
    SWITCHED_OFF = "switched_off"
    """The guard was switched off."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Heartbeats may not reach the exporter, since a moment."""

    since: int
    """When it was noticed."""
    counted_from: int
    """The earliest deadline of the sample."""
    last_received_at: int | None
    """The last heartbeat of any monitor before that deadline."""
    until: int
    """When the hold ends."""
    late: int
    """Late monitors, when it was noticed or later, and the sample that they belong to."""
    sample: int
    late_ids: tuple[int, ...]
    """Of the sample when it was noticed: the late monitors, and the others."""
    other_ids: tuple[int, ...]

    @property
    def monitor_ids(self) -> tuple[int, ...]:
        return (*self.late_ids, *self.other_ids)


class _Split(NamedTuple):
    """The sample counted from one deadline on."""

    counted_from: int
    late: Sequence[LateMonitor]
    others: tuple[int, ...]
    """Ids of the other monitors of the sample."""
    received: int

    @property
    def size(self) -> int:
        return len(self.late) + len(self.others)


def in_window(policy: GuardPolicy, late: Iterable[LateMonitor], now: int) -> list[LateMonitor]:
    """Those whose deadline passed within the window, in the order of their deadlines."""
    return sorted(each for each in late if now - policy.window < each.deadline <= now)


def may_be_suspect(policy: GuardPolicy, late: Sequence[LateMonitor]) -> bool:
    """Whether the late monitors of the window alone leave it possible; costs nothing in a fleet that is well."""
    return len(late) >= policy.min_due and _groups(late) >= 2


def room_for_others(policy: GuardPolicy, late: Sequence[LateMonitor]) -> tuple[int, int]:
    """(moment, count): if so many monitors that are not late sent a success since that moment, nothing is suspect."""
    latest = late[_last_start(policy, late)].deadline
    if policy.late_share <= 0:
        return latest, 1 << 62
    return latest, floor(len(late) / policy.late_share) - len(late) + 1


def suspect(
    policy: GuardPolicy,
    late: Sequence[LateMonitor],
    active: Sequence[ActiveMonitor],
    count: int,
    heard_since: Callable[[int, int], bool],
    last_received_before: Callable[[int], int | None],
    now: int,
) -> Suspicion | None:
    """Whether silence is suspect now. `late` is `in_window`; `active` are the other active monitors, of which those may
    be left out that neither sent a success nor met a deadline since the first of `late`; `count` is how many monitors
    are active. `heard_since(id, at)` returns whether the monitor sent anything from `at` on, `last_received_before(at)`
    the moment of the last heartbeat of any monitor before `at`.

    Counted from the earliest deadline; if that is a straggler's, of which up to a third may be, from a later one.
    """
    if count < policy.min_monitors or not may_be_suspect(policy, late):
        return None
    successes = sorted((each.last_success_at, each.id) for each in active)
    met = sorted((each.met_deadline, each.id) for each in active if each.met_deadline is not None)
    seen: int | None = None
    for start in range(_last_start(policy, late) + 1):
        at = late[start].deadline
        if at == seen:
            continue
        seen = at
        rest = late[start:]
        if len(rest) < policy.min_due or _groups(rest) < 2:
            break
        sent = {id for _, id in successes[bisect_left(successes, (at, 0)) :]}
        others = sent | {id for deadline, id in met[bisect_left(met, (at, 0)) :] if deadline <= now}
        received = len(sent) + sum(heard_since(each.id, at) for each in rest)
        received += len(others - sent)  # they met a deadline that others missed: heartbeats arrived for it
        split = _Split(at, rest, tuple(sorted(others)), received)
        if len(rest) >= policy.late_share * split.size and received < policy.received_share * split.size:
            late_ids, until = tuple(sorted(each.id for each in rest)), now + policy.hold
            return Suspicion(now, at, last_received_before(at), until, len(rest), split.size, late_ids, split.others)
    return None


def has_returned(
    policy: GuardPolicy,
    suspicion: Suspicion,
    sample: Collection[int] | None,
    heard_since: Callable[[int, int], bool],
) -> bool:
    """Whether heartbeats arrive: enough of the monitors that were late have sent since the suspicion was noticed, or
    enough of `sample` since the earliest deadline: that has grown since by late monitors and by those that sent a
    success. It is None while monitors wait for their evaluation, so that some of the late ones are not in it yet.
    """
    again = sum(heard_since(id, suspicion.since) for id in suspicion.late_ids)
    if again and again >= policy.received_share * len(suspicion.late_ids):
        return True
    received = sum(heard_since(id, suspicion.counted_from) for id in sample or ())
    return bool(received) and received >= policy.received_share * len(sample or ())


def returned_at(returns: Iterable[int], now: int) -> int:
    """When heartbeats arrived again, from the moments at which monitors that had been late sent again: the first of
    them, but for up to a quarter that sent by another way, or by luck, while the others could not.
    """
    moments = sorted(returns)
    return min(moments[len(moments) // 4], now) if moments else now


def with_figures(suspicion: Suspicion, late: int, sample: int) -> Suspicion:
    """The suspicion with its figures of now; they never shrink."""
    return replace(suspicion, late=max(late, suspicion.late), sample=max(sample, suspicion.sample))


def _last_start(policy: GuardPolicy, late: Sequence[LateMonitor]) -> int:
    """The index of the last deadline that may be counted from."""
    return max(0, min(len(late) // MAX_STRAGGLERS, len(late) - policy.min_due))


def _groups(late: Sequence[LateMonitor]) -> int:
    groups = {each.group for each in late if each.group}
    return len(groups) + sum(not each.group for each in late)
