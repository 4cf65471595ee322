"""`python -m exporter` is `heartbeat-exporter`."""

from exporter.cli.main import main

main(prog_name="heartbeat-exporter")
