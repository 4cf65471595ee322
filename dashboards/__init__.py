"""Grafana dashboards of the exporter: JSON to import or to provision. `source` builds it."""
