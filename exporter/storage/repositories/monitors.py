"""Definitions of monitors in the database: added, changed, paused and removed.

Whatever changes a definition takes the next number of one counter in the same transaction; so a process that
remembers the last number it saw finds all that others changed since, and nothing slips between two commits.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import and_, or_
from typing import Any, Protocol, TypeVar

from exporter.core.clock import DAY, Clock
from exporter.core.errors import Conflict, NotFound
from exporter.core.monitor import Monitor
from exporter.core.status import Reason, Status
from exporter.presentation.events import EventLog, LogEvent
from exporter.storage.database import Database, Prepared, Transaction, param
from exporter.storage.repositories.dependencies import check_dependencies, check_not_needed
from exporter.storage.repositories.digests import check_unused
from exporter.storage.repositories.revisions import hold_revision, next_revision
from exporter.storage.rows import chunks, monitor_of
from exporter.storage.tables import MONITOR_COLUMNS

REVISION = "revision"
REMOVED_FOR = 30 * DAY
"""How long a tag that was removed is not created by a heartbeat, in milliseconds."""
EXPECTATION_COLUMNS = (
    "schedule",
    "every",
    "timezone",
    "degraded_after",
    "down_after",
    "max_runtime",
    "failure_tolerance",
)
"""What the sender of a monitor that it created may change."""


NOT_EMPTY = object()
"""As the value of a column that holds text: any but none."""
Make = Callable[[Monitor | None, Callable[[str], str]], Monitor]
"""Returns a whole monitor: from the one to change, whose tag stays, or from None. The function given with it returns a
free tag for a new one: the tag that it is called with, or the next that is free, as `job-2`.
"""


class TooMany(Conflict):
    """A ping key has created as many monitors as it may."""


class Further(Protocol):
    """What else the configuration file says of its monitors, which is written in the same transaction."""

    def differs(self) -> bool:
        """Whether the database has something else; inside a reading."""
        ...

    def write(self, transaction: Transaction) -> Sequence[int]:
        """Returns the ids of the monitors that changed. Raises Conflict; then nothing may be written."""
        ...


_PROVISIONED = "provisioned"
"""The setting that says which configuration files the provisioned monitors come from."""
_ROWS = 5_000
"""Rows that are made ready and written at a time."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Difference:
    """Between what is provisioned and what should be."""

    missing: Sequence[tuple[Monitor, bytes]]
    changed: Sequence[tuple[int, Monitor, bytes]]
    removed: Mapping[int, str]
    """Tags by id."""

    @property
    def total(self) -> int:
        return len(self.missing) + len(self.changed) + len(self.removed)


