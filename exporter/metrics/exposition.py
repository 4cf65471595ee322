"""The fast renderer: every monitor's series, byte for byte as prometheus_client would write them.

Monitors are rendered in blocks, and a block's lines are kept as bytes for as long as the parts that they were made
from stay the same objects. A scrape joins what is kept, renders what changed, and works out the ages.
"""

import threading
import time
from collections.abc import Iterator, Sequence

from exporter.core.clock import Clock
from exporter.metrics.families import FAMILIES, Family, Part, age_line
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
    __slots__ = ("_seen", "lines", "members", "tags")

    def __init__(self, members: Sequence[Watched]) -> None:
        self.members = members
        self.tags = [f'tag="{escape_label(watched.monitor.tag)}"' for watched in members]
        self.lines: dict[str, bytes] = {}
        """By family; replaced, never changed, so that a scrape under way keeps what it began with."""
        self._seen: dict[Part, list[object]] = {}

    def refresh(self) -> None:
        """Renders the families whose part changed for any member."""
        monitors: list[object] = [watched.monitor for watched in self.members]
        states: list[object] = [watched.state for watched in self.members]
        standings: list[object] = [watched.standing for watched in self.members]
        changed = []
        for part, now in ((Part.MONITOR, monitors), (Part.STATE, states), (Part.STANDING, standings)):
            if self._seen.get(part) != now:
                changed.append(part)
                self._seen[part] = now
        if Part.MONITOR in changed and Part.STATE not in changed:
            changed.append(Part.STATE)  # when a heartbeat is due depends on both
        if changed:
            lines = dict(self.lines)
            for part in changed:
                for family in _BY_PART[part]:
                    lines[family.name] = self._render(family)
            self.lines = lines

    def ages(self, now: int) -> bytes:
        return "".join(
            [age_line(watched, tag, now) for watched, tag in zip(self.members, self.tags, strict=True)]
        ).encode()

    def _render(self, family: Family) -> bytes:
        make = family.lines
        return "".join(
            [line for watched, tag in zip(self.members, self.tags, strict=True) for line in make(watched, tag)]
        ).encode()


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
                    yield block.ages(now)
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
