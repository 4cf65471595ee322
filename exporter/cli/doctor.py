"""`heartbeat-exporter doctor`: checks an installation."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from exporter.cli._console import read_config, storage_options, with_cli_overrides
from exporter.cli._passwords import hide_password
from exporter.core.errors import ConfigError, InvalidValue
from exporter.doctor.checks import CHECKS, run_checks
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
    context = _context(config_file, storage_url)
    context.url, context.offline = url, offline
    findings: list[tuple[str, Finding]] = []
    try:
        for name, finding in run_checks(context):
            findings.append((name, finding))
            if not as_json:
                _print(name, finding)
    finally:
        context.close()
    results = Counter(finding.result for _, finding in findings)
    if as_json:
        click.echo(json.dumps(_as_json(findings), indent=2))
    else:
        click.echo(f"\n{counted(results[Result.PROBLEM], 'problem')}, {counted(results[Result.WARNING], 'warning')}.")
    sys.exit(1 if results[Result.PROBLEM] else 0)


def _context(config_file: Path | None, storage_url: str | None) -> DoctorContext:
    """Reads the configuration. If it is invalid, the context contains the problems, which become findings."""
    try:
        loaded = read_config(config_file)
        settings = with_cli_overrides(loaded.settings, storage_url=storage_url)
    except ConfigError as error:
        return DoctorContext(config_file, None, [str(problem) for problem in error.problems])
    except InvalidValue as error:
        return DoctorContext(config_file, None, [str(error)])
    return DoctorContext(config_file, settings, warnings=[str(warning) for warning in loaded.warnings])


def _print(name: str, finding: Finding) -> None:
    result = click.style(f"{finding.result:<8}", fg=_COLOURS[finding.result])
    click.echo(f"{result} {name:<{_WIDTH}}  {finding.text}")
    if finding.advice:
        click.echo(f"{'':<9}{'':<{_WIDTH}}  → {finding.advice}")


def _as_json(findings: Sequence[tuple[str, Finding]]) -> dict[str, object]:
    return {
        "problems": sum(finding.result is Result.PROBLEM for _, finding in findings),
        "warnings": sum(finding.result is Result.WARNING for _, finding in findings),
        "checks": [
            {"check": name, "result": finding.result.value, "text": finding.text, "advice": finding.advice or None}
            for name, finding in findings
        ],
    }
