"""Checks of the clocks: this machine's, the database's, and those of other replicas."""

import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime

from exporter.core.clock import MINUTE, SECOND
from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Finding, ok, problem, skipped, warning
from exporter.presentation.moments import humanize_duration_exact
from exporter.storage.repositories.blackouts import AHEAD
from exporter.storage.server_clock import ServerClock

NOTABLE = 1 * SECOND
"""Milliseconds. A smaller difference may be the duration of the query."""
_ADVICE = "Synchronise the clocks of all machines, including the database server (systemd-timesyncd, chrony)."


def clock(context: DoctorContext) -> Iterator[Finding]:
    """The clock agrees with the database's, and no time in the database is in the future."""
    opened, tables = context.database, context.database.tables
    stamps, beats, changes = tables.stamps, tables.heartbeats, tables.transitions
    with opened.read("read clocks"):
        before = context.clock.now()
        (theirs,) = next(iter(opened.peewee.execute_sql("SELECT CURRENT_TIMESTAMP")))
        now = context.clock.now()
        traces = [
            stamps.select(stamps.at).where(stamps.at.is_null(False)),
            beats.select(beats.received_at).order_by(beats.id.desc()).limit(1),
            changes.select(changes.observed_at).order_by(changes.id.desc()).limit(1),
        ]
        latest = max((int(row[0]) for trace in traces for row in trace.tuples()), default=now)
    away = _away(_milliseconds(theirs), before, now)
    if abs(away) > NOTABLE:
        ahead = "ahead of" if away > 0 else "behind"
        text = f"the database's clock is {humanize_duration_exact(abs(away))} {ahead} this machine's"
        yield problem(text, _ADVICE) if abs(away) > AHEAD else warning(text, _ADVICE)
    future = latest - now
    if future > AHEAD:
        yield problem(
            f"the database contains a time that is {humanize_duration_exact(future)} in the future: this machine's "
            "clock is behind, or a clock was ahead when that time was written",
            _ADVICE,
        )
    measured = ServerClock(opened, context.clock).kept(now - 5 * MINUTE) if context.database.engine.locks_rows else []
    skew = max((replica.ahead for replica in measured), default=0) - min(
        (replica.ahead for replica in measured), default=0
    )
    if skew > NOTABLE:
        yield warning(f"the clocks of replicas differ by {humanize_duration_exact(skew)}", _ADVICE)
    if abs(away) <= NOTABLE and future <= AHEAD and skew <= NOTABLE:
        yield ok("the clocks of this machine, the database and the other replicas agree")


def synchronisation(context: DoctorContext) -> Iterator[Finding]:
    """The machine's clock is synchronised, according to systemd."""
    program = shutil.which("timedatectl")
    if program is None:
        yield skipped("timedatectl is not installed")
        return
    try:
        done = subprocess.run(
            [program, "show", "--property=NTPSynchronized", "--value"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        yield skipped("timedatectl does not respond")
        return
    synchronised = done.stdout.strip()
    if synchronised == "yes":
        yield ok("the clock is synchronised")
    elif synchronised == "no":
        yield warning("the clock is not synchronised", _ADVICE)
    else:
        yield skipped("timedatectl does not report it, for example in a container")


def _milliseconds(moment: object) -> int:
    """Converts the value of CURRENT_TIMESTAMP: a string in UTC with whole seconds, or a datetime."""
    time = moment if isinstance(moment, datetime) else datetime.fromisoformat(str(moment)).replace(tzinfo=UTC)
    return round(time.timestamp() * SECOND)


def _away(theirs: int, before: int, after: int) -> int:
    """Returns by how many milliseconds the database's clock is ahead.

    It is 0 for a difference within the duration of the query plus the fraction of a second that was truncated.
    """
    if theirs > after:
        return theirs - after
    return min(0, theirs + SECOND - before)
