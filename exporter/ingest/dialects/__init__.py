"""One module per dialect; a dialect turns a request into heartbeats."""
