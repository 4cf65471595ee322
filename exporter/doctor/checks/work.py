"""The work: somebody is there, evaluates in time, and knows the monitors of the configuration."""

from collections.abc import Iterator

from exporter.core.clock import DAY, SECOND
from exporter.core.fleet import Fleet
from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Finding, counted, listed, ok, problem, warning
from exporter.evaluation.outcomes import Evaluations
from exporter.presentation.moments import humanize_ago, humanize_duration
from exporter.storage.repositories.blackouts import LONGEST_GAP

LATE = 10 * SECOND
"""How far behind evaluation may be, for a moment, when thousands of monitors come due at once."""
_START = "Start the service (`systemctl status heartbeat-exporter`), or name its database."
_STALLED = "Read the service's log; restart the process that holds the lease."


def presence(patient: DoctorContext) -> Iterator[Finding]:
    """A process takes heartbeats, and has done so for a day."""
    stamps, now = patient.database.tables.stamps, patient.clock.now()
    with patient.database.read("read stamp"):
        at = next(iter(stamps.select(stamps.at).tuples()))[0]
    if at is None or now - at > LONGEST_GAP:
        when = "ever" if at is None else f"since {humanize_ago(at, now)}"
        yield problem(f"no process has been there to take heartbeats, {when}", _START)
        return
    away = [span for span in patient.repositories.blackouts.all() if span.end > now - DAY]
    if away:
        length = humanize_duration(sum(span.end - max(span.start, now - DAY) for span in away))
        yield warning(
            f"heartbeats could not be taken for {length} in the last day, in {counted(len(away), 'blackout')}",
            "Jobs that ran then may have to run again; the service's log says what ended each.",
        )
    else:
        yield ok("heartbeats are being taken, and were all day")


def lease(patient: DoctorContext) -> Iterator[Finding]:
    """One process holds the lease by which it evaluates."""
    leases, now = patient.database.tables.leases, patient.clock.now()
    with patient.database.read("read lease"):
        rows = list(leases.select(leases.holder, leases.expires_at).where(leases.name == "evaluation").tuples())
    if not rows:
        yield problem("nobody has ever evaluated here", _START)
        return
    holder, expires_at = rows[0]
    if expires_at <= now:
        yield problem("nobody holds the lease: no process evaluates", _START)
    else:
        yield ok(f"held by process {holder}, until {humanize_ago(expires_at, now).removeprefix('in ')} from now")


def evaluation(patient: DoctorContext) -> Iterator[Finding]:
    """No monitor waits to be evaluated."""
    due = Evaluations(patient.database, Fleet(), "doctor").next_due()
    late = 0 if due is None else patient.clock.now() - due
    if late > LATE:
        yield problem(f"a monitor has waited for {humanize_duration(late)} to be evaluated", _STALLED)
    else:
        yield ok("nothing is behind")


def monitors(patient: DoctorContext) -> Iterator[Finding]:
    """There are some, and each has sent something."""
    tables = patient.database.tables
    monitors, states = tables.monitors, tables.states
    query = (
        monitors.select(monitors.tag, states.received)
        .join(states, on=(states.monitor_id == monitors.id))
        .where(monitors.removed_at.is_null() & (monitors.paused == False) & (monitors.paused_by_hand == False))  # noqa: E712
    )
    with patient.database.read("read monitors"):
        rows = list(query.tuples())
    silent = [tag for tag, received in rows if not received]
    if not rows:
        yield warning("there is none that is not paused", "Add one: heartbeat-exporter monitor add TAG.")
    elif silent:
        yield warning(
            f"{len(silent)} of {len(rows)} never sent a heartbeat: {listed(silent)}",
            "Run their curl line by hand, with -v (docs/operations.md: A monitor is always NO_DATA).",
        )
    else:
        yield ok(f"{counted(len(rows), 'monitor')}, all of which sent heartbeats")


def maintenances(patient: DoctorContext) -> Iterator[Finding]:
    """Each maintenance window that recurs has a rule that can be used."""
    now = patient.clock.now()
    windows = [one.window for one in patient.repositories.maintenances.all() if not one.over(now)]
    for window in windows:
        if window.trouble is not None:
            yield problem(
                f"maintenance {window.name!r} never begins, its rule cannot be used: {window.trouble}",
                "End it (`heartbeat-exporter maintenance end NAME`), and add it with a rule that can.",
            )
    if all(window.trouble is None for window in windows):
        yield ok(f"{counted(len(windows), 'window')}, none with a rule that cannot be used")


def provisioning(patient: DoctorContext) -> Iterator[Finding]:
    """The service has read this configuration."""
    table = patient.database.tables.monitors
    with patient.database.read("read monitors"):
        query = table.select(table.tag).where((table.provisioned == True) & table.removed_at.is_null())  # noqa: E712
        known = {row[0] for row in query.tuples()}
    wanted = {one.monitor.tag for one in patient.configured.monitors}
    if patient.config_file is None and known:
        yield warning(
            f"the service has {counted(len(known), 'monitor')} of a configuration file, and none was given here",
            "Give the service's --config.file.",
        )
        return
    apart = [f"not there yet: {listed(wanted - known)}"] if wanted - known else []
    apart += [f"still there: {listed(known - wanted)}"] if known - wanted else []
    if apart:
        yield warning(
            f"the service's monitors are not those of the file; {'; '.join(apart)}",
            "Reload it (systemctl reload, SIGHUP, POST /-/reload), and see whether it says that the file is bad.",
        )
    else:
        yield ok(f"{counted(len(wanted), 'monitor')} of the file, all there")
