"""Keeps heartbeats in files while the database is away."""
