"""`heartbeat-exporter run`, as the list of commands has it; `exporter.__main__` calls the wrapper without click."""

import sys

import click


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []}
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(arguments: tuple[str, ...]) -> None:
    """Runs a job and reports its start, end and output.

    The same as `heartbeat-run`, which is installed with it: see `heartbeat-exporter run --help`.

    \b
    Examples:
      heartbeat-exporter run nightly-backup -- true
    """
    from exporter.run.wrapper import main

    sys.exit(main(arguments, "heartbeat-exporter run"))
