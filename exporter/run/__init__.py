"""The wrapper of jobs, `heartbeat-run`, and its twin in sh. Nothing here imports anything of ours from elsewhere."""
