"""Keeps the in-memory fleet current with the database."""
