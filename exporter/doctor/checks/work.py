"""Checks of the service's work: it accepts heartbeats, evaluates in time, and has the configured monitors."""

from collections.abc import Iterator

from exporter.core.clock import DAY, SECOND
from exporter.core.dependencies.graph import DependencyGraph, describe_cycle
from exporter.core.fleet import Fleet
from exporter.core.monitor import MAX_PARENTS, Monitor
from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Finding, counted, listed, ok, problem, warning
from exporter.evaluation.outcomes import Evaluations
from exporter.presentation.moments import humanize_ago, humanize_duration
from exporter.storage.repositories.blackouts import MAX_GAP
from exporter.storage.rows import parents_of

MAX_LATENESS = 10 * SECOND
"""Milliseconds. Evaluation may be late for a moment when thousands of monitors come due at once."""
MAX_NAMED = 5
"""Cycles that are reported, each with its path."""
_START = "Start the service (`systemctl status heartbeat-exporter`), or give the --storage.url that it uses."
_STALLED = "Read the log of the service, and restart the process that holds the lease."


def presence(context: DoctorContext) -> Iterator[Finding]:
    """A process accepts heartbeats, and has for a day."""
    stamps, now = context.database.tables.stamps, context.clock.now()
    with context.database.read("read stamp"):
        at = next(iter(stamps.select(stamps.at).tuples()))[0]
    if at is None or now - at > MAX_GAP:
        length = "yet" if at is None else f"for {humanize_duration(now - at)}"
        yield problem(f"no process has accepted heartbeats {length}", _START)
        return
    away = [span for span in context.repositories.blackouts.all() if span.end > now - DAY]
    if away:
        length = humanize_duration(sum(span.end - max(span.start, now - DAY) for span in away))
        yield warning(
            f"no process accepted heartbeats for {length} in the last day, in {counted(len(away), 'blackout')}",
            "Check the jobs that ran then; the log of the service shows when each blackout ended.",
        )
    else:
        yield ok("the service accepts heartbeats, and has for the last day")


def lease(context: DoctorContext) -> Iterator[Finding]:
    """A process holds the evaluation lease."""
    leases, now = context.database.tables.leases, context.clock.now()
    with context.database.read("read lease"):
        rows = list(leases.select(leases.holder, leases.expires_at).where(leases.name == "evaluation").tuples())
    if not rows:
        yield problem("no process has ever evaluated the monitors of this database", _START)
        return
    holder, expires_at = rows[0]
    if expires_at <= now:
        yield problem("no process holds the lease, so no monitor is evaluated", _START)
    else:
        yield ok(f"held by process {holder}, expires {humanize_ago(expires_at, now)}")


def evaluation(context: DoctorContext) -> Iterator[Finding]:
    """No evaluation is late."""
    due = Evaluations(context.database, Fleet(), "doctor").next_due()
    late = 0 if due is None else context.clock.now() - due
    if late > MAX_LATENESS:
        yield problem(f"the evaluation of a monitor is {humanize_duration(late)} late", _STALLED)
    else:
        yield ok("no evaluation is late")


def monitors(context: DoctorContext) -> Iterator[Finding]:
    """There are active monitors, and each has received a heartbeat."""
    tables = context.database.tables
    monitors, states = tables.monitors, tables.states
    query = (
        monitors.select(monitors.tag, states.received)
        .join(states, on=(states.monitor_id == monitors.id))
        .where(monitors.removed_at.is_null() & (monitors.paused == False) & (monitors.paused_by_hand == False))  # noqa: E712
    )
    with context.database.read("read monitors"):
        rows = list(query.tuples())
    silent = [tag for tag, received in rows if not received]
    if not rows:
        yield warning("there are no active monitors", "Add one (`heartbeat-exporter monitor add TAG`), or resume one.")
    elif silent:
        yield warning(
            f"{len(silent)} of {len(rows)} have never received a heartbeat: {listed(silent)}",
            "Run their curl commands manually, with -v (docs/operations.md: A monitor is always NO_DATA).",
        )
    else:
        yield ok(f"{counted(len(rows), 'monitor')}, all with heartbeats")


def maintenances(context: DoctorContext) -> Iterator[Finding]:
    """The rule of each recurring maintenance window is valid."""
    now = context.clock.now()
    windows = [kept.window for kept in context.repositories.maintenances.all() if not kept.over(now)]
    for window in windows:
        if window.trouble is not None:
            yield problem(
                f"maintenance {window.name!r} never starts, because its rule is invalid: {window.trouble}",
                "End it (`heartbeat-exporter maintenance end NAME`), and add it again with a valid rule.",
            )
    if all(window.trouble is None for window in windows):
        yield ok(f"{counted(len(windows), 'window')}, none with an invalid rule")


def dependencies(context: DoctorContext) -> Iterator[Finding]:
    """Each parent that a monitor names exists, and no monitor depends on itself."""
    monitors = context.database.tables.monitors
    query = monitors.select(monitors.tag, monitors.depends_on).where(monitors.removed_at.is_null())
    with context.database.read("read monitors"):
        graph = DependencyGraph(Monitor(tag=tag, depends_on=parents_of(text)) for tag, text in query.tuples())
    found = False
    for path in graph.cycles[:MAX_NAMED]:
        found = True
        yield problem(
            f"a cycle of dependencies, which has no effect: {describe_cycle(path)}",
            "Remove one of these dependencies: change depends_on, or rename a monitor that a glob matches.",
        )
    if graph.unknown:
        found = True
        parents = sorted({parent for parents in graph.unknown.values() for parent in parents})
        yield warning(
            f"{counted(len(graph.unknown), 'monitor')} depending on monitors that do not exist ({listed(parents)}): "
            f"{listed(graph.unknown)}",
            "Correct depends_on, or add those monitors: until then these dependencies have no effect.",
        )
    if graph.crowded:
        found = True
        yield warning(
            f"{counted(len(graph.crowded), 'monitor')} with more than {MAX_PARENTS} parents, of which the first have "
            f"an effect: {listed(graph.crowded)}",
            "Use narrower globs in depends_on.",
        )
    if not found:
        depending = {tag for tag, _ in graph.pairs()}
        yield ok(f"{counted(len(depending), 'monitor')} with dependencies, all of them in effect")


def provisioning(context: DoctorContext) -> Iterator[Finding]:
    """The service has the monitors of this configuration."""
    table = context.database.tables.monitors
    with context.database.read("read monitors"):
        query = table.select(table.tag).where((table.provisioned == True) & table.removed_at.is_null())  # noqa: E712
        present = {row[0] for row in query.tuples()}
    configured = {entry.monitor.tag for entry in context.configured.monitors}
    if context.config_file is None and present:
        yield warning(
            f"the service has {counted(len(present), 'monitor')} from a configuration file, but doctor has none",
            "Give the --config.file of the service.",
        )
        return
    differences = [f"missing in the service: {listed(configured - present)}"] if configured - present else []
    differences += [f"missing in the file: {listed(present - configured)}"] if present - configured else []
    if differences:
        yield warning(
            f"the monitors of the service differ from those of the file; {'; '.join(differences)}",
            "Reload the service (systemctl reload, SIGHUP or POST /-/reload), and check its log for a rejected file.",
        )
    else:
        yield ok(f"{counted(len(configured), 'monitor')} of the file, all in the service")
