"""Heartbeat Exporter: a heartbeat monitor for Prometheus. See docs/architecture.md for the map of the house."""

__version__ = "0.1.0"
"""As in setup.cfg. Not looked up in the installed package: that would take three megabytes of each process."""
