"""Rules for Prometheus and a configuration for Alertmanager, as files to install. `source` builds those that are built."""
