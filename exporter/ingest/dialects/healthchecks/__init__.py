"""Healthchecks: its pings, and the API by which checks are managed."""
