"""What a worker takes from gunicorn beyond its documented settings; see `borrowed`."""

from typing import Any

from gunicorn.asgi.lifespan import LifespanManager, LifespanStartupFailed

__all__ = ["LifespanManager", "LifespanStartupFailed", "stock_protocol"]


def stock_protocol() -> Any:
    """gunicorn's protocol class, which is called with a worker. Its module takes 2.5 MB, so only a service that uses
    the class imports it, and no worker is derived from gunicorn's `ASGIWorker`, which would import it.
    """
    from gunicorn.asgi.protocol import ASGIProtocol

    return ASGIProtocol
