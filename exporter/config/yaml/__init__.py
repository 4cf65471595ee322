"""YAML texts as plain values with their lines, read within bounds."""
