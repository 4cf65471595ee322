"""`python -m exporter` is `heartbeat-exporter`."""

from exporter.cli import main

main(prog_name="heartbeat-exporter")
