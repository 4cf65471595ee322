"""A request as we take it: it knows when it began, and no query string makes it fail."""

from collections.abc import Callable
from time import perf_counter
from typing import Any

import falcon.asgi


class WebRequest(falcon.asgi.Request):
    """Falcon's, with two things it lacks."""

    __slots__ = ("started",)

    def __init__(
        self,
        scope: dict[str, Any],
        receive: Callable[..., Any],
        first_event: Any = None,
        options: falcon.RequestOptions | None = None,
    ) -> None:
        self.started = perf_counter()
        try:
            super().__init__(scope, receive, first_event, options)
        except UnicodeDecodeError:
            # gunicorn hands on any byte; Falcon decodes the query before its error handlers are in place, and a
            # heartbeat must not be lost to a stray byte in a parameter that we don't even read.
            readable = scope["query_string"].decode("utf-8", "replace").encode()
            super().__init__({**scope, "query_string": readable}, receive, first_event, options)

    @property
    def peer(self) -> str:
        """Address of the other end of the connection."""
        return self.remote_addr
