"""The pushes of one group of heartbeats: what they make of the groups of their monitors, and what is refused."""

from collections.abc import Sequence

from exporter.core.job_metrics.merge import GroupSummary, after_push
from exporter.core.job_metrics.model import JobFamily, JobGroup, Push, PushMode, PushRefused, group_id
from exporter.recording.statements import Pending
from exporter.storage.database import Database, Transaction
from exporter.storage.job_metrics import GroupChange, JobMetricsTable

JobGroups = dict[tuple[int, str], tuple[JobGroup, GroupSummary] | None]
"""By monitor and id; None is deleted."""


class PushCommit:
    """Used inside a transaction that has locked the states of the monitors. Not thread-safe."""

    def __init__(self, database: Database, replica: str) -> None:
        self._table = JobMetricsTable(database, replica)

    def plan(self, transaction: Transaction, pushed: Sequence[Pending]) -> JobGroups:
        """The groups that change, by what is in the database; sets the `refusal` of what cannot be kept. `pushed` is in
        the order of receipt.
        """
        ids = sorted({pending.watched.id for pending in pushed})
        summaries = self._table.summaries(transaction, ids)
        groups: JobGroups = {}
        for pending in pushed:
            push, id = pending.push, pending.watched.id
            assert push is not None
            self._apply(transaction, push, id, pending.beat.received_at, summaries[id], groups)
        return groups

    def write(self, transaction: Transaction, groups: JobGroups, at: int) -> Sequence[GroupChange]:
        """Takes the number of a counter, which locks it: the last lock that the transaction waits for."""
        return self._table.put(transaction, groups, at) if groups else ()

    def _apply(
        self,
        transaction: Transaction,
        push: Push,
        id: int,
        at: int,
        summaries: dict[str, GroupSummary],
        groups: JobGroups,
    ) -> None:
        def families(digest: str) -> Sequence[JobFamily]:
            planned = groups.get((id, digest))
            return planned[0].families if planned is not None else self._table.families(transaction, id, digest)

        push.refusal = None
        digest = group_id(push.labels)
        if push.mode is PushMode.DELETE:
            if summaries.pop(digest, None) is not None:
                groups[id, digest] = None
            return
        if push.mode is not PushMode.FAILED:
            try:
                made = after_push(summaries, digest, push, at, families)
            except PushRefused as error:
                push.refusal = str(error)
            else:
                groups[id, digest], summaries[digest] = made, made[1]
                return
        summary = summaries.get(digest)
        if summary is not None:
            group = JobGroup(summary.labels, tuple(families(digest)), summary.pushed_at, at)
            summaries[digest] = failed = summary._replace(failed_at=at)
            groups[id, digest] = group, failed
