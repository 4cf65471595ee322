"""Generated requests against the running program: `make fuzz FUZZ_SECONDS=3600` for long."""
