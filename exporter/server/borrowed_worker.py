"""What a worker takes from gunicorn beyond its documented settings; see `borrowed`."""

from gunicorn.asgi.lifespan import LifespanManager, LifespanStartupFailed
from gunicorn.asgi.protocol import ASGIProtocol
from gunicorn.workers.gasgi import ASGIWorker

__all__ = ["ASGIProtocol", "ASGIWorker", "LifespanManager", "LifespanStartupFailed"]
