"""The dialects. A new one is a module here and a line in DIALECTS; others' come in by entry point."""

from collections.abc import Sequence
from importlib.metadata import entry_points

from exporter.ingest.dialect import Dialect
from exporter.ingest.dialects.alertmanager import AlertmanagerDialect
from exporter.ingest.dialects.native import NativeDialect

DIALECTS: tuple[type[Dialect], ...] = (NativeDialect, AlertmanagerDialect)
ENTRY_POINT = "heartbeat_exporter.dialects"


def all_dialects() -> Sequence[Dialect]:
    """Our own dialects, then those that installed packages bring."""
    return [make() for make in (*DIALECTS, *(point.load() for point in entry_points(group=ENTRY_POINT)))]
