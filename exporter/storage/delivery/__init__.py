"""Messages to notifiers in the database: the outbox, deliveries, notifications as people see them, and holds."""
