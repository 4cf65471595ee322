"""Tables, group commit, queries, the lease and migrations; one code for every engine."""
