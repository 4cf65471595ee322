"""Settings of a monitor that a native heartbeat may ask for with `?create=1`, and a ping key that creates."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl

from exporter.core.fleet import FleetMonitor
from exporter.ingest.creation import SENDER_MAY_SET
from exporter.ingest.credentials import Grant
from exporter.ingest.errors import IngestError
from exporter.ingest.intake import Ingest

MAX_LENGTH = 300
"""Characters of a value that is worth reading."""


async def ensure_as_asked(ingest: Ingest, grant: Grant, query: str, warnings: list[str]) -> FleetMonitor:
    """Returns the monitor, created or changed as the query asks.

    What cannot be is an IngestError for a monitor that is to be created. One that is there keeps its settings instead,
    and a warning says why: no parameter makes its heartbeat fail.
    """
    settings = _settings(query)
    watched = grant.watched
    if watched is None:
        return (await ingest.ensure(grant, settings)).monitor
    if not settings:
        return watched
    kept = "the settings of the monitor stay as they are"
    if grant.key is None or watched.made_by != grant.key.name:
        warnings.append(f"{kept}: it was not created with this ping key")
        return watched
    try:
        return (await ingest.ensure(grant, settings)).monitor
    except IngestError as error:
        if error.status == 503:
            raise
        warnings.append(f"{kept}: {error.hint or error}")
        return watched


def _settings(query: str) -> dict[str, Any]:
    """The first value of each, as the configuration writes it."""
    settings: dict[str, Any] = {}
    given: Sequence[tuple[str, str]] = parse_qsl(query, errors="replace")
    for name, value in given:
        if name in SENDER_MAY_SET and name not in settings:
            value = value[:MAX_LENGTH]
            settings[name] = int(value) if name == "failure_tolerance" and value.isdecimal() else value
    return settings
