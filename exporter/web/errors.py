"""What is answered when something is wrong: one sentence, in JSON, or HTML for people.

No answer and no log line here holds the URL, a header or a body: a heartbeat's URL is a secret.
"""

import json
import logging
import re
from collections.abc import Callable, Sequence
from typing import Any

import falcon
import falcon.asgi
from falcon import mediatypes

from exporter.core.errors import Conflict, NotFound, StorageUnavailable
from exporter.web.headers import answer_html

log = logging.getLogger("exporter.web")

RETRY_AFTER = 5
"""Seconds. For what should be over soon: a locked database, a start."""
JSON = "application/json"

_PATH = re.compile(r"(?<!\S)\(?/[^\s;,]+")
_MESSAGES = {
    400: "The server could not understand the request.",
    404: "Nothing exists at this address.",
    405: "This method is not allowed; the Allow header lists the methods that are.",
    413: "The request body is too large.",
    500: "An internal error occurred; the service's log has the details.",
    503: "The service is temporarily unavailable; try again.",
}

RenderError = Callable[[int, str, str], bytes]
"""(status code, title, message) → the HTML page."""


def without_paths(reason: str) -> str:
    """Everybody may ask; where the files are is for the log."""
    return _PATH.sub("…", reason)


class Refused(falcon.HTTPError):
    """A refusal that names every problem, each as {"path": …, "message": …}."""

    def __init__(self, status: str, description: str, problems: Sequence[dict[str, Any]]) -> None:
        super().__init__(status, description=description)
        self.problems = problems


class Errors:
    """Falcon's error handling, replaced."""

    def __init__(self, render: RenderError) -> None:
        self._render = render

    def install(self, app: falcon.asgi.App[Any, Any]) -> None:
        app.set_error_serializer(self._serialize)
        app.add_error_handler(NotFound, _not_found)
        app.add_error_handler(Conflict, _conflict)
        app.add_error_handler(StorageUnavailable, _storage_unavailable)
        app.add_error_handler(Exception, _unexpected)
        # Falcon looks for the handler of the nearest class; HTTPError and HTTPStatus keep theirs.

    def _serialize(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, error: falcon.HTTPError) -> None:
        message = error.description or _MESSAGES.get(error.status_code, "The request cannot be fulfilled.")
        if prefers_html(req.accept):
            title = str(error.title).partition(" ")[2] or str(error.title)
            answer_html(resp, self._render(error.status_code, title, message))
        else:
            content: dict[str, Any] = {"error": message}
            if isinstance(error, Refused):
                content["problems"] = list(error.problems)
            resp.content_type = JSON
            resp.data = json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")
        resp.set_header("cache-control", "no-store")
        resp.append_header("vary", "Accept")


def prefers_html(accept: str) -> bool:
    """Whether HTML is asked for by name, and before JSON: what a browser does and no script."""
    if "text/html" not in accept:
        return False
    try:
        return mediatypes.quality("text/html", accept) > mediatypes.quality(JSON, accept)
    except ValueError:
        return False


async def _not_found(req: Any, resp: Any, error: NotFound, params: Any, ws: Any = None) -> None:
    raise falcon.HTTPNotFound(description=_sentence(error))


async def _conflict(req: Any, resp: Any, error: Conflict, params: Any, ws: Any = None) -> None:
    raise falcon.HTTPConflict(description=_sentence(error))


async def _storage_unavailable(req: Any, resp: Any, error: StorageUnavailable, params: Any, ws: Any = None) -> None:
    log.warning("answered 503: %s", error)
    raise falcon.HTTPServiceUnavailable(description="The database is unavailable; try again.", retry_after=RETRY_AFTER)


async def _unexpected(req: Any, resp: Any, error: Exception, params: Any, ws: Any = None) -> None:
    log.error("an unexpected error while answering a %s request", _safe_method(req), exc_info=error)
    raise falcon.HTTPInternalServerError


def _safe_method(req: Any) -> str:
    return req.method if req.method in falcon.HTTP_METHODS else "strange"


def _sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].upper() + text[1:] + "."
