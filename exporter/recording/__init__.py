"""Commits heartbeats in groups."""
