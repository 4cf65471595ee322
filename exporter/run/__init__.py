"""What runs on the machines of jobs: `heartbeat-run` and its twin in sh, each one file that imports nothing of ours."""
