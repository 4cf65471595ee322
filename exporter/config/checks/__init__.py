"""Checks of a configuration that concern several entries at once."""
