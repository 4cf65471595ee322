"""`python -m exporter` is `heartbeat-exporter`."""

import sys

from exporter.core.process.reloads import hold_reloads


def run() -> None:
    if sys.argv[1:2] == ["serve"]:
        hold_reloads()  # before the imports, which take a second on a busy machine
    from exporter.cli.main import main

    main(prog_name="heartbeat-exporter")


if __name__ == "__main__":
    run()
