"""Due monitors in, transitions out."""
