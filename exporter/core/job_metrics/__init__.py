"""Metrics that jobs push: read, checked, merged and rendered."""
