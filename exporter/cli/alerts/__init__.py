"""Commands about alerts: incidents, notifiers, and notifications."""
