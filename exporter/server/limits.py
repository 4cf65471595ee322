"""Limits that the supervisor and its workers both know of."""

GRACE = 30
"""Seconds that requests in flight may take after SIGTERM."""
MAX_CONNECTIONS = 8192
"""Connections of one worker, if its descriptors allow as many."""
