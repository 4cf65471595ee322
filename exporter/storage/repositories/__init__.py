"""Queries and changes, a module for each kind of row."""
