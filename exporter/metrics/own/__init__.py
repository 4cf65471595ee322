"""The exporter's own series."""
