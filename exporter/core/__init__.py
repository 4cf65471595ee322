"""The pure core: status, schedules, time. No I/O and no frameworks; import-linter holds it to that."""
