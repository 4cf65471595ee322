"""HTTP: the processes, their listening sockets and their connections."""

from exporter.server.gunicorn import Server, bind_or_explain

__all__ = ["Server", "bind_or_explain"]
