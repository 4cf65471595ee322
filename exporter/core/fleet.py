"""The fleet: all monitors in memory, for authentication, the scrape and the pages.

Readers on any thread see whole objects: every part of a FleetMonitor is immutable and replaced at once, so comparing
a part with `is` tells whether it changed. Definitions and states are written by the recorder's thread,
standings by the evaluator's, and the order of tags is rebuilt only when a monitor comes or goes.
"""

from collections.abc import Iterable, Iterator, Sequence

from exporter.core.exclusions import EVERYTHING_COUNTS, Calendar
from exporter.core.heartbeat import NO_HEARTBEATS, HeartbeatState
from exporter.core.monitor import Monitor
from exporter.core.timeline import CurrentStatus
from exporter.core.uptime import NOTHING_HAPPENED


class FleetMonitor:
    """A monitor, what its heartbeats left behind, and its status."""

    __slots__ = ("current", "digest", "exclusions", "id", "monitor", "past", "provisioned", "state", "unreadable")

    def __init__(
        self,
        id: int,
        monitor: Monitor,
        digest: bytes,
        current: CurrentStatus,
        state: HeartbeatState = NO_HEARTBEATS,
        provisioned: bool = False,
        unreadable: bool = False,
    ) -> None:
        self.id = id
        self.monitor = monitor
        self.digest = digest
        """Keyed digest of the secret."""
        self.current = current
        self.state = state
        self.provisioned = provisioned
        """Whether it comes from the configuration file."""
        self.unreadable = unreadable
        """Whether its rows hold what no version of ours wrote: it takes heartbeats, and is not evaluated."""
        self.past = NOTHING_HAPPENED
        """What its uptime is worked out from, together with its standing."""
        self.exclusions = EVERYTHING_COUNTS
        """What does not count against it: set by whoever knows the calendar."""

    def become(self, other: "FleetMonitor") -> None:
        """Takes over all of `other`; parts that are equal stay the same objects, so nobody thinks they changed."""
        for part in ("current", "digest", "exclusions", "monitor", "past", "provisioned", "state", "unreadable"):
            new = getattr(other, part)
            if getattr(self, part) != new:
                setattr(self, part, new)


class Fleet:
    """Every monitor that is watched now, in the order of tags."""

    def __init__(self) -> None:
        self._by_tag: dict[str, FleetMonitor] = {}
        self._by_id: dict[int, FleetMonitor] = {}
        self._ordered: tuple[FleetMonitor, ...] = ()
        self._calendar = Calendar()

    def get(self, tag: str) -> FleetMonitor | None:
        return self._by_tag.get(tag)

    def with_id(self, id: int) -> FleetMonitor | None:
        return self._by_id.get(id)

    def all(self) -> Sequence[FleetMonitor]:
        """A snapshot in the order of tags; the same object until a monitor comes or goes."""
        return self._ordered

    def __len__(self) -> int:
        return len(self._ordered)

    def __iter__(self) -> Iterator[FleetMonitor]:
        return iter(self._ordered)

    def update(self, put: Iterable[FleetMonitor] = (), removed: Iterable[int] = ()) -> None:
        """Adds or changes whole monitors, and drops those whose ids are in `removed`; a tag never changes its id."""
        by_tag, by_id = dict(self._by_tag), dict(self._by_id)
        changed = False
        calendar = self._calendar
        for id in removed:
            gone = by_id.pop(id, None)
            if gone is not None:
                del by_tag[gone.monitor.tag]
                changed = True
        for watched in put:
            watched.exclusions = calendar.of(watched.monitor)
            known = by_id.get(watched.id)
            if known is not None:
                known.become(watched)
            else:
                by_tag[watched.monitor.tag] = by_id[watched.id] = watched
                changed = True
        if changed:
            self._by_tag, self._by_id = by_tag, by_id
            self._ordered = tuple(by_tag[tag] for tag in sorted(by_tag))
        if self._calendar is not calendar:  # another thread replaced it meanwhile, and may not have seen ours
            self.use(self._calendar)

    @property
    def calendar(self) -> Calendar:
        return self._calendar

    def use(self, calendar: Calendar) -> None:
        """From now on these are the blackouts and the maintenance."""
        self._calendar = calendar
        for watched in self._ordered:
            watched.exclusions = calendar.of(watched.monitor)
