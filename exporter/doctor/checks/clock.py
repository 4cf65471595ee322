"""The clock: ours, the database's, and those of other replicas as their traces tell them."""

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
"""A difference that is not how long asking took."""
_ADVICE = "Synchronise the clocks of all machines, including the database server (systemd-timesyncd, chrony)."


def clock(patient: DoctorContext) -> Iterator[Finding]:
    """It agrees with the database's, and nothing in the database is from the future."""
    opened, tables = patient.database, patient.database.tables
    stamps, beats, changes = tables.stamps, tables.heartbeats, tables.transitions
    with opened.read("read clocks"):
        before = patient.clock.now()
        (theirs,) = next(iter(opened.peewee.execute_sql("SELECT CURRENT_TIMESTAMP")))
        now = patient.clock.now()
        traces = [
            stamps.select(stamps.at).where(stamps.at.is_null(False)),
            beats.select(beats.received_at).order_by(beats.id.desc()).limit(1),
            changes.select(changes.observed_at).order_by(changes.id.desc()).limit(1),
        ]
        latest = max((int(row[0]) for trace in traces for row in trace.tuples()), default=now)
    away = _away(_milliseconds(theirs), before, now)
    if abs(away) > NOTABLE:
        ahead = "ahead of" if away > 0 else "behind"
        found = f"the database's clock is {humanize_duration_exact(abs(away))} {ahead} this machine's"
        yield problem(found, _ADVICE) if abs(away) > AHEAD else warning(found, _ADVICE)
    future = latest - now
    if future > AHEAD:
        yield problem(
            f"the database contains a time that is {humanize_duration_exact(future)} in the future: this machine's "
            "clock is behind, or a clock was ahead when that time was written",
            _ADVICE,
        )
    measured = ServerClock(opened, patient.clock).kept(now - 5 * MINUTE) if patient.database.engine.locks_rows else []
    skew = max((one.ahead for one in measured), default=0) - min((one.ahead for one in measured), default=0)
    if skew > NOTABLE:
        yield warning(f"the clocks of replicas differ by {humanize_duration_exact(skew)}", _ADVICE)
    if abs(away) <= NOTABLE and future <= AHEAD and skew <= NOTABLE:
        yield ok("the clocks of this machine, the database and the other replicas agree")


def synchronisation(patient: DoctorContext) -> Iterator[Finding]:
    """The machine's clock is synchronised, as far as systemd knows."""
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
    said = done.stdout.strip()
    if said == "yes":
        yield ok("the clock is synchronised")
    elif said == "no":
        yield warning("the clock is not synchronised", _ADVICE)
    else:
        yield skipped("timedatectl does not report it, for example in a container")


def _milliseconds(moment: object) -> int:
    """Of what CURRENT_TIMESTAMP is: a text in UTC and whole seconds, or a datetime."""
    found = moment if isinstance(moment, datetime) else datetime.fromisoformat(str(moment)).replace(tzinfo=UTC)
    return round(found.timestamp() * SECOND)


def _away(theirs: int, before: int, after: int) -> int:
    """By how much the database's clock is ahead; 0 within the time that asking took and a second cut off."""
    if theirs > after:
        return theirs - after
    return min(0, theirs + SECOND - before)
