"""Rules for Prometheus and a configuration for Alertmanager, as files to install. `source` builds what is built."""
