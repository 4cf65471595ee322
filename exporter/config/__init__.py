"""The configuration file: reads YAML, returns settings."""
