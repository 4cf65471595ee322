"""What uptime is worked out from: the changes of status of those monitors to which anything happened."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from peewee import fn

from exporter.core.status import Status
from exporter.core.uptime import StatusChange, StatusHistory, past
from exporter.storage.database import Database


def load_histories(database: Database, which: Any) -> Mapping[int, StatusHistory]:
    """Inside `database.read` or `write`: of the monitors that meet `which`, a condition on `states`. Those to which
    nothing happened are left out.
    """
    states, transitions = database.tables.states, database.tables.transitions
    fell = transitions.alias("fell")
    down = fell.select(fell.monitor_id).where(
        (fell.monitor_id == states.monitor_id) & (fell.status == Status.DOWN.value)
    )
    out_of_count = states.status.in_((Status.PAUSED.value, Status.MAINTENANCE.value))
    query = (
        transitions.select(transitions.monitor_id, transitions.at, transitions.status)
        .join(states, on=(states.monitor_id == transitions.monitor_id))
        .where(which & (out_of_count | fn.EXISTS(down)))
        .order_by(transitions.id)
    )
    changes: defaultdict[int, list[StatusChange]] = defaultdict(list)
    for monitor_id, at, status in query.tuples():
        changes[monitor_id].append(StatusChange(at, Status(status)))
    return {monitor_id: past(steps) for monitor_id, steps in changes.items()}


def load_histories_of(database: Database, monitor_ids: Sequence[int]) -> Mapping[int, StatusHistory]:
    """As `load_histories`, for up to a few hundred monitors."""
    return load_histories(database, database.tables.states.monitor_id.in_(monitor_ids))
