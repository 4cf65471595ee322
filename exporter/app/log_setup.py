"""The log: text or JSON lines on standard error, with whatever could be a secret taken out last of all.

Redaction sits in the formatter, behind every logger of ours and of the libraries, tracebacks included.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

# Of every dialect whose URLs hold secrets.
_HEARTBEAT_URL = re.compile(r"(?i)((?:ext(?:/|%2f)heartbeat|api(?:/|%2f)v1(?:/|%2f)alertmanager)(?:/|%2f))[^\s\"'<>]+")
_AUTHORIZATION = re.compile(r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=!-]+")
_URL_PASSWORD = re.compile(r"(://[^\s/:@]*:)[^\s/@]+@")
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


def redact(text: str) -> str:
    """`text` without heartbeat URLs, credentials of HTTP headers and passwords of URLs."""
    text = _HEARTBEAT_URL.sub(rf"\1{REDACTED}", text)
    text = _AUTHORIZATION.sub(rf"\1\2{REDACTED}", text)
    return _URL_PASSWORD.sub(rf"\1{REDACTED}@", text)


class RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    """Redacts the finished line."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


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


def set_level(level: str) -> None:
    """Takes effect at once; gunicorn's loggers follow the root's."""
    root = logging.getLogger()
    root.setLevel(level.upper())
    # At debug level asyncio speaks of selectors, and peewee prints every statement with its values: the key that
    # secrets are digested with, and what jobs put out. urllib3 prints the paths of webhooks.
    for chatty in ("asyncio", "peewee", "urllib3"):
        logging.getLogger(chatty).setLevel(max(root.level, logging.INFO))
