"""What a push makes of the groups of its monitor."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from exporter.core.job_metrics.model import (
    MAX_BYTES,
    MAX_GROUPS,
    MAX_SAMPLES,
    TAG,
    JobFamily,
    JobGroup,
    Labels,
    Push,
    PushMode,
    PushRefused,
    Series,
    check_duplicates,
    check_types,
    count_of,
    owned_names,
    series_of,
)


class GroupSummary(NamedTuple):
    """What has to be known of a monitor's other groups: to read all of them at each push would be too slow."""

    labels: Labels
    types: Mapping[str, str]
    """Of its families, by name."""
    samples: int
    size: int
    pushed_at: int
    failed_at: int

    @classmethod
    def of(cls, group: JobGroup) -> "GroupSummary":
        types = {family.name: family.type for family in group.families}
        size = sum(family.size for family in group.families)
        return cls(group.labels, types, count_of(group.families), size, group.pushed_at, group.failed_at)


def after_push(
    summaries: Mapping[str, GroupSummary],
    id: str,
    push: Push,
    at: int,
    families: Callable[[str], Sequence[JobFamily]],
) -> tuple[JobGroup, GroupSummary]:
    """The group `id` as the push makes it at the moment `at`; raises PushRefused.

    `summaries` are those of all groups of the monitor, by id; `families` reads those of one group.
    """
    before = summaries.get(id)
    merged = list(push.families)
    if push.mode is PushMode.MERGE and before is not None:
        names = {family.name for family in merged}
        merged += (family for family in families(id) if family.name not in names)
    merged.sort()
    group = JobGroup(push.labels, tuple(merged), at, before.failed_at if before is not None else 0)
    summary = GroupSummary.of(group)
    others = {other_id: other for other_id, other in summaries.items() if other_id != id}
    _check_limits(summary, others.values())
    present: dict[str, str] = {}
    for other in others.values():
        present.update(other.types)
    check_types((*_related(present, summary.types), *summary.types.items()))
    taken: list[Series] = []
    for other_id, other in others.items():
        if not summary.types.keys().isdisjoint(other.types) and not _apart(other.labels, push.labels):
            taken += series_of(other.labels, families(other_id))
    if taken or _overrides(push.labels, merged):  # else those of one body were compared when it was read
        check_duplicates(series_of(push.labels, merged), taken)
    return group, summary


def _check_limits(group: GroupSummary, others: Iterable[GroupSummary]) -> None:
    groups, samples, size = 1, group.samples, group.size
    for other in others:
        groups, samples, size = groups + 1, samples + other.samples, size + other.size
    if samples > MAX_SAMPLES:
        raise PushRefused(f"the monitor would have more than {MAX_SAMPLES} samples")
    if size > MAX_BYTES:
        raise PushRefused(f"the monitor would have more than {MAX_BYTES // 1024} kB of metrics")
    if groups > MAX_GROUPS:
        raise PushRefused(f"the monitor would have more than {MAX_GROUPS} groups")


def _related(present: Mapping[str, str], types: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Those of the families that are there already with which these might clash: it is asked of every push, and a
    monitor may have many.
    """
    names = {owned for name, type in types.items() for owned in owned_names(name, type)}
    names.update(name.removesuffix(suffix) for name in types for suffix in ("_sum", "_count", "_bucket"))
    return ((name, present[name]) for name in names if name in present)


def _overrides(labels: Labels, families: Iterable[JobFamily]) -> bool:
    """Whether a label of the grouping key takes the place of a pushed one, or may do so."""
    names = {name for name, _ in labels}
    return TAG in names or any(
        name in names for family in families for sample in family.samples for name, _ in sample.labels
    )


def _apart(one: Labels, other: Labels) -> bool:
    """Whether a label that both grouping keys have differs, so that no series of the two can be the same."""
    values = dict(one)
    return any(values.get(name) not in (None, "", value) for name, value in other if value and name != TAG)
