"""Definitions of monitors in the database: added, changed, paused and removed.

Whatever changes a definition takes the next number of one counter in the same transaction; so a process that
remembers the last number it saw finds all that others changed since, and nothing slips between two commits.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from exporter.core.clock import DAY, Clock
from exporter.core.errors import Conflict, NotFound
from exporter.core.monitor import Monitor
from exporter.core.status import Reason, Status
from exporter.storage.database import Database, Prepared, Transaction, param
from exporter.storage.digests import check_unused
from exporter.storage.revisions import hold_revision, next_revision
from exporter.storage.snapshot import chunks, monitor_of
from exporter.storage.tables import MONITOR_COLUMNS

REVISION = "revision"
REMOVED_FOR = 30 * DAY
"""How long a tag that was removed is not created by a heartbeat, in milliseconds."""
EXPECTATION_COLUMNS = ("schedule", "timezone", "degraded_after", "down_after", "max_runtime")
"""What the sender of a monitor that it created may change."""


class TooMany(Conflict):
    """A ping key has created as many monitors as it may."""


class Monitors:
    """Definitions in, definitions out. All methods block; all raise StorageUnavailable."""

    def __init__(self, database: Database, clock: Clock, replica: str) -> None:
        self._db = database
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

    def removed(self, ids: Sequence[int]) -> set[int]:
        """Those of these monitors that are gone."""
        monitors = self._db.tables.monitors
        with self._db.read("find removed monitors"):
            here = {
                row[0]
                for chunk in chunks(ids)
                for row in monitors.select(monitors.id)
                .where(monitors.id.in_(chunk) & monitors.removed_at.is_null())
                .tuples()
            }
        return set(ids) - here

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────

    def add(self, monitor: Monitor, digest: bytes) -> None:
        """Raises Conflict when the tag is taken. A tag that was removed comes back with its history."""
        monitors = self._db.tables.monitors
        with self._db.write("add monitor") as transaction:
            hold_revision(self._db, REVISION)  # of two who add the same tag, the second finds it taken
            check_unused(self._db, [digest], "this secret", beside_secrets=True)
            rows = list(monitors.select(monitors.id, monitors.removed_at).where(monitors.tag == monitor.tag).tuples())
            if not rows:
                self._create(transaction, [(monitor, digest)], provisioned=False)
            elif rows[0][1] is not None:
                self._change(transaction, [(rows[0][0], monitor, digest)], provisioned=False)
            else:
                raise Conflict(f"there is a monitor {monitor.tag!r} already")

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

    def remove(self, tag: str) -> None:
        """Raises NotFound, or Conflict for a monitor of the configuration file. Its history is kept for a while."""
        with self._db.write("remove monitor"):
            row = self._existing(tag)
            if row["provisioned"]:
                raise Conflict(f"{tag!r} comes from the configuration file: remove it there and reload")
            self._remove([row["id"]])

    def provision(self, wanted: Iterable[tuple[Monitor, bytes]]) -> tuple[int, int, int]:
        """Makes the provisioned monitors exactly these; returns how many were added, changed and removed.

        A monitor that was made by hand under one of these tags is taken over; all others made by hand stay.
        """
        monitors = self._db.tables.monitors
        missing = {monitor.tag: (monitor, digest) for monitor, digest in wanted}
        changed: list[tuple[int, Monitor, bytes]] = []
        removed: list[int] = []
        columns = [getattr(monitors, column) for column in MONITOR_COLUMNS]
        with self._db.write("provision monitors") as transaction:
            hold_revision(self._db, REVISION)  # replicas that start together provision the same
            query = monitors.select(monitors.id, monitors.digest, monitors.provisioned, monitors.removed_at, *columns)
            for id, old_digest, provisioned, removed_at, *row in query.tuples():
                here = bool(provisioned) and removed_at is None
                found = missing.pop(row[0], None)
                if found is None:
                    if here:
                        removed.append(id)
                elif not (here and found[1] == bytes(old_digest) and found[0] == monitor_of(row, False)):
                    changed.append((id, *found))
            if missing:
                self._create(transaction, list(missing.values()), provisioned=True)
            if changed:
                self._change(transaction, changed, provisioned=True)
            if removed:
                self._remove(removed)
        return len(missing), len(changed), len(removed)

    # ── within a transaction ─────────────────────────────────────────────────────────────────────────────────

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
        transaction.execute_many(
            self._insert,
            [
                self._insert.row(
                    {
                        **_definition(monitor, digest, provisioned, revision, made_by),
                        "created_at": now,
                        "paused_by_hand": False,
                    }
                )
                for monitor, digest in new
            ],
        )
        monitors = self._db.tables.monitors
        ids = [row[0] for row in monitors.select(monitors.id).where(monitors.revision == revision).tuples()]
        transaction.execute_many(
            self._insert_state,
            [self._insert_state.row(_new_state(id, now)) for id in ids],
        )
        # History begins where the monitor does.
        transaction.execute_many(
            self._insert_transition,
            [self._insert_transition.row(_first_transition(id, now, self._replica)) for id in ids],
        )

    def _change(
        self, transaction: Transaction, changed: Sequence[tuple[int, Monitor, bytes]], provisioned: bool
    ) -> None:
        revision = next_revision(self._db, REVISION)
        transaction.execute_many(
            self._update,
            [
                self._update.row({**_definition(monitor, digest, provisioned, revision), "id": id})
                for id, monitor, digest in changed
            ],
        )
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
            # Its alerts have no monitor any more: whoever evaluates ends them.
            progress.update(**{"next_at": self._clock.now()}).where(progress.monitor_id.in_(chunk)).execute()

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
