"""`heartbeat-exporter doctor`: what is wrong, and what to do."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from exporter.cli._console import read_config, storage_options, with_cli_overrides
from exporter.cli._passwords import hide_password
from exporter.core.errors import ConfigError, InvalidValue
from exporter.doctor.checks import CHECKS, examine
from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Finding, Result, counted

_COLOURS = {Result.OK: "green", Result.WARNING: "yellow", Result.PROBLEM: "red", Result.SKIPPED: None}
_WIDTH = max(len(check.name) for check in CHECKS)


@click.command()
@click.option(
    "--url", metavar="URL", callback=hide_password, help="URL of the running service. Default: its listen address."
)
@click.option("--offline", is_flag=True, help="Connect to nothing but the database.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@storage_options
def doctor(url: str | None, offline: bool, as_json: bool, config_file: Path | None, storage_url: str | None) -> None:
    """Checks the installation.

    The command checks the configuration, database, disk, clock, lease, evaluation, notifiers and the running service,
    and says how to correct each problem. Run it as the service's user, with the --config.file of the service. It
    changes nothing and sends no message. The exit status is 1 if there is a problem; warnings do not change it.

    \b
    Examples:
      heartbeat-exporter doctor --config.file heartbeats.yml
    """
    patient = _patient(config_file, storage_url)
    patient.url, patient.offline = url, offline
    found: list[tuple[str, Finding]] = []
    try:
        for name, finding in examine(patient):
            found.append((name, finding))
            if not as_json:
                _tell(name, finding)
    finally:
        patient.close()
    results = Counter(finding.result for _, finding in found)
    if as_json:
        click.echo(json.dumps(_facts(found), indent=2))
    else:
        click.echo(f"\n{counted(results[Result.PROBLEM], 'problem')}, {counted(results[Result.WARNING], 'warning')}.")
    sys.exit(1 if results[Result.PROBLEM] else 0)


def _patient(config_file: Path | None, storage_url: str | None) -> DoctorContext:
    """A configuration that cannot be used is a finding like others."""
    try:
        loaded = read_config(config_file)
        settings = with_cli_overrides(loaded.settings, storage_url=storage_url)
    except ConfigError as error:
        return DoctorContext(config_file, None, [str(one) for one in error.problems])
    except InvalidValue as error:
        return DoctorContext(config_file, None, [str(error)])
    return DoctorContext(config_file, settings, warnings=[str(one) for one in loaded.warnings])


def _tell(name: str, finding: Finding) -> None:
    result = click.style(f"{finding.result:<8}", fg=_COLOURS[finding.result])
    click.echo(f"{result} {name:<{_WIDTH}}  {finding.found}")
    if finding.advice:
        click.echo(f"{'':<9}{'':<{_WIDTH}}  → {finding.advice}")


def _facts(found: Sequence[tuple[str, Finding]]) -> dict[str, object]:
    return {
        "problems": sum(finding.result is Result.PROBLEM for _, finding in found),
        "warnings": sum(finding.result is Result.WARNING for _, finding in found),
        "checks": [
            {"check": name, "result": finding.result.value, "found": finding.found, "advice": finding.advice or None}
            for name, finding in found
        ],
    }
