"""`python -m bench`: the bars of the design, measured on this machine in one run."""
