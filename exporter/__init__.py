"""Heartbeat Exporter: a heartbeat monitor for Prometheus. See docs/architecture.md for the map of the house."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("heartbeat-exporter")
except PackageNotFoundError:  # running from a source tree that was never installed
    __version__ = "0+unknown"
