"""The HTTP server: processes, listening sockets and connections."""

from exporter.server.gunicorn import Server, bind_or_explain

__all__ = ["Server", "bind_or_explain"]
