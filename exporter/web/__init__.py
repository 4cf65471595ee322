"""Pages, probes and the API."""
