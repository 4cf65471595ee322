"""The JSON form of monitors, maintenance windows, alerts, incidents and notifications: for the API and `--json`."""
