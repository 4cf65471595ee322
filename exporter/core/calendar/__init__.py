"""Times of a wall clock: cron expressions, recurrence rules and their occurrences, safe across clock changes."""
