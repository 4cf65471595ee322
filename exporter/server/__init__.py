"""HTTP: the processes, their listening sockets and their connections."""
