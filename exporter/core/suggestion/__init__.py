"""Suggestions: what schedule and thresholds the kept heartbeats of a monitor show."""
