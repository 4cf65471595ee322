"""The log: text or JSON lines on standard error, with whatever could be a secret taken out last of all.

Redaction sits in the formatter, behind every logger of ours and of the libraries, tracebacks included.
"""

import logging
import re
import sys
from collections.abc import Iterable, MutableMapping
from functools import cache
from typing import Any

import structlog

from exporter.ingest.built_in import HEALTHCHECKS_API, ROUTES
from exporter.ingest.routes import Route

_AUTHORIZATION = re.compile(r"(?i)\b(bearer|basic|geniekey)(\s+)[A-Za-z0-9._~+/=!-]+")
_URL_PASSWORD = re.compile(r"(://[^\s/:@]*:)[^\s/@]+@")
_BEGINS = r"(?:(?<![a-z0-9._~-])|(?<=%2f))"
"""Where a path's first segment can begin."""
REDACTED = "<secret>"


def _plain_name(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """gunicorn's logger for everything is called gunicorn.error, which reads like trouble where there is none."""
    if event.get("logger") == "gunicorn.error":
        event["logger"] = "gunicorn"
    return event


_SHARED: list[Any] = [
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    _plain_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]


class Redactor:
    """Takes out what is secret in the URLs, parameters and header fields of dialects."""

    def __init__(self, routes: Iterable[Route]) -> None:
        routes = list(routes)
        names = {name for route in routes for name in route.secret}
        self._urls = [
            re.compile(f"(?i){_BEGINS}{pattern}") for pattern in dict.fromkeys(route.url_pattern() for route in routes)
        ]
        self._named = None
        if names:
            choice = "|".join(map(re.escape, sorted(names)))
            self._named = re.compile(rf"""(?i)\b((?:{choice})(?:[\s"':=,]|b['"])+)[^\s"'&<>,)]+""")

    def redact(self, text: str) -> str:
        """`text` without secrets in heartbeat URLs, credentials of HTTP headers and passwords of URLs."""
        for pattern in self._urls:
            text = pattern.sub(rf"\1{REDACTED}", text)
        if self._named is not None:
            text = self._named.sub(rf"\1{REDACTED}", text)
        text = _AUTHORIZATION.sub(rf"\1\2{REDACTED}", text)
        return _URL_PASSWORD.sub(rf"\1{REDACTED}@", text)


@cache
def _built_in() -> Redactor:
    return Redactor((*ROUTES, *HEALTHCHECKS_API))


def redact(text: str) -> str:
    """As Redactor does it, for our own dialects."""
    return _built_in().redact(text)


class RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    """Redacts the finished line."""

    def __init__(self, *, redactor: Redactor | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.redactor = redactor or _built_in()
        """Replaced once it is known which dialects other packages bring."""

    def format(self, record: logging.LogRecord) -> str:
        return self.redactor.redact(super().format(record))


def _renderers(format: str) -> list[Any]:
    drop = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if format == "json":
        return [drop, structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    # The plain traceback: the default one, where rich happens to be installed, prints the values of local variables.
    plain = structlog.dev.plain_traceback
    return [drop, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0, exception_formatter=plain)]


def set_up_logging(level: str, format: str) -> None:
    """Sends every logger's records to standard error; `level` is debug, info, warning or error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter(foreign_pre_chain=_SHARED, processors=_renderers(format)))
    root = logging.getLogger()
    root.handlers = [handler]
    set_level(level)


def redact_routes(routes: Iterable[Route]) -> None:
    """From now on the log shows no secrets of these routes, in whatever process this is."""
    redactor = Redactor(routes)
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, RedactingFormatter):
            handler.formatter.redactor = redactor


def set_level(level: str) -> None:
    """Takes effect at once; gunicorn's loggers follow the root's."""
    root = logging.getLogger()
    root.setLevel(level.upper())
    # At debug level asyncio speaks of selectors, and peewee prints every statement with its values: the key that
    # secrets are digested with, and what jobs put out. urllib3 prints the paths of webhooks.
    for chatty in ("asyncio", "peewee", "urllib3"):
        logging.getLogger(chatty).setLevel(max(root.level, logging.INFO))
