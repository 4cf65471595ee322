"""Which monitors a page shows: filtered, trouble first, a hundred at a time.

Made for 100,000 monitors, off the event loop. All threads share one interpreter lock, so long work in C, a sort
above all, would stop the event loop too: the order is kept from one request to the next, it is made of small sorts,
and long loops let the others through now and then.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from typing import TypeVar

from exporter.core.fleet import Fleet, FleetMonitor
from exporter.core.monitor import Monitor
from exporter.core.status import Status
from exporter.core.status_attributes import statuses_where
from exporter.presentation.statuses import URGENCY

PER_PAGE = 100
MAX_TEXT = 200
MAX_GROUPS = 500
"""Groups offered in the form; more than these can be found by text."""
_YIELD_EVERY = 1_000
_RUN = 4_000
_URGENT = statuses_where(lambda attributes: attributes.alerts)
"""These come first, in this order; all others stay together, by group and name."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Query:
    """What was asked for. `parse` takes anything; what makes no sense is as if it were not there."""

    q: str = ""
    status: Status | None = None
    group: str = ""
    page: int = 1

    @classmethod
    def parse(
        cls, q: str | None = None, status: str | None = None, group: str | None = None, page: str | None = None
    ) -> "Query":
        name = (status or "").strip().upper()
        number = (page or "").strip()
        return cls(
            q=_text(q),
            status=Status(name) if name in Status.__members__ else None,
            group=_text(group),
            page=max(1, int(number)) if number.isascii() and number.isdigit() and len(number) <= 9 else 1,
        )

    def matches(self, watched: FleetMonitor) -> bool:
        """By text and group; the status is counted first and asked afterwards."""
        monitor = watched.monitor
        if self.group and monitor.group != self.group:
            return False
        if not self.q:
            return True
        needle = self.q.casefold()
        return needle in f"{monitor.tag}\n{monitor.name}\n{monitor.group}".casefold()


@dataclass(frozen=True, slots=True)
class ListingPage:
    """One page of a listing, and what there is around it."""

    watched: tuple[FleetMonitor, ...]
    first: int
    """The number of the first one shown, from 1; 0 when there is none."""
    matching: int
    page: int
    pages: int
    counts: dict[Status, int]
    """Of those that match text and group, whatever their status."""
    fleet_counts: dict[Status, int]
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Order:
    """The fleet as it was sorted."""

    snapshot: Sequence[FleetMonitor]
    watched: list[FleetMonitor]
    monitors: list[Monitor]
    """The definitions that put them in their places."""
    groups: tuple[str, ...]


_NOTHING = _Order((), [], [], ())


class Listing:
    """The fleet in the order people read it."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._order = _NOTHING

    def select(self, query: Query) -> ListingPage:
        """Takes about 50 ms for 100,000 monitors; call it off the event loop."""
        order = self._order
        if self._fleet.all() is not order.snapshot:
            order = self._order = _sorted(self._fleet.all())
        everything = not query.q and not query.group
        fleet_counts = dict.fromkeys(URGENCY, 0)
        counts = fleet_counts if everything else dict.fromkeys(URGENCY, 0)
        urgent: dict[Status, list[FleetMonitor]] = {status: [] for status in _URGENT}
        quiet: list[FleetMonitor] = []
        for watched, monitor in yielding_gil(zip(order.watched, order.monitors, strict=True)):
            if watched.monitor is not monitor:
                self._order = _NOTHING  # it has another name or group: the next page is sorted again
            status = watched.shown.status
            fleet_counts[status] += 1
            if not everything:
                if not query.matches(watched):
                    continue
                counts[status] += 1
            if query.status is None or status is query.status:
                urgent.get(status, quiet).append(watched)
        ordered = [watched for status in _URGENT for watched in urgent[status]] + quiet
        pages = max(1, -(-len(ordered) // PER_PAGE))
        page = min(query.page, pages)
        start = (page - 1) * PER_PAGE
        return ListingPage(
            watched=tuple(ordered[start : start + PER_PAGE]),
            first=start + 1 if ordered else 0,
            matching=len(ordered),
            page=page,
            pages=pages,
            counts=counts,
            fleet_counts=fleet_counts,
            groups=order.groups,
        )


def _sorted(snapshot: Sequence[FleetMonitor]) -> _Order:
    """Sorts numbers, not tuples: 100,000 new tuples would make the garbage collector go through the whole heap."""
    monitors = [watched.monitor for watched in yielding_gil(snapshot)]
    keys = [_key(monitor) for monitor in yielding_gil(monitors)]
    runs = [
        sorted(range(at, min(at + _RUN, len(keys))), key=keys.__getitem__)
        for at in yielding_gil(range(0, len(keys), _RUN), 1)
    ]
    places = list(yielding_gil(merge(*runs, key=keys.__getitem__)))
    groups = sorted({monitor.group for monitor in yielding_gil(monitors)} - {""}, key=str.casefold)
    return _Order(
        snapshot,
        [snapshot[place] for place in places],
        [monitors[place] for place in places],
        tuple(groups[:MAX_GROUPS]),
    )


def _key(monitor: Monitor) -> str:
    """One text, for those compare fastest; monitors without a group come last."""
    return f"{monitor.group or chr(0x10FFFF)}\0{monitor.name or monitor.tag}".casefold()


def yielding_gil(items: Iterable[_T], breath: int = _YIELD_EVERY) -> Iterator[_T]:
    """The items, with the interpreter's lock let go now and then."""
    left = breath
    for item in items:
        yield item
        left -= 1
        if not left:
            left = breath
            time.sleep(0)


def _text(value: str | None) -> str:
    """Bounded and printable: what a form would send."""
    return "".join(c for c in (value or "")[:MAX_TEXT] if c.isprintable()).strip()
