"""Every monitor's series, rendered."""
