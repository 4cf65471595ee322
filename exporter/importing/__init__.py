"""Takes over the monitors of other systems: each module reads one of them, and makes a configuration of ours."""
