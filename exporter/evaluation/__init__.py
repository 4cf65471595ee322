"""Evaluates the monitors that are due, and writes their transitions."""
