"""Every part of gunicorn that this program uses beyond the documented settings; a test checks names and signatures.

gunicorn's arbiter starts, supervises and stops workers. The worker's event loop, signals and clean-up are gunicorn's;
`connections`, `head` and `connection` replace its accepting, parsing and answering. gunicorn's own protocol class can
still be used instead, see `Worker`.
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
