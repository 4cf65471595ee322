"""The dialects. A new one is a module here and a line in DIALECTS; others' come in by entry point."""

from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points

from exporter.core.errors import InvalidValue
from exporter.ingest.dialect import Dialect
from exporter.ingest.dialects.alertmanager import AlertmanagerDialect
from exporter.ingest.dialects.better_stack import BetterStackDialect
from exporter.ingest.dialects.cronitor import CronitorDialect
from exporter.ingest.dialects.dead_mans_snitch import DeadMansSnitchDialect
from exporter.ingest.dialects.gatus import GatusDialect
from exporter.ingest.dialects.healthchecks.dialect import HealthchecksDialect
from exporter.ingest.dialects.native import NativeDialect
from exporter.ingest.dialects.opsgenie import OpsgenieDialect
from exporter.ingest.dialects.pushgateway import PushgatewayDialect
from exporter.ingest.dialects.sentry import SentryDialect
from exporter.ingest.dialects.uptime_kuma import UptimeKumaDialect

DIALECTS: tuple[type[Dialect], ...] = (
    NativeDialect,
    AlertmanagerDialect,
    HealthchecksDialect,
    UptimeKumaDialect,
    GatusDialect,
    BetterStackDialect,
    DeadMansSnitchDialect,
    CronitorDialect,
    OpsgenieDialect,
    SentryDialect,
    PushgatewayDialect,
)
ENTRY_POINT = "heartbeat_exporter.dialects"


def all_dialects() -> Sequence[Dialect]:
    """Our own dialects, then those that installed packages bring. Raises InvalidValue for one that cannot be loaded."""
    return [*(make() for make in DIALECTS), *map(_loaded, entry_points(group=ENTRY_POINT))]


def _loaded(point: EntryPoint) -> Dialect:
    try:
        made: Dialect = point.load()()
    except Exception as error:
        raise InvalidValue(
            f"the dialect {point.name!r} of an installed package cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    return made
