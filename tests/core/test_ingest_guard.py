"""When silence is suspect: the decision alone, held against a definition that goes through the sample."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.clock import MINUTE, SECOND
from exporter.core.ingest_guard import (
    MAX_STRAGGLERS,
    ActiveMonitor,
    GuardPolicy,
    LateMonitor,
    Suspicion,
    has_returned,
    in_window,
    may_be_suspect,
    returned_at,
    room_for_others,
    suspect,
    with_figures,
)

NOW = 1_000 * MINUTE
POLICY = GuardPolicy()


@dataclass(frozen=True)
class World:
    """Late and other monitors, and when each sent anything at all."""

    late: Sequence[LateMonitor]
    active: Sequence[ActiveMonitor]
    received: dict[int, int]

    @property
    def count(self) -> int:
        return len(self.late) + len(self.active)

    def heard(self, id: int, at: int) -> bool:
        return self.received.get(id, -1) >= at

    def last(self, at: int) -> int | None:
        return max((moment for moment in self.received.values() if moment < at), default=None)

    def judge(self, policy: GuardPolicy = POLICY, count: int | None = None) -> Suspicion | None:
        late = in_window(policy, self.late, NOW)
        count = self.count if count is None else count
        return suspect(policy, late, self.active, count, self.heard, self.last, NOW)


def silent(count: int, alive: int = 0, group: str = "", at: int = NOW - MINUTE) -> World:
    """So many late monitors since one moment, and so many that sent a success after it."""
    late = [LateMonitor(at, id, group) for id in range(1, count + 1)]
    ids = range(count + 1, count + alive + 1)
    active = [ActiveMonitor(id, at + SECOND, None) for id in ids]
    received = {each.id: at - MINUTE for each in late} | {each.id: each.last_success_at for each in active}
    return World(late, active, received)


def test_all_monitors_are_silent() -> None:
    suspicion = silent(10).judge()
    assert suspicion is not None
    assert (suspicion.since, suspicion.counted_from, suspicion.until) == (NOW, NOW - MINUTE, NOW + POLICY.hold)
    assert (suspicion.late, suspicion.sample, suspicion.last_received_at) == (10, 10, NOW - 2 * MINUTE)
    assert suspicion.monitor_ids == tuple(range(1, 11))


@pytest.mark.parametrize(("late", "alive", "yes"), [(10, 4, True), (10, 5, False), (5, 2, True), (5, 3, False)])
def test_received_share_is_what_must_not_be_reached(late: int, alive: int, yes: bool) -> None:
    assert (silent(late, alive).judge(replace(POLICY, min_monitors=1)) is not None) is yes


def test_late_share_is_reached_exactly() -> None:
    policy = replace(POLICY, received_share=1.0)
    assert silent(10, 10).judge(policy) is not None
    assert silent(10, 11).judge(policy) is None


@pytest.mark.parametrize(("field", "most"), [("min_due", 10), ("min_monitors", 10)])
def test_small_numbers_are_never_suspect(field: str, most: int) -> None:
    assert silent(10).judge(replace(POLICY, **{field: most})) is not None  # type: ignore[arg-type]
    assert silent(10).judge(replace(POLICY, **{field: most + 1})) is None  # type: ignore[arg-type]


def test_one_group_alone_is_never_suspect_two_are_and_none_is_a_group_of_its_own() -> None:
    world = silent(10, group="db1")
    assert world.judge() is None
    mixed = [each._replace(group="db2") if each.id == 3 else each for each in world.late]
    assert replace(world, late=mixed).judge() is not None
    alone = [each._replace(group="") if each.id == 3 else each for each in world.late]
    assert replace(world, late=alone).judge() is not None


def test_deadlines_beyond_the_window_do_not_count() -> None:
    at = NOW - POLICY.window
    assert silent(10, at=at).judge() is None
    assert silent(10, at=at + 1).judge() is not None


def test_five_of_a_hundred_that_are_due_together_are_five_of_a_hundred() -> None:
    """At the very moment of the deadline nobody has sent since; the others have met the same deadline."""
    world = silent(5, at=NOW)
    met = [ActiveMonitor(id, NOW - MINUTE, NOW) for id in range(100, 195)]
    assert replace(world, active=met).judge() is None
    assert replace(world, active=[each._replace(met_deadline=None) for each in met]).judge() is not None


def test_a_straggler_does_not_hide_a_silence() -> None:
    world = silent(10)
    before = [ActiveMonitor(id, NOW - 2 * MINUTE, None) for id in range(100, 140)]
    received = world.received | {each.id: each.last_success_at for each in before}
    straggler = LateMonitor(NOW - 3 * MINUTE, 99, "")
    suspicion = World([*world.late, straggler], before, received).judge()
    assert suspicion is not None
    assert suspicion.counted_from == NOW - MINUTE
    assert 99 not in suspicion.monitor_ids


# ── against the definition ───────────────────────────────────────────────────────────────────────────────────

_moments = st.integers(-6 * 60, 0).map(lambda seconds: NOW + seconds * SECOND)
_groups = st.sampled_from(["", "", "a", "b"])
_policies = st.builds(
    GuardPolicy,
    window=st.sampled_from([MINUTE, 5 * MINUTE]),
    min_monitors=st.integers(1, 8),
    min_due=st.integers(1, 6),
    late_share=st.sampled_from([0.1, 0.5, 1.0]),
    received_share=st.sampled_from([0.1, 0.3, 1.0]),
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    late = [LateMonitor(draw(_moments), id, draw(_groups)) for id in range(draw(st.integers(0, 12)))]
    active = [
        ActiveMonitor(id, draw(_moments), draw(st.none() | _moments))
        for id in range(100, 100 + draw(st.integers(0, 12)))
    ]
    received = {each.id: draw(_moments) for each in late}
    received |= {each.id: max(each.last_success_at, draw(_moments)) for each in active}
    return World(late, active, received)


def _by_definition(policy: GuardPolicy, world: World) -> int | None:
    """The deadline that the sample is counted from; None if nothing is suspect."""
    late = sorted(each for each in world.late if NOW - policy.window < each.deadline <= NOW)
    if world.count < policy.min_monitors:
        return None
    starts = range(max(0, min(len(late) // MAX_STRAGGLERS, len(late) - policy.min_due)) + 1)
    for at in dict.fromkeys(late[start].deadline for start in starts if start < len(late)):
        rest = [each for each in late if each.deadline >= at]
        groups = {each.group or each.id for each in rest}
        if len(rest) < policy.min_due or len(groups) < 2:
            continue
        others = {
            each.id
            for each in world.active
            if each.last_success_at >= at or (each.met_deadline is not None and at <= each.met_deadline <= NOW)
        }
        sample = {each.id for each in rest} | others
        received = sum(world.heard(each.id, at) for each in rest) + len(others)
        if len(rest) / len(sample) >= policy.late_share and received / len(sample) < policy.received_share:
            return at
    return None


@given(_policies, worlds())
def test_it_is_the_definition(policy: GuardPolicy, world: World) -> None:
    suspicion = world.judge(policy)
    assert (suspicion.counted_from if suspicion is not None else None) == _by_definition(policy, world)


@given(_policies, worlds())
def test_a_short_look_is_enough(policy: GuardPolicy, world: World) -> None:
    """What `room_for_others` says about the rest of the fleet never hides a suspicion."""
    late = in_window(policy, world.late, NOW)
    if not late:
        return
    since, too_many = room_for_others(policy, late)
    alive = sum(
        each.last_success_at >= since or (each.met_deadline is not None and since <= each.met_deadline <= NOW)
        for each in world.active
    )
    if alive >= too_many or not may_be_suspect(policy, late):
        assert world.judge(policy) is None


@given(_policies, worlds())
def test_what_is_suspect_has_not_returned(policy: GuardPolicy, world: World) -> None:
    suspicion = world.judge(policy)
    if suspicion is not None:
        before = {id: at for id, at in world.received.items() if at < NOW}
        world = replace(world, received=before)
        assert not has_returned(policy, suspicion, suspicion.monitor_ids, world.heard)


@given(_policies, worlds(), st.data())
def test_it_latches_until_enough_have_sent_again(policy: GuardPolicy, world: World, data: st.DataObject) -> None:
    suspicion = world.judge(policy)
    if suspicion is None:
        return
    ids = suspicion.monitor_ids
    again = data.draw(st.sets(st.sampled_from(ids)))
    received = {id: min(at, suspicion.counted_from - 1) for id, at in world.received.items()}
    received |= dict.fromkeys(again, NOW + SECOND)
    world = replace(world, received=received)
    late = again & set(suspicion.late_ids)
    enough = bool(late) and len(late) >= policy.received_share * len(suspicion.late_ids)
    assert has_returned(policy, suspicion, None, world.heard) is enough
    enough |= bool(again) and len(again) >= policy.received_share * len(ids)
    assert has_returned(policy, suspicion, ids, world.heard) is enough
    # Once it has returned, more heartbeats do not take that back.
    more = replace(world, received=received | dict.fromkeys(ids, NOW + SECOND))
    assert has_returned(policy, suspicion, ids, more.heard)


def test_a_sample_that_grows_by_those_that_send_ends_it() -> None:
    """Half of a fleet is dead, and the other half had not been due yet."""
    suspicion = silent(6).judge(replace(POLICY, min_monitors=1))
    assert suspicion is not None
    sample = {*suspicion.monitor_ids, *range(100, 103)}
    heard = {100, 101, 102}
    assert has_returned(POLICY, suspicion, sample, lambda id, at: id in heard)
    assert not has_returned(POLICY, suspicion, {*suspicion.monitor_ids, 100}, lambda id, at: id == 100)


def test_the_return_is_the_first_heartbeat_of_a_monitor_that_was_late() -> None:
    assert returned_at([NOW + 9, NOW + 5, NOW + 7], NOW + 20) == NOW + 5
    assert returned_at([], NOW + 20) == NOW + 20
    assert returned_at([NOW + 30], NOW + 20) == NOW + 20


def test_a_few_that_came_by_another_way_are_no_return() -> None:
    assert returned_at([NOW - 60, *range(NOW + 5, NOW + 12)], NOW + 20) == NOW + 6


def test_figures_never_shrink() -> None:
    suspicion = silent(6).judge(replace(POLICY, min_monitors=1)) or _none()
    grown = with_figures(suspicion, 9, 12)
    assert (grown.late, grown.sample) == (9, 12)
    assert with_figures(grown, 1, 1) == grown


def _none() -> Suspicion:
    raise AssertionError("nothing is suspect")
