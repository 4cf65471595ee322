"""`python -m exporter` is `heartbeat-exporter`."""

import sys

from exporter.core.process.reloads import hold_reloads


def run() -> None:
    if sys.argv[1:2] == ["serve"]:
        hold_reloads()  # before the imports, which take a second on a busy machine
    if sys.argv[1:2] == ["run"]:
        from exporter.run.wrapper import command

        command(sys.argv[2:], "heartbeat-exporter run")  # without the command line's imports: the job starts at once
    from exporter.cli.main import main

    main(prog_name="heartbeat-exporter")


if __name__ == "__main__":
    run()
