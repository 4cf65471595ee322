"""Messages and their delivery to notifiers."""
