"""Alert rules, the state of alerts, incidents and notifications."""
