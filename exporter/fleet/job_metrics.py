"""The metrics of all jobs in memory, as they are exposed: kept current from commits, and from what others wrote."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from exporter.core.clock import Clock
from exporter.core.fleet import Fleet, FleetMonitor
from exporter.core.job_metrics.model import Push, count_of, group_id
from exporter.core.job_metrics.rendering import RenderedFamily, label_text, rendered_families
from exporter.core.process.pause import Pause
from exporter.core.status import Reason, Status
from exporter.storage.database import Database
from exporter.storage.job_metrics import DELETED_FOR, GroupChange, JobMetricsTable
from exporter.storage.rows import chunks

MAX_TOTAL_SAMPLES = 1_000_000
MAX_TOTAL_BYTES = 256 * 1024 * 1024
"""Of all that is exposed."""


class ShownGroup(NamedTuple):
    """A group as its lines."""

    revision: int
    tag: str
    labels: str
    """Of the group's own series."""
    families: tuple[RenderedFamily, ...]
    pushed_at: int
    """Unix time in milliseconds."""
    failed_at: int
    samples: int
    size: int
    deleted_at: int | None = None
    """When this process learned that it was deleted, by the steady clock."""


class JobMetricsView:
    """`apply` is for the recorder's thread; all else may be called on any."""

    def __init__(self, database: Database, fleet: Fleet, clock: Clock, replica: str) -> None:
        self._db = database
        self._fleet = fleet
        self._clock = clock
        self._table = JobMetricsTable(database, replica)
        self._groups: dict[int, Mapping[str, ShownGroup]] = {}
        """By monitor and id. The inner ones are replaced, never changed."""
        self._writing = threading.Lock()
        self._refreshing = threading.Lock()
        self._seen: int | None = None
        """The last number of the table that this has seen; None before the first look."""
        self._looked_at = 0
        self._doubts = 0
        self._unread: set[int] = set()
        """Monitors to read again: the fleet did not know them, or by another tag."""
        self._absent: set[int] = set()
        """Monitors that the fleet did not know at the last look."""
        self.groups = 0
        self.samples = 0
        self.size = 0
        """Bytes."""

    def admits(self, monitor_id: int | None, push: Push) -> bool:
        """Whether these metrics of a monitor, or of one that does not exist yet, can be kept: once there are as many as
        can be, only those that take the place of as many.
        """
        if self.samples < MAX_TOTAL_SAMPLES and self.size < MAX_TOTAL_BYTES:
            return True
        group = self._groups.get(monitor_id or 0, {}).get(group_id(push.labels))
        return group is not None and group.deleted_at is None and count_of(push.families) <= group.samples

    def apply(self, changes: Iterable[GroupChange]) -> None:
        """What was committed."""
        for change in changes:
            self._apply(change)

    def refresh(self) -> None:
        """Reads what other processes wrote since the last call; all that there is, at the first. Raises
        StorageUnavailable.
        """
        with self._refreshing:
            now, doubts = self._clock.monotonic(), self._db.doubts
            # What was deleted longer ago than the database knows is found only by reading everything; the same goes
            # for a commit of this process that got no answer.
            anew = self._seen is None or doubts != self._doubts or now - self._looked_at > DELETED_FOR // 2
            pause = Pause()
            with self._db.read("read job metrics"):
                newest = self._table.newest()
                if anew:
                    self._read_all(pause)
                elif newest != self._seen:
                    for change in self._table.changes(self._seen or 0, own=False):
                        self._apply(change)
                        pause.when_due()
                self._read_again()
            self._seen, self._looked_at, self._doubts = newest, now, doubts

    def tidy(self) -> None:
        """As `refresh`, and forgets what is of no use any more; called every few seconds. Raises StorageUnavailable."""
        self.refresh()
        absent = {id for id in list(self._groups) if self._fleet.with_id(id) is None}
        long_ago = self._clock.monotonic() - DELETED_FOR
        with self._writing:
            for id in absent & self._absent:
                self._unread.add(id)  # a monitor that was removed may come back
                for digest in self._groups[id]:
                    self._replace(id, digest, None)
            for id, groups in list(self._groups.items()):
                for digest, group in groups.items():
                    if group.deleted_at is not None and group.deleted_at < long_ago:
                        self._replace(id, digest, None)
        self._absent = absent

    def shown(self) -> Sequence[tuple[str, Sequence[ShownGroup]]]:
        """The groups of each monitor whose metrics are exposed, in the order of tags."""
        monitors: list[tuple[str, Sequence[ShownGroup]]] = []
        pause = Pause()
        for id, groups in list(self._groups.items()):
            watched = self._fleet.with_id(id)
            if watched is not None and not _is_dead(watched):
                tag = watched.monitor.tag
                if any(group.tag != tag for group in groups.values()):
                    self._unread.add(id)
                monitors.append((tag, [group for group in groups.values() if group.deleted_at is None]))
            pause.when_due()
        monitors.sort(key=lambda one: one[0])
        return monitors

    def _read_all(self, pause: Pause) -> None:
        present: dict[int, set[str]] = {}
        before = {id: dict(groups) for id, groups in list(self._groups.items())}
        for change in self._table.changes(0, own=True):
            if change.group is not None:
                present.setdefault(change.monitor_id, set()).add(change.digest)
            self._apply(change)
            pause.when_due()
        with self._writing:
            for id, groups in before.items():
                for digest, group in groups.items():
                    if digest not in present.get(id, ()) and self._groups.get(id, {}).get(digest) is group:
                        self._replace(id, digest, None)

    def _read_again(self) -> None:
        back = [id for id in list(self._unread) if self._fleet.with_id(id) is not None]
        self._unread.difference_update(back)
        for some in chunks(back):
            for change in self._table.of_monitors(some):
                self._apply(change, again=True)

    def _apply(self, change: GroupChange, again: bool = False) -> None:
        id, digest, group, revision = change
        watched = self._fleet.with_id(id)
        if watched is None:
            if group is not None:
                self._unread.add(id)
                return
            tag = ""
        else:
            tag = watched.monitor.tag
        shown = ShownGroup(revision, tag, "", (), 0, 0, 0, 0, self._clock.monotonic())
        if group is not None:
            families = rendered_families(group, tag)
            labels = label_text(dict(group.labels), tag)
            size = 2 * len(labels) + sum(len(family.lines) + len(family.help) for family in families)
            count = count_of(group.families)
            shown = ShownGroup(revision, tag, labels, families, group.pushed_at, group.failed_at, count, size)
        with self._writing:
            before = self._groups.get(id, {}).get(digest)
            if before is None or before.revision < revision or (again and before.revision == revision):
                self._replace(id, digest, shown)

    def _replace(self, id: int, digest: str, group: ShownGroup | None) -> None:
        """Under the lock."""
        groups = dict(self._groups.get(id, {}))
        for changed, sign in ((groups.pop(digest, None), -1), (group, 1)):
            if changed is not None and changed.deleted_at is None:
                self.groups += sign
                self.samples += sign * changed.samples
                self.size += sign * changed.size
        if group is not None:
            groups[digest] = group
        if groups:
            self._groups[id] = groups
        else:
            self._groups.pop(id, None)


def _is_dead(watched: FleetMonitor) -> bool:
    """Whether its job sends nothing any more, so that its last values say nothing about now."""
    if watched.monitor.keep_job_metrics:
        return False
    current = watched.shown
    return current.status is Status.DOWN and current.reason is Reason.MISSED
