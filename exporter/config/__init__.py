"""YAML in, settings out."""
