"""Checks of an installation, for `heartbeat-exporter doctor`."""
