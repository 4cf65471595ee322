"""Metrics that jobs push, in the database: a row a group, read and written by the number of its monitor alone.

What is written takes the next number of a counter in the same transaction, so that a process that remembers the last
number it saw reads what other processes wrote. A group that is deleted leaves a row without content for as long.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from peewee import EXCLUDED

from exporter.core.clock import HOUR
from exporter.core.job_metrics.merge import GroupSummary
from exporter.core.job_metrics.model import JobFamily, JobGroup, JobSample, Labels
from exporter.storage.database import Bulk, Database, Prepared, Reader, Transaction, param
from exporter.storage.repositories.revisions import next_revision

log = logging.getLogger(__name__)

_T = TypeVar("_T")

JOB_METRICS_REVISION = "job_metrics_revision"
DELETED_FOR = HOUR
"""Milliseconds that the row of a deleted group is kept, for other processes to see."""
ROWS = 1000
"""Rows that are read, or deleted, at a time."""
_COLUMNS = (
    "monitor_id", "digest", "labels", "types", "content", "samples", "size", "pushed_at", "failed_at", "deleted_at",
    "revision", "replica",
)  # fmt: skip
_KEY = ("monitor_id", "digest")


class GroupChange(NamedTuple):
    """A group as it is in the database from now on; None was deleted."""

    monitor_id: int
    digest: str
    group: JobGroup | None
    revision: int


class JobMetricsTable:
    """Statements; its methods are called inside a reading or a transaction of the database."""

    def __init__(self, database: Database, replica: str) -> None:
        self._db = database
        self._replica = replica
        table = self._table = database.tables.job_metrics
        self._summaries = Bulk(
            database,
            lambda ids: table.select(
                table.monitor_id, table.digest, table.labels, table.types, table.samples, table.size, table.pushed_at,
                table.failed_at,
            ).where(table.monitor_id.in_([param("monitor_id")] * ids) & table.deleted_at.is_null()),
        )  # fmt: skip
        key = (table.monitor_id == param("monitor_id")) & (table.digest == param("digest"))
        self._content = Prepared(database, table.select(table.content).where(key))
        self._put = Prepared(
            database,
            table.insert(
                [[param(column) for column in _COLUMNS]], columns=[getattr(table, column) for column in _COLUMNS]
            ).on_conflict(
                conflict_target=[table.monitor_id, table.digest],
                update={getattr(table, column): getattr(EXCLUDED, column) for column in _COLUMNS[2:]},
            ),
        )

    def summaries(self, reader: Reader, monitor_ids: Sequence[int]) -> dict[int, dict[str, GroupSummary]]:
        """Of all groups of these monitors, by monitor and id."""
        found: dict[int, dict[str, GroupSummary]] = {id: {} for id in monitor_ids}
        for monitor_id, digest, labels, types, *figures in set(self._summaries.read(reader, monitor_ids)):
            found[monitor_id][digest] = GroupSummary(_labels_of(labels), _types_of(types), *figures)
        return found

    def families(self, reader: Reader, monitor_id: int, digest: str) -> tuple[JobFamily, ...]:
        rows = reader.query(self._content, self._content.row({"monitor_id": monitor_id, "digest": digest}))
        return next((_families_of(row[0]) for row in rows), ())

    def put(
        self, transaction: Transaction, groups: Mapping[tuple[int, str], tuple[JobGroup, GroupSummary] | None], at: int
    ) -> list[GroupChange]:
        """Writes these groups, by monitor and id; None is deleted, at the moment `at`."""
        revision = next_revision(self._db, JOB_METRICS_REVISION)
        rows = [
            self._put.row(dict(zip(_COLUMNS, (*key, *_values(made, at), revision, self._replica), strict=True)))
            for key, made in groups.items()
        ]
        transaction.execute_many(self._put, rows)
        return [GroupChange(*key, made[0] if made is not None else None, revision) for key, made in groups.items()]

    def newest(self) -> int:
        """The last number that was given; 0 before the first."""
        settings = self._db.tables.settings
        query = settings.select(settings.value).where(settings.key == JOB_METRICS_REVISION)
        return next((int(row[0]) for row in query.tuples()), 0)

    def changes(self, after: int, *, own: bool) -> Iterator[GroupChange]:
        """What was written after the number `after`, by other processes, or by all; read in portions of ROWS."""
        table = self._table
        columns = (
            table.monitor_id, table.digest, table.labels, table.content, table.pushed_at, table.failed_at,
            table.deleted_at, table.revision,
        )  # fmt: skip
        last = (after + 1, -1, "")
        while True:
            beyond = (table.revision > last[0]) | (
                (table.revision == last[0])
                & ((table.monitor_id > last[1]) | ((table.monitor_id == last[1]) & (table.digest > last[2])))
            )
            which = (table.revision >= last[0]) & beyond
            query = table.select(*columns).where(which if own else which & (table.replica != self._replica))
            rows = list(query.order_by(table.revision, *(getattr(table, name) for name in _KEY)).limit(ROWS).tuples())
            for monitor_id, digest, labels, content, pushed_at, failed_at, deleted_at, revision in rows:
                group = None
                if deleted_at is None:
                    group = JobGroup(_labels_of(labels), _families_of(content), pushed_at, failed_at)
                yield GroupChange(monitor_id, digest, group, revision)
            if len(rows) < ROWS:
                return
            last = (rows[-1][7], rows[-1][0], rows[-1][1])

    def of_monitors(self, monitor_ids: Sequence[int]) -> Iterator[GroupChange]:
        """All groups of these monitors that are not deleted."""
        table = self._table
        query = table.select(
            table.monitor_id, table.digest, table.labels, table.content, table.pushed_at, table.failed_at,
            table.revision,
        )  # fmt: skip
        which = table.monitor_id.in_(list(monitor_ids)) & table.deleted_at.is_null()
        for monitor_id, digest, labels, content, pushed_at, failed_at, revision in query.where(which).tuples():
            group = JobGroup(_labels_of(labels), _families_of(content), pushed_at, failed_at)
            yield GroupChange(monitor_id, digest, group, revision)


def _values(made: tuple[JobGroup, GroupSummary] | None, at: int) -> tuple[Any, ...]:
    if made is None:
        return "[]", "{}", "[]", 0, 0, at, 0, at
    group, summary = made
    return (
        _json(group.labels), _json(summary.types), _json(group.families), summary.samples, summary.size,
        group.pushed_at, group.failed_at, None,
    )  # fmt: skip


_json = json.JSONEncoder(separators=(",", ":")).encode
"""Pure ASCII: every engine can store it, whatever characters the values have."""


def _labels_of(text: str) -> Labels:
    return _read(lambda: tuple((str(name), str(value)) for name, value in json.loads(text)), ())


def _types_of(text: str) -> Mapping[str, str]:
    return _read(lambda: {str(name): str(type) for name, type in json.loads(text).items()}, {})


def _families_of(text: str) -> tuple[JobFamily, ...]:
    return _read(
        lambda: tuple(
            JobFamily(
                str(name),
                str(type),
                str(help),
                tuple(
                    JobSample(str(sample), tuple((str(key), str(value)) for key, value in labels), str(number))
                    for sample, labels, number in samples
                ),
                int(size),
            )
            for name, type, help, samples, size in json.loads(text)
        ),
        (),
    )


def _read(read: Callable[[], _T], nothing: _T) -> _T:
    """What `read` returns; `nothing` for what no version of the exporter wrote: it must not end a scrape or a push."""
    try:
        return read()
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        log.error("job metrics in the database cannot be read and are left out: %s: %s", type(error).__name__, error)
        return nothing
