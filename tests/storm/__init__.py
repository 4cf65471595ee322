"""Fault campaigns: real processes under load while all fails that can fail, and every monitor checked afterwards.

`make storm` runs them for minutes; the modules `test_storm_…` are the short form in the gate.
"""
