"""Writes the dashboards anew."""

from dashboards.source import write

for file in write():
    print(file)
