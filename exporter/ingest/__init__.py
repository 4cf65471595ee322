"""Requests in, heartbeats out: dialects and the receiver."""
