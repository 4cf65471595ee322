"""Which monitors depend on which, and what follows from that for alerts."""
