"""Fault campaigns: real processes under load while all fails that can fail, and every monitor checked afterwards.

`make storm` runs them for minutes; `test_storm.py` is the short form in the gate.
"""
