"""The checks of `heartbeat-exporter doctor`. Each is a function in one of these modules, and a line in CHECKS.

Every check is documented in docs/doctor.md; a test compares them. A finding contains no secret.
"""

from collections.abc import Iterator

from exporter.core.errors import HeartbeatExporterError
from exporter.doctor.checks import clock, configuration, disk, habits, notifications, reach, service, storage, work
from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Check, Finding, Result, problem, skipped

CHECKS = (
    Check("configuration", configuration.configuration),
    Check("permissions", configuration.permissions, needs=("configuration",)),
    Check("access", configuration.access, needs=("configuration",)),
    Check("database", storage.database, needs=("configuration",)),
    Check("schema", storage.schema, needs=("database",)),
    Check("writing", storage.writing, needs=("schema",)),
    Check("integrity", storage.integrity, needs=("database",)),
    Check("durability", storage.durability, needs=("database",)),
    Check("file system", disk.file_system, needs=("database",)),
    Check("disk space", disk.space, needs=("database",)),
    Check("disk speed", disk.speed, needs=("database",)),
    Check("clock", clock.clock, needs=("schema",)),
    Check("clock synchronisation", clock.synchronisation),
    Check("presence", work.presence, needs=("schema",)),
    Check("lease", work.lease, needs=("schema",)),
    Check("evaluation", work.evaluation, needs=("schema",)),
    Check("monitors", work.monitors, needs=("schema",)),
    Check("allowances", habits.allowances, needs=("schema",)),
    Check("early heartbeats", habits.early_heartbeats, needs=("schema",)),
    Check("paused monitors", habits.long_paused, needs=("schema",)),
    Check("down monitors", habits.long_down, needs=("schema",)),
    Check("starts", habits.starts, needs=("schema",)),
    Check("maintenances", work.maintenances, needs=("schema",)),
    Check("dependencies", work.dependencies, needs=("schema",)),
    Check("provisioning", work.provisioning, needs=("schema",)),
    Check("outbox", notifications.outbox, needs=("schema",)),
    Check("rules", notifications.rules, needs=("schema",)),
    Check("notifiers", reach.notifiers, needs=("configuration",), online=True),
    Check("self heartbeat", reach.self_heartbeat, needs=("configuration",), online=True),
    Check("service", service.service, needs=("configuration",), online=True),
    Check("refusals", service.refusals, needs=("service",), online=True),
    Check("external address", service.external_address, needs=("configuration",), online=True),
)


def run_checks(context: DoctorContext) -> Iterator[tuple[str, Finding]]:
    """Yields the findings of each check, in order. A check is skipped when one that it needs has not passed."""
    passed: set[str] = set()
    for check in CHECKS:
        findings = list(_findings(check, context, passed))
        if all(finding.result in (Result.OK, Result.WARNING) for finding in findings):
            passed.add(check.name)
        for finding in findings:
            yield check.name, finding


def _findings(check: Check, context: DoctorContext, passed: set[str]) -> Iterator[Finding]:
    if check.online and context.offline:
        yield skipped("not run with --offline")
        return
    for name in check.needs:
        if name not in passed:
            yield skipped(f"requires that the check {name!r} passes")
            return
    try:
        yield from check.run(context)
    except HeartbeatExporterError as error:
        yield problem(str(error), "See 'It answers 503' in docs/operations.md.")