class Monitors:
    """Definitions in, definitions out. All methods block; all raise StorageUnavailable."""

    def __init__(self, database: Database, clock: Clock, replica: str, events: EventLog | None = None) -> None:
        self._db = database
        self._events = events or EventLog(clock)
        self._clock = clock
        self._replica = replica
        monitors, states = database.tables.monitors, database.tables.states
        columns = (*MONITOR_COLUMNS, "digest", "provisioned", "made_by", REVISION)
        definition = {column: param(column) for column in columns}
        new = {"created_at": param("created_at"), "paused_by_hand": param("paused_by_hand")}
        self._insert = Prepared(database, monitors.insert(**{**definition, **new}))
        self._update = Prepared(
            database,
            monitors.update(**{**definition, "removed_at": None}).where(monitors.id == param("id")),
        )
        self._insert_state = Prepared(
            database,
            states.insert(**{column: param(column) for column in _new_state(0, 0)}),
        )
        self._insert_transition = Prepared(
            database,
            database.tables.transitions.insert(**{column: param(column) for column in _first_transition(0, 0, "")}),
        )

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────

    def find(self, tag: str) -> int:
        """The id of the monitor `tag`; raises NotFound."""
        with self._db.read("find monitor"):
            return int(self._existing(tag)["id"])

    def changed_since(self, revision: int) -> tuple[int, list[int]]:
        """The newest revision, and the ids of all monitors changed or removed after `revision`."""
        monitors = self._db.tables.monitors
        with self._db.read("read changes"):
            rows = list(monitors.select(monitors.id, monitors.revision).where(monitors.revision > revision).tuples())
        return max((row[1] for row in rows), default=revision), [row[0] for row in rows]

    def provisioned(self) -> str:
        """The text that the last `provision` stored; empty before the first."""
        with self._db.read("read what is provisioned"):
            return self._setting(_PROVISIONED) or ""

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────

    def add(self, monitor: Monitor, digest: bytes) -> None:
        """Raises Conflict when the tag is taken, and InvalidValue when what it depends on is not there, or depends on
        it. A tag that was removed comes back with its history.
        """
        monitors = self._db.tables.monitors
        with self._db.write("add monitor") as transaction:
            hold_revision(self._db, REVISION)  # of two that add the same tag, the second finds it taken
            check_unused(self._db, [digest], "this secret", beside_secrets=True)
            check_dependencies(self._db, monitor)
            rows = list(monitors.select(monitors.id, monitors.removed_at).where(monitors.tag == monitor.tag).tuples())
            if not rows:
                self._create(transaction, [(monitor, digest)], provisioned=False)
            elif rows[0][1] is not None:
                self._change(transaction, [(rows[0][0], monitor, digest)], provisioned=False)
            else:
                raise Conflict(f"there is a monitor {monitor.tag!r} already")
        self._events.record(LogEvent.MONITOR_ADDED, monitor=monitor.tag, provisioned=False)

    def take_over(self, monitors: Sequence[tuple[Monitor, bytes]], tokens: Further) -> tuple[int, int]:
        """Makes monitors by hand, or changes those that there are, with their tokens: all or nothing. Returns how many
        were added and changed. Raises Conflict for a monitor of the configuration file, and for a secret or a token
        that opens something else.
        """
        with self._db.write("import monitors") as transaction:
            hold_revision(self._db, REVISION)
            wanted = {monitor.tag: (monitor, digest) for monitor, digest in monitors}
            new, changed = self._missing_and_changed(wanted)
            check_unused(self._db, [digest for _, digest in new], "a secret", beside_secrets=True)
            check_unused(self._db, [digest for _, _, digest in changed], "a secret", beside_secrets=True)
            back = self._removed_with({monitor.tag for monitor, _ in new})
            fresh = [definition for definition in new if definition[0].tag not in back]
            changed += [(back[monitor.tag], monitor, digest) for monitor, digest in new if monitor.tag in back]
            if fresh:
                self._create(transaction, fresh, provisioned=False)
            if changed:
                self._change(transaction, changed, provisioned=False)
            opened = set(tokens.write(transaction)) - {id for id, _, _ in changed}
            added = {monitor.tag for monitor, _ in new}
            touched = {*(monitor.tag for _, monitor, _ in changed), *self._tags(sorted(opened))} - added
        for tag in sorted(added):
            self._events.record(LogEvent.MONITOR_ADDED, monitor=tag, provisioned=False)
        for tag in sorted(touched):
            self._events.record(LogEvent.MONITOR_CHANGED, monitor=tag, provisioned=False)
        return len(added), len(touched)

    def create_for(self, monitor: Monitor, digest: bytes, key: str, most: int) -> tuple[bool, int]:
        """Whether the monitor was created now, for a ping key, and its number; False if it was there. Raises TooMany
        when there are `most` that this key has created, and Conflict for a tag that was removed not long ago.
        """
        monitors = self._db.tables.monitors
        with self._db.write("create monitor") as transaction:
            hold_revision(self._db, REVISION)  # of two senders that come at once, the second finds it made
            query = monitors.select(monitors.id, monitors.removed_at).where(monitors.tag == monitor.tag)
            for id, removed_at in query.tuples():
                if removed_at is None:
                    return False, int(id)
                if removed_at > self._clock.now() - REMOVED_FOR:
                    raise Conflict(f"the monitor {monitor.tag!r} was removed: add it, or wait for 30 days")
                self._bury(id, monitor.tag)
            mine = (monitors.made_by == key) & monitors.removed_at.is_null()
            if monitors.select().where(mine).count() >= most:
                raise TooMany(f"there are {most} monitors already that this ping key has created")
            self._create(transaction, [(monitor, digest)], provisioned=False, made_by=key)
            return True, int(self._existing(monitor.tag)["id"])

    def redefine(self, id: int, monitor: Monitor, key: str) -> None:
        """Changes when the heartbeats of a monitor are expected that this ping key has created."""
        monitors = self._db.tables.monitors
        with self._db.write("change monitor"):
            change = {name: getattr(monitor, name) for name in EXPECTATION_COLUMNS}
            change[REVISION] = next_revision(self._db, REVISION)
            mine = (monitors.id == id) & (monitors.made_by == key) & monitors.removed_at.is_null()
            if monitors.update(**change).where(mine).execute():
                self._evaluate_now([id])

    def put(
        self,
        make: Make,
        digest: bytes,
        *,
        id: int | None = None,
        where: Sequence[Mapping[str, object]] = (),
        fits: Callable[[Monitor], bool] = lambda monitor: True,
    ) -> tuple[int, bool]:
        """Changes a monitor, or adds one: its number, and whether it was added. Exactly once, in whatever process and
        however many ask at a time.

        With `id` that monitor is changed, if it `fits`. With `where`, the first monitor that fits and has the values
        of one of these sets of columns; if there is none, one is added, as it is without either. `make` is called
        inside the transaction, and `digest` is that of the secret of a new monitor. A new one has no history, also
        where a monitor of its tag was removed.

        Raises NotFound, what `make` raises, and Conflict for a change to a monitor of the configuration file.
        """
        with self._db.write("put monitor") as transaction:
            hold_revision(self._db, REVISION)  # of two that ask for the same, the second finds it there
            present = self._first(id, where, fits) if id is not None or where else None
            if present is not None:
                number, provisioned, before = present
                after = replace(make(before, self._free_tag), tag=before.tag)
                if after == before:
                    return number, False
                if provisioned:
                    raise Conflict(f"{before.tag!r} comes from the configuration file: change it there and reload")
                self._redefine(number, after)
            elif id is not None:
                raise NotFound("there is no such monitor")
            else:
                after = make(None, self._free_tag)
                self._create(transaction, [(after, digest)], provisioned=False)
                number = int(self._existing(after.tag)["id"])
        added = present is None
        event = LogEvent.MONITOR_ADDED if added else LogEvent.MONITOR_CHANGED
        self._events.record(event, monitor=after.tag, provisioned=False)
        return number, added

    def set_paused(self, tag: str, paused: bool) -> None:
        """Pauses by hand, or ends that. Raises NotFound, or Conflict when the configuration file pauses it."""
        monitors = self._db.tables.monitors
        with self._db.write("pause monitor"):
            row = self._existing(tag)
            if row["paused"] and not paused:
                raise Conflict(f"{tag!r} is paused in the configuration file: resume it there and reload")
            change = monitors.update(**{"paused_by_hand": paused, REVISION: next_revision(self._db, REVISION)})
            change.where(monitors.id == row["id"]).execute()
            self._evaluate_now([row["id"]])
        self._events.record(LogEvent.MONITOR_PAUSED if paused else LogEvent.MONITOR_RESUMED, monitor=tag)

    def remove(self, tag: str) -> None:
        """Raises NotFound, or Conflict for a monitor of the configuration file, or one that its monitors depend on by
        name. Its history is kept for a while.
        """
        with self._db.write("remove monitor"):
            row = self._existing(tag)
            if row["provisioned"]:
                raise Conflict(f"{tag!r} comes from the configuration file: remove it there and reload")
            check_not_needed(self._db, tag)
            self._remove([row["id"]])
        self._events.record(LogEvent.MONITOR_REMOVED, monitor=tag, provisioned=False)

    def provision(
        self, monitors: Iterable[tuple[Monitor, bytes]], remember: str = "", further: Further | None = None
    ) -> tuple[int, int, int]:
        """Makes the provisioned monitors exactly these; returns how many were added, changed and removed.

        A monitor that was made by hand under one of these tags is taken over; all others made by hand stay. `remember`
        is what `provisioned` returns from then on. With `further`, all of it is written or nothing.
        """
        all_wanted = {monitor.tag: (monitor, digest) for monitor, digest in monitors}
        with self._db.read("compare monitors"):
            revision, remembered = self._setting(REVISION), self._setting(_PROVISIONED) or ""
            difference = self._compare(all_wanted)
            more = further is not None and further.differs()
        if not difference.total and not more and remembered == remember:
            return 0, 0, 0
        with self._db.write("provision monitors") as transaction:
            hold_revision(self._db, REVISION)  # replicas that start together provision the same
            if self._setting(REVISION) != revision:  # another process was faster
                difference = self._compare(all_wanted)
            self._remember(remember)
            if difference.missing:
                self._create(transaction, difference.missing, provisioned=True)
            if difference.changed:
                self._change(transaction, difference.changed, provisioned=True)
            if difference.removed:
                self._remove(list(difference.removed))
            opened = self._tags(further.write(transaction)) if further is not None else []
        changed = dict.fromkeys([*(monitor.tag for _, monitor, _ in difference.changed), *opened])
        for monitor, _ in difference.missing:
            changed.pop(monitor.tag, None)
        for event, tags in (
            (LogEvent.MONITOR_ADDED, [monitor.tag for monitor, _ in difference.missing]),
            (LogEvent.MONITOR_CHANGED, list(changed)),
            (LogEvent.MONITOR_REMOVED, list(difference.removed.values())),
        ):
            for tag in tags:
                self._events.record(event, monitor=tag, provisioned=True)
        return len(difference.missing), len(changed), len(difference.removed)

    # ── within a transaction ─────────────────────────────────────────────────────────────────────────────────

    def _compare(self, entries: Mapping[str, tuple[Monitor, bytes]]) -> "_Difference":
        """Reads every monitor that there ever was."""
        monitors = self._db.tables.monitors
        missing = dict(entries)
        changed: list[tuple[int, Monitor, bytes]] = []
        removed: dict[int, str] = {}
        columns = [getattr(monitors, column) for column in MONITOR_COLUMNS]
        query = monitors.select(monitors.id, monitors.digest, monitors.provisioned, monitors.removed_at, *columns)
        for id, old_digest, provisioned, removed_at, *row in query.tuples():
            here = bool(provisioned) and removed_at is None
            entry = missing.pop(row[0], None)
            if entry is None:
                if here:
                    removed[id] = row[0]
            elif not (here and entry[1] == bytes(old_digest) and entry[0] == monitor_of(row, False)):
                changed.append((id, *entry))
        return _Difference(list(missing.values()), changed, removed)

    def _missing_and_changed(
        self, wanted: Mapping[str, tuple[Monitor, bytes]]
    ) -> tuple[list[tuple[Monitor, bytes]], list[tuple[int, Monitor, bytes]]]:
        """Of monitors that are made by hand. Raises Conflict for one of the configuration file."""
        monitors, missing, changed = self._db.tables.monitors, dict(wanted), []
        columns = [getattr(monitors, column) for column in MONITOR_COLUMNS]
        query = monitors.select(monitors.id, monitors.digest, monitors.provisioned, *columns)
        for id, digest, provisioned, *row in query.where(monitors.removed_at.is_null()).tuples():
            entry = missing.pop(row[0], None)
            if entry is None:
                continue
            if provisioned:
                raise Conflict(f"{row[0]!r} comes from the configuration file: change it there and reload")
            if entry[1] != bytes(digest) or entry[0] != monitor_of(row, False):
                changed.append((id, *entry))
        return list(missing.values()), changed

    def _removed_with(self, tags: Collection[str]) -> dict[str, int]:
        """Ids of removed monitors, by tag: they come back with their history."""
        monitors = self._db.tables.monitors
        query = monitors.select(monitors.tag, monitors.id).where(monitors.removed_at.is_null(False))
        return {tag: id for tag, id in query.tuples() if tag in tags}

    def _tags(self, ids: Sequence[int]) -> list[str]:
        monitors = self._db.tables.monitors
        query = monitors.select(monitors.tag)
        return [str(row[0]) for chunk in chunks(ids) for row in query.where(monitors.id.in_(chunk)).tuples()]

    def _setting(self, key: str) -> str | None:
        settings = self._db.tables.settings
        rows = settings.select(settings.value).where(settings.key == key).tuples()
        return next((str(row[0]) for row in rows), None)

    def _remember(self, value: str) -> None:
        settings = self._db.tables.settings
        if not settings.update(**{"value": value}).where(settings.key == _PROVISIONED).execute():
            settings.insert(**{"key": _PROVISIONED, "value": value}).execute()

    def _existing(self, tag: str) -> Mapping[str, Any]:
        monitors = self._db.tables.monitors
        query = monitors.select(monitors.id, monitors.provisioned, monitors.paused)
        for row in query.where((monitors.tag == tag) & monitors.removed_at.is_null()).dicts():
            return dict(row)
        raise NotFound(f"there is no monitor {tag!r}")

    def _create(
        self, transaction: Transaction, new: Sequence[tuple[Monitor, bytes]], provisioned: bool, made_by: str = ""
    ) -> None:
        now, revision = self._clock.now(), next_revision(self._db, REVISION)
        fresh = {"created_at": now, "paused_by_hand": False}
        for some in _parts(new):
            rows = [
                self._insert.row({**_definition(*definition, provisioned, revision, made_by), **fresh})
                for definition in some
            ]
            transaction.execute_many(self._insert, rows)
        monitors = self._db.tables.monitors
        ids = [row[0] for row in monitors.select(monitors.id).where(monitors.revision == revision).tuples()]
        for part in _parts(ids):
            rows = [self._insert_state.row(_new_state(id, now)) for id in part]
            transaction.execute_many(self._insert_state, rows)
            # History begins where the monitor does.
            rows = [self._insert_transition.row(_first_transition(id, now, self._replica)) for id in part]
            transaction.execute_many(self._insert_transition, rows)

    def _change(
        self, transaction: Transaction, changed: Sequence[tuple[int, Monitor, bytes]], provisioned: bool
    ) -> None:
        revision = next_revision(self._db, REVISION)
        for some in _parts(changed):
            rows = [
                self._update.row({**_definition(monitor, digest, provisioned, revision), "id": id})
                for id, monitor, digest in some
            ]
            transaction.execute_many(self._update, rows)
        self._evaluate_now([row[0] for row in changed])

    def _remove(self, ids: Sequence[int]) -> None:
        monitors, states = self._db.tables.monitors, self._db.tables.states
        progress = self._db.tables.alert_progress
        revision = next_revision(self._db, REVISION)
        for chunk in chunks(sorted(ids)):
            change = {"removed_at": self._clock.now(), "provisioned": False, "generation": monitors.generation + 1}
            monitors.update(**change, **{REVISION: revision}).where(monitors.id.in_(chunk)).execute()
            for table in (self._db.tables.monitor_secrets, self._db.tables.monitor_tokens):
                table.delete().where(table.monitor_id.in_(chunk)).execute()
            mine = states.monitor_id.in_(chunk)
            self._db.lock(states.select(states.monitor_id).where(mine).order_by(states.monitor_id))
            states.update(**{"next_evaluation_at": None}).where(mine).execute()
            # Its alerts have no monitor any more: the alert evaluator ends them.
            progress.update(**{"next_at": self._clock.now()}).where(progress.monitor_id.in_(chunk)).execute()

    def _first(
        self, id: int | None, where: Sequence[Mapping[str, object]], fits: Callable[[Monitor], bool]
    ) -> tuple[int, bool, Monitor] | None:
        """Number, whether the configuration file defines it, and definition of the first monitor that is asked for."""
        monitors = self._db.tables.monitors
        columns = [getattr(monitors, column) for column in MONITOR_COLUMNS]
        query = monitors.select(monitors.id, monitors.provisioned, *columns).where(monitors.removed_at.is_null())
        if id is not None:
            query = query.where(monitors.id == id)
        if where:
            query = query.where(reduce(or_, (_has(monitors, values) for values in where)))
        for number, provisioned, *row in query.order_by(monitors.id).tuples():
            monitor = monitor_of(row, False)
            if fits(monitor):
                return int(number), bool(provisioned), monitor
        return None

    def _redefine(self, id: int, monitor: Monitor) -> None:
        """Leaves alone what opens it, and the ping key that made it."""
        monitors, revision = self._db.tables.monitors, next_revision(self._db, REVISION)
        definition = _definition(monitor, b"", False, revision)
        change = {column: definition[column] for column in (*MONITOR_COLUMNS, REVISION)}
        monitors.update(**change).where(monitors.id == id).execute()
        self._evaluate_now([id])

    def _free_tag(self, tag: str) -> str:
        """A removed monitor gives its tag away."""
        monitors = self._db.tables.monitors
        query = monitors.select(monitors.tag, monitors.id, monitors.removed_at)
        taken = {row[0]: row[1:] for row in query.where(monitors.tag == tag).tuples()}
        if tag in taken and taken[tag][1] is None:
            taken.update((row[0], row[1:]) for row in query.where(monitors.tag.startswith(f"{tag}-")).tuples())
        free, number = tag, 2
        while free in taken and taken[free][1] is None:
            free, number = f"{tag}-{number}", number + 1
        if free in taken:
            self._bury(taken[free][0], free)
        return free

    def _bury(self, id: int, tag: str) -> None:
        """Gives the tag of a removed monitor away: another one of that tag has nothing of its history."""
        monitors = self._db.tables.monitors
        monitors.update(**{"tag": f"{tag[:100]}~{id}"}).where(monitors.id == id).execute()

    def _evaluate_now(self, ids: Sequence[int]) -> None:
        states = self._db.tables.states
        for chunk in chunks(sorted(ids)):
            mine = states.monitor_id.in_(chunk)
            self._db.lock(states.select(states.monitor_id).where(mine).order_by(states.monitor_id))
            states.update(**{"next_evaluation_at": self._clock.now()}).where(mine).execute()


