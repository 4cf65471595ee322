"""Incidents: what people follow while something is wrong."""

from enum import StrEnum


class IncidentState(StrEnum):
    """In the order in which an incident usually goes through them."""

    INVESTIGATING = "INVESTIGATING"
    IDENTIFIED = "IDENTIFIED"
    MONITORING = "MONITORING"
    RESOLVED = "RESOLVED"
