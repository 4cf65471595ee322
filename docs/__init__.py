"""Documents of the exporter, which the service shows at `/docs/` and `assets export` writes to files."""
