"""Writes the dashboards."""

from dashboards.source import write

for file in write():
    print(file)