def _has(monitors: Any, values: Mapping[str, object]) -> Any:
    columns = ((getattr(monitors, column), value) for column, value in values.items())
    tests = [column != "" if value is NOT_EMPTY else column == value for column, value in columns]
    return reduce(and_, tests, monitors.id > 0)


def _parts(rows: Sequence[_T]) -> Iterator[Sequence[_T]]:
    return (rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS))


def _definition(monitor: Monitor, digest: bytes, provisioned: bool, revision: int, made_by: str = "") -> dict[str, Any]:
    return {
        "tag": monitor.tag,
        "name": monitor.name,
        "group_name": monitor.group,
        "schedule": monitor.schedule,
        "timezone": monitor.timezone,
        "degraded_after": monitor.degraded_after,
        "down_after": monitor.down_after,
        "max_runtime": monitor.max_runtime,
        "evaluation_cron": monitor.evaluation_cron,
        "every": monitor.every,
        "early": monitor.early,
        "failure_tolerance": monitor.failure_tolerance,
        "min_runtime": monitor.min_runtime,
        "depends_on": "\n".join(monitor.depends_on),
        "release_after": monitor.release_after,
        "description": monitor.description,
        "runbook_url": monitor.runbook_url,
        "details": monitor.details,
        "keep_job_metrics": monitor.keep_job_metrics,
        "labels": json.dumps(monitor.labels),
        "paused": monitor.paused,
        "digest": digest,
        "provisioned": provisioned,
        "made_by": made_by,
        REVISION: revision,
    }


def _new_state(monitor_id: int, now: int) -> dict[str, Any]:
    return {
        "monitor_id": monitor_id,
        "received": 0,
        "failures": 0,
        "starts": 0,
        "consecutive_failures": 0,
        "status": Status.NO_DATA.value,
        "reason": Reason.NEVER_RECEIVED.value,
        "status_since": now,
        "evaluated_at": now,
        "next_evaluation_at": now,
    }


def _first_transition(monitor_id: int, now: int, replica: str) -> dict[str, Any]:
    return {
        "monitor_id": monitor_id,
        "at": now,
        "status": Status.NO_DATA.value,
        "reason": Reason.NEVER_RECEIVED.value,
        "observed_at": now,
        "replica": replica,
    }
