"""Creates monitors for the holders of ping keys, and changes those that it created."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any, TypeVar

from exporter.core.clock import SECOND
from exporter.core.credentials import PingKey
from exporter.core.errors import Conflict, InvalidValue, StorageUnavailable
from exporter.core.fleet import Fleet, FleetMonitor
from exporter.core.monitor import Monitor
from exporter.core.secret import digest, make_secret
from exporter.core.telemetry import RejectReason
from exporter.ingest.errors import IngestError, NotStored
from exporter.storage.repositories.monitors import Monitors, TooMany

log = logging.getLogger(__name__)

_T = TypeVar("_T")

SENDER_MAY_SET = (
    "schedule",
    "every",
    "timezone",
    "degraded_after",
    "down_after",
    "max_runtime",
    "failure_tolerance",
)
"""Settings of a monitor that a sender may choose."""
_EXPECTATIONS = ("schedule", "every")
_PATIENCE = 2 * SECOND
"""How long a heartbeat of an unknown monitor waits for creations that have begun."""


class Creation:
    """Lives on the event loop; the database is asked by `executor`."""

    def __init__(
        self, monitors: Monitors, fleet: Fleet, key: bytes, show: Callable[[int], None], executor: Executor
    ) -> None:
        """`key` digests secrets; `show` blocks until the fleet has the monitor of a number as the database has it."""
        self._monitors = monitors
        self._fleet = fleet
        self._key = key
        self._show = show
        self._executor = executor
        self._running: set[asyncio.Future[None]] = set()
        self._can_check = False
        """Whether settings have been checked before, which brings pydantic and its models: not on the event loop."""

    async def ensure(
        self, tag: str, watched: FleetMonitor | None, key: PingKey, settings: Mapping[str, Any]
    ) -> FleetMonitor:
        """The monitor `tag`, created or changed if need be. Raises IngestError, and then nothing was done."""
        done = asyncio.get_running_loop().create_future()
        self._running.add(done)
        try:
            return await self._ensured(tag, watched, key, settings)
        finally:
            self._running.remove(done)
            done.set_result(None)

    async def finished(self) -> None:
        """Returns when the creations that have begun are over: a short job's end may arrive while its start creates
        the monitor, and need not ask for creation itself.
        """
        if self._running:
            await asyncio.wait(self._running, timeout=_PATIENCE / SECOND)

    async def _ensured(
        self, tag: str, watched: FleetMonitor | None, key: PingKey, settings: Mapping[str, Any]
    ) -> FleetMonitor:
        beyond = sorted(set(settings) - set(SENDER_MAY_SET))
        if beyond:
            raise IngestError(
                RejectReason.INVALID, "a setting that no sender may choose", f"{beyond[0]}: not here", 400
            )
        try:
            if watched is None:
                number = await self._run(self._create, tag, key, settings)
            elif watched.made_by != key.name or not settings:
                return watched  # what others have made is theirs to define
            else:
                changed = await self._changed(watched.monitor, settings)
                if changed == watched.monitor:
                    return watched
                number = await self._run(self._redefine, watched.id, changed, key)
        except InvalidValue as error:
            raise IngestError(RejectReason.INVALID, "settings that cannot be", str(error), 400) from None
        except TooMany as error:
            raise IngestError(RejectReason.TOO_MANY, str(error), str(error), 403) from None
        except Conflict as error:
            raise IngestError(RejectReason.CREATION_REFUSED, str(error), str(error), 403) from None
        except StorageUnavailable:
            raise NotStored from None
        found = self._fleet.with_id(number)
        if found is None:  # it was removed meanwhile, or the fleet could not be read in time: the sender comes again
            raise NotStored
        return found

    async def _changed(self, monitor: Monitor, settings: Mapping[str, Any]) -> Monitor:
        """`monitor` as its sender wants it; raises InvalidValue. What the sender does not name stays as it is."""
        if self._can_check:
            return _changed(monitor, settings)
        changed = await self._run(_changed, monitor, settings)
        self._can_check = True
        return changed

    async def _run(self, work: Callable[..., _T], *arguments: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)

    def _create(self, tag: str, key: PingKey, settings: Mapping[str, Any]) -> int:
        defaults = {name: value for name, value in (key.defaults or {}).items() if not _replaced(name, settings)}
        monitor = _checked({"group": key.name, **defaults, **settings, "tag": tag})
        if not key.selector.matches(monitor):
            raise Conflict("the ping key does not open monitors of this name")
        # The key is what opens it; a secret of its own it has none that anybody knows.
        created, number = self._monitors.create_for(
            monitor, digest(make_secret(), self._key), key.name, key.max_monitors
        )
        self._show(number)
        if created:
            log.info("the monitor %s was created by its first heartbeat, with the ping key %s", tag, key.name)
        return number

    def _redefine(self, number: int, monitor: Monitor, key: PingKey) -> int:
        self._monitors.redefine(number, monitor, key.name)
        self._show(number)
        log.info("the monitor %s was changed by its sender, with the ping key %s", monitor.tag, key.name)
        return number


def _checked(given: Mapping[str, Any]) -> Monitor:
    """A monitor with these settings; raises InvalidValue."""
    from exporter.config.models import MonitorOptions

    return MonitorOptions.read(given)


def _changed(monitor: Monitor, settings: Mapping[str, Any]) -> Monitor:
    read = _checked({**_unnamed(monitor, settings), **settings, "tag": monitor.tag})
    changed = {name: getattr(read, name) for name in settings}
    changed.update({name: None for name in _EXPECTATIONS if _replaced(name, settings)})
    return replace(monitor, **changed)


def _unnamed(monitor: Monitor, settings: Mapping[str, Any]) -> dict[str, str]:
    """The durations that stay, since each is checked against another."""
    durations = ("degraded_after", "down_after", "min_runtime", "max_runtime")
    kept = {name: getattr(monitor, name) for name in durations if name not in settings}
    return {name: f"{value}ms" for name, value in kept.items() if value is not None}


def _replaced(name: str, settings: Mapping[str, Any]) -> bool:
    """Whether the sender's schedule replaces an interval, or its interval a schedule: a monitor has one of them."""
    return name in _EXPECTATIONS and name not in settings and any(other in settings for other in _EXPECTATIONS)
