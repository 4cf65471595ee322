"""What a push makes of the groups of its monitor."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from exporter.core.job_metrics.model import (
    MAX_BYTES,
    MAX_GROUPS,
    MAX_SAMPLES,
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
    group_id,
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
    summaries: Mapping[str, GroupSummary], push: Push, at: int, families: Callable[[str], Sequence[JobFamily]]
) -> JobGroup:
    """The group that the push makes, at the moment `at`; raises PushRefused.

    `summaries` are those of all groups of the monitor, by id; `families` reads those of one group.
    """
    id = group_id(push.labels)
    before = summaries.get(id)
    merged = list(push.families)
    if push.mode is PushMode.MERGE and before is not None:
        names = {family.name for family in merged}
        merged += (family for family in families(id) if family.name not in names)
    merged.sort()
    group = JobGroup(push.labels, tuple(merged), at, before.failed_at if before is not None else 0)
    others = {other: summary for other, summary in summaries.items() if other != id}
    _check_limits(GroupSummary.of(group), others.values())
    check_types(
        (*_types(others.values()), *((family.name, family.type) for family in merged)),
    )
    taken: list[Series] = []
    names = {family.name for family in merged}
    for other, summary in others.items():
        if not names.isdisjoint(summary.types) and not _apart(summary.labels, push.labels):
            taken += series_of(summary.labels, families(other))
    check_duplicates(series_of(push.labels, merged), taken)
    return group


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


def _types(groups: Iterable[GroupSummary]) -> Iterable[tuple[str, str]]:
    return (pair for group in groups for pair in group.types.items())


def _apart(one: Labels, other: Labels) -> bool:
    """Whether a label that both grouping keys have differs, so that no series of the two can be the same."""
    values = dict(one)
    return any(values.get(name) not in (None, "", value) for name, value in other if value)
