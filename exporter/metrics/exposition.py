"""The fast renderer: every monitor's series, byte for byte as prometheus_client would write them.

Monitors are rendered in blocks, and a block's lines are kept as bytes for as long as the parts that they were made
from stay the same objects. A scrape joins what is kept, renders what changed, and works out the ages.
"""

import threading
import time
from collections.abc import Iterator, Sequence

from exporter.core.clock import Clock
from exporter.metrics.families import FAMILIES, Family, Part
from exporter.metrics.negotiation import Format
from exporter.metrics.numbers import escape_label
from exporter.storage.fleet import Fleet, Watched

BLOCK = 128
"""Monitors in a block: what is rendered anew when one of them changes."""
_SLICE = 0.0007
"""Seconds of rendering after which other threads get the interpreter; heartbeats go on during a scrape."""
_BREATH = 0.0001

_BY_PART = {part: [family for family in FAMILIES if family.part is part] for part in Part}


class _Block:
    __slots__ = ("_parts", "_values", "lines", "members", "tags")

    def __init__(self, members: Sequence[Watched]) -> None:
        self.members = members
        self.tags = [f'tag="{escape_label(watched.monitor.tag)}"' for watched in members]
        self.lines: dict[str, bytes] = {}
        """By family; replaced, never changed, so that a scrape under way keeps what it began with."""
        self._parts: dict[Part, list[object]] = {}
        self._values: dict[str, list[object]] = {}

    def refresh(self) -> None:
        """Renders the families whose values changed for any member."""
        monitors: list[object] = [watched.monitor for watched in self.members]
        states: list[object] = [watched.state for watched in self.members]
        standings: list[object] = [watched.standing for watched in self.members]
        changed = []
        for part, now in ((Part.MONITOR, monitors), (Part.STATE, states), (Part.STANDING, standings)):
            if self._parts.get(part) != now:
                changed.append(part)
                self._parts[part] = now
        if Part.MONITOR in changed and Part.STATE not in changed:
            changed.append(Part.STATE)  # when a heartbeat is due depends on both
        if changed:
            lines = dict(self.lines)
            for part in changed:
                for family in _BY_PART[part]:
                    values = [family.value(watched) for watched in self.members]
                    # A success changes three families of ten; comparing costs a tenth of rendering.
                    if self._values.get(family.name) != values:
                        self._values[family.name] = values
                        lines[family.name] = family.render(values, self.tags)
            self.lines = lines

    def ages(self, family: Family, now: int) -> bytes:
        """Never below zero, whatever the clock did."""
        moments = [family.value(watched) for watched in self.members]
        return family.render([None if at is None else max(0, now - at) for at in moments], self.tags)


class Exposition:
    """Renders the fleet. Any number of threads may scrape at once."""

    def __init__(self, fleet: Fleet, clock: Clock) -> None:
        self._fleet = fleet
        self._clock = clock
        self._lock = threading.Lock()
        self._members: Sequence[Watched] = ()
        self._blocks: list[_Block] = []

    def render(self, format: Format, names: frozenset[str] | None = None) -> Iterator[bytes]:
        """The families named, or all, in chunks of some hundred lines."""
        pause = _Pause()
        with self._lock:
            blocks = self._blocks_now()
            for block in blocks:
                block.refresh()
                pause.when_due()
        kept = [block.lines for block in blocks]
        now = self._clock.now()
        for family in FAMILIES:
            if names is not None and not names & {family.name, family.sample_name}:
                continue
            yield _header(family, format)
            if family.part is Part.CLOCK:
                for block in blocks:
                    yield block.ages(family, now)
                    pause.when_due()
            else:
                for lines in kept:
                    yield lines[family.name]

    def _blocks_now(self) -> list[_Block]:
        members = self._fleet.all()
        if members is not self._members:
            # Blocks whose members are the same stay; after a monitor came or went that is those before it.
            old = {tuple(map(id, block.members)): block for block in self._blocks}
            cut = [members[start : start + BLOCK] for start in range(0, len(members), BLOCK)]
            self._blocks = [old.get(tuple(map(id, part))) or _Block(part) for part in cut]
            self._members = members
        return self._blocks


class _Pause:
    """Lets other threads run every so often; the interpreter by itself would not for five milliseconds."""

    __slots__ = ("_since",)

    def __init__(self) -> None:
        self._since = time.perf_counter()

    def when_due(self) -> None:
        if time.perf_counter() - self._since > _SLICE:
            time.sleep(_BREATH)
            self._since = time.perf_counter()


def _header(family: Family, format: Format) -> bytes:
    name = family.name if format is Format.OPENMETRICS else family.sample_name
    return f"# HELP {name} {family.help}\n# TYPE {name} {family.type}\n".encode()
