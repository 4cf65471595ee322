"""Requests in, heartbeats out: the ingest application, its dialects, and the credentials that they ask for."""
