"""Turns changes of status into alerts, and alerts into incidents and messages, by the alert rules."""
