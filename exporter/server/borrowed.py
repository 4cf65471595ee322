"""What we take from gunicorn beyond its documented settings, in two places: this one is for the supervisor,
`borrowed_worker` for what is imported in workers only. A test holds names and signatures.

The arbiter starts, watches and ends workers. The worker's event loop and signals (`worker`), and accepting, parsing and
answering (`connections`, `head`, `connection`) are ours. gunicorn's own protocol class still works in place of the
latter, see `ServingWorker`.
"""

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker as BaseWorker

__all__ = [
    "Arbiter",
    "BaseApplication",
    "BaseWorker",
    "Logger",
]
