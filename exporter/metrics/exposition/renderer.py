"""The fast renderer: every monitor's series, byte for byte as prometheus_client would write them.

Monitors are rendered in blocks, and a block's lines are kept as bytes for as long as the parts that they were made
from stay the same objects. A scrape joins what is kept, renders what changed, and works out the ages.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from operator import attrgetter
from typing import Any
from zlib import crc32

from exporter.core.clock import MINUTE, Clock
from exporter.core.exclusions import Exclusions
from exporter.core.fleet import Fleet, FleetMonitor
from exporter.core.process.pause import Pause
from exporter.core.spans import Span
from exporter.core.uptime import uptime
from exporter.metrics.exposition.families import FAMILIES, Family, Part
from exporter.metrics.exposition.format import escape_label
from exporter.metrics.exposition.negotiation import Format

BLOCK = 128
"""Monitors in a block, on average: all are rendered again when one of them changes."""
LINES = 500
"""Lines of a family of the whole fleet that are made at a time."""
UPTIMES_KEPT = MINUTE
"""Milliseconds that an uptime may be old, of a monitor that was DOWN in the last 90 days: a minute of the shortest
window is 0.07 %.
"""

_PREVIEW = attrgetter("preview")
_BY_PART = {part: [family for family in FAMILIES if family.part is part] for part in Part}


class _Block:
    __slots__ = ("_parts", "_phase", "_previewed", "_uncounted", "_uptimes", "_values", "lines", "members", "tags")

    def __init__(self, members: Sequence[FleetMonitor]) -> None:
        self.members = members
        self.tags = [f'tag="{escape_label(watched.monitor.tag)}"' for watched in members]
        self.lines: dict[str, bytes] = {}
        """By family; replaced, never changed, so that a scrape under way keeps what it began with."""
        self._parts: dict[Part, list[Any]] = {}
        self._uncounted: list[Exclusions] = []
        self._previewed = False
        """Whether the evaluator has yet to evaluate a heartbeat of any member, as of the last refresh."""
        self._values: dict[str, list[Any]] = {}
        self._uptimes: tuple[int, object, bytes] = (0, None, b"")
        """(minute, what they were made of, lines) of a block in which anything happened."""
        self._phase = crc32(members[0].monitor.tag.encode()) % UPTIMES_KEPT

    def refresh(self) -> None:
        """Renders the families whose values changed for any member."""
        # Each part is read once: one that changed meanwhile is seen to have changed by the next scrape. The order is
        # this because a preview is there before the state that it belongs to, and goes after the status is written.
        parts: dict[Part, list[Any]] = {
            Part.MONITOR: [watched.monitor for watched in self.members],
            Part.STATE: [watched.state for watched in self.members],
            Part.RUNTIMES: [watched.runtimes for watched in self.members],
        }
        self._previewed = any(map(_PREVIEW, self.members))
        parts[Part.STANDING] = (
            [watched.shown for watched in self.members]
            if self._previewed
            else [watched.current for watched in self.members]
        )
        changed = {part: now for part, now in parts.items() if self._parts.get(part) != now}
        exclusions = [watched.exclusions for watched in self.members]
        if Part.MONITOR in changed or Part.STATE in changed or self._uncounted != exclusions:
            changed[Part.DUE] = list(zip(parts[Part.MONITOR], parts[Part.STATE], exclusions, strict=True))
        if not changed:
            return
        lines, values = dict(self.lines), dict(self._values)
        for part, now in changed.items():
            moved = self._moved(part, parts, exclusions)
            for family in _BY_PART[part]:
                self._render(family, now, moved, lines, values)
        self._parts, self._uncounted, self.lines, self._values = parts, exclusions, lines, values

    def _moved(
        self, part: Part, parts: Mapping[Part, list[Any]], exclusions: Sequence[Exclusions]
    ) -> Sequence[int] | None:
        """Members whose part is another object than at the last refresh, by index; None when there was none."""
        if not self._parts:
            return None
        if part is not Part.DUE:
            return _differing(self._parts[part], parts[part])
        moved = _differing(self._parts[Part.MONITOR], parts[Part.MONITOR])
        moved += _differing(self._parts[Part.STATE], parts[Part.STATE])
        return sorted({*moved, *_differing(self._uncounted, exclusions)})

    def _render(
        self,
        family: Family,
        parts: Sequence[Any],
        moved: Sequence[int] | None,
        lines: dict[str, bytes],
        values: dict[str, list[Any]],
    ) -> None:
        """Puts the family's lines and values there, where they differ from those of the last refresh."""
        before = values.get(family.name)
        if moved is None or before is None:
            values[family.name] = now = list(map(family.value, parts))
            lines[family.name] = family.render(now, self.tags)
            return
        # A success changes three families of ten; comparing costs a tenth of rendering.
        fresh = [family.value(parts[index]) for index in moved]
        if fresh == [before[index] for index in moved]:
            return
        values[family.name] = now = list(before)
        for index, value in zip(moved, fresh, strict=True):
            now[index] = value
        if family.lines is not None or None in before or None in now:
            lines[family.name] = family.render(now, self.tags)
            return
        # One line for each member: the lines of the others are cut out of what is kept, at a quarter of the cost.
        kept = lines[family.name].split(b"\n")
        changed = family.render(fresh, [self.tags[index] for index in moved]).split(b"\n")
        for index, line in zip(moved, changed, strict=False):
            kept[index] = line
        lines[family.name] = b"\n".join(kept)

    def ages(self, family: Family, now: int) -> bytes:
        """Never below zero, whatever the clock did."""
        moments = map(family.value, self._parts[Part.STATE])
        return family.render([None if at is None else now - at if at < now else 0 for at in moments], self.tags)

    def uptimes(self, family: Family, now: int, blackouts: Sequence[Span]) -> bytes:
        histories, standings = [watched.past for watched in self.members], self._parts[Part.STANDING]
        if self._previewed:
            statuses = [watched.counted for watched in self.members]
        else:
            statuses = [current.status for current in standings]
        if not any(histories):  # most are like that: quick to make, and a lot to keep
            return family.render([uptime((), status, now, ()) for status in statuses], self.tags)
        # Each block's minute begins at another moment, so that no scrape has to make them all.
        minute = (now + self._phase) // UPTIMES_KEPT
        made_of = (histories, statuses, blackouts)
        made_in, made_from, lines = self._uptimes
        if made_in != minute or made_from != made_of:
            both = zip(histories, statuses, strict=True)
            lines = family.render([uptime(past, status, now, blackouts) for past, status in both], self.tags)
            self._uptimes = (minute, made_of, lines)
        return lines


