"""What we take from gunicorn beyond its documented settings, in one place; a test holds names and signatures.

The arbiter starts, watches and ends workers. The worker's event loop, signals and clean-up are gunicorn's; accepting,
parsing and answering are ours (`connections`, `head`, `connection`). gunicorn's own protocol class still works in their
place, see `Worker`.
"""

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.asgi.lifespan import LifespanManager, LifespanStartupFailed
from gunicorn.asgi.protocol import ASGIProtocol
from gunicorn.glogging import Logger
from gunicorn.workers.gasgi import ASGIWorker

__all__ = [
    "ASGIProtocol",
    "ASGIWorker",
    "Arbiter",
    "BaseApplication",
    "LifespanManager",
    "LifespanStartupFailed",
    "Logger",
]