class Exposition:
    """Renders the fleet. Any number of threads may scrape at once."""

    def __init__(self, fleet: Fleet, clock: Clock) -> None:
        self._fleet = fleet
        self._clock = clock
        self._lock = threading.Lock()
        self._members: Sequence[FleetMonitor] = ()
        self._blocks: list[_Block] = []
        self._dependencies: tuple[object, tuple[bytes, ...]] = (None, ())
        """The graph, and the lines made of it."""

    def render(self, format: Format, names: frozenset[str] | None = None) -> Iterator[bytes]:
        """The families named, or all, in chunks of some hundred lines."""
        families = [family for family in FAMILIES if names is None or names & {family.name, family.sample_name}]
        if not families:
            return
        pause = Pause()
        with self._lock:
            blocks = self._blocks_now()
            for block in blocks:
                block.refresh()
                pause.when_due()
        kept = [block.lines for block in blocks]
        now = self._clock.now()
        for family in families:
            yield _header(family, format)
            if family.part is Part.CLOCK:
                for block in blocks:
                    yield block.ages(family, now)
                    pause.when_due()
            elif family.part is Part.PAST:
                blackouts = self._fleet.calendar.away
                for block in blocks:
                    yield block.uptimes(family, now, blackouts)
                    pause.when_due()
            elif family.part is Part.SUPPRESSIONS:
                yield from _labelled(family, family.value(self._fleet), pause)
            elif family.part is Part.DEPENDENCIES:
                yield from self._dependency_lines(family, pause)
            else:
                for lines in kept:
                    yield lines[family.name]

    def _dependency_lines(self, family: Family, pause: Pause) -> Sequence[bytes]:
        """Made when the graph is another one."""
        graph = self._fleet.dependencies
        made_of, lines = self._dependencies
        if made_of is not graph:
            lines = tuple(_labelled(family, family.value(graph), pause))
            self._dependencies = (graph, lines)
        return lines

    def _blocks_now(self) -> list[_Block]:
        members = self._fleet.all()
        if members is not self._members:
            # Blocks whose members are the same stay: all but one when a monitor came or went.
            old = {tuple(map(id, block.members)): block for block in self._blocks}
            self._blocks = [old.get(tuple(map(id, part))) or _Block(part) for part in _cut(members)]
            self._members = members
        return self._blocks


def _differing(before: Sequence[Any], now: Sequence[Any]) -> list[int]:
    """The indexes at which these are not the same objects."""
    return [index for index, (old, new) in enumerate(zip(before, now, strict=True)) if old is not new]


def _labelled(family: Family, labels: Iterable[str], pause: Pause) -> Iterator[bytes]:
    """A line for each set of labels, some hundred at a time."""
    name, left = family.sample_name, iter(labels)
    while some := list(islice(left, LINES)):
        yield "".join([f"{name}{{{each}}} 1.0\n" for each in some]).encode()
        pause.when_due()


def _cut(members: Sequence[FleetMonitor]) -> list[Sequence[FleetMonitor]]:
    """Blocks of neighbours, cut where a tag's checksum says, so that one that comes or goes moves no other's bounds."""
    starts = [at for at, watched in enumerate(members) if crc32(watched.monitor.tag.encode()) % BLOCK == 0]
    bounds = sorted({0, *starts, len(members)})
    return [members[start:end] for start, end in pairwise(bounds)]


def _header(family: Family, format: Format) -> bytes:
    name = family.name if format is Format.OPENMETRICS else family.sample_name
    return f"# HELP {name} {family.help}\n# TYPE {name} {family.type}\n".encode()
