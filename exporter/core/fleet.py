"""The fleet: all monitors in memory, for authentication, the scrape and the pages.

Readers on any thread see whole objects: every part of a FleetMonitor is immutable and replaced at once, so a part
that is the same object has not changed. The order of tags is rebuilt only when a monitor is added or removed.

Each part of a member has one writer, see `Writer`: the thread that has claimed it. A fleet that is `checked`, as in
tests, raises WrongThread when another thread writes that part; one in production has plain members, and pays nothing.
Previews, which both threads change, are changed under one lock.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import ClassVar

from exporter.core.dependencies.graph import NO_DEPENDENCIES, DependencyGraph
from exporter.core.dependencies.suppression import HELD, NO_SUPPRESSIONS, SUPPRESSING, Suppressions
from exporter.core.errors import InvalidValue
from exporter.core.exclusions import EVERYTHING_COUNTS, Calendar
from exporter.core.heartbeat import NO_HEARTBEATS, Heartbeat, HeartbeatState
from exporter.core.monitor import Monitor
from exporter.core.preview import Preview
from exporter.core.runtimes import Runtimes
from exporter.core.status import Status, due_at
from exporter.core.timeline import CurrentStatus
from exporter.core.uptime import COUNTS_AS_UP, NOTHING_HAPPENED, StatusHistory

_BEFORE_EVALUATION = frozenset(("due_since", "preview"))
"""Parts of a monitor that are worked out, and not copied, when it is read from the database again."""


class WrongThread(RuntimeError):
    """A thread writes to the fleet what belongs to another one."""


class Writer(Enum):
    """The threads that may write parts of a fleet's members."""

    RECORDER = frozenset(
        {"monitor", "digest", "secrets", "tokens", "generation", "made_by", "provisioned", "unreadable", "state"}
    )
    """Also adds and removes members, and replaces all parts of one that it has read from the database again."""
    EVALUATOR = frozenset({"current", "past"})
    RUNTIMES = frozenset({"runtimes"})


class FleetMonitor:
    """A monitor, what its heartbeats left behind, and its status."""

    __slots__ = (
        "current",
        "digest",
        "due_since",
        "exclusions",
        "generation",
        "id",
        "made_by",
        "monitor",
        "past",
        "preview",
        "provisioned",
        "runtimes",
        "secrets",
        "state",
        "tokens",
        "unreadable",
    )

    def __init__(
        self,
        id: int,
        monitor: Monitor,
        digest: bytes,
        current: CurrentStatus,
        state: HeartbeatState = NO_HEARTBEATS,
        provisioned: bool = False,
        unreadable: bool = False,
        due_since: int | None = None,
    ) -> None:
        self.id = id
        self.monitor = monitor
        self.digest = digest
        """Keyed digest of the secret."""
        self.secrets: tuple[bytes, ...] = ()
        """Keyed digests of further secrets, while one is being rotated."""
        self.tokens: tuple[bytes, ...] = ()
        """Keyed digests of the tokens that were configured for it."""
        self.generation = 0
        """Of its built-in token: another number makes another token."""
        self.made_by = ""
        """The ping key that created it; empty when none did."""
        self.current = current
        """The status that the evaluator wrote. Readers show `shown`."""
        self.preview: Preview | None = None
        """The heartbeats that may change the status and that the evaluator has not evaluated yet."""
        self.due_since = due_since
        """When it is read from the database: the moment from which the database waits for its evaluation, if it does.
        """
        self.state = state
        self.provisioned = provisioned
        """Whether it comes from the configuration file."""
        self.unreadable = unreadable
        """Whether its rows hold values that no version of the exporter wrote. It accepts heartbeats, and is never
        evaluated.
        """
        self.past = NOTHING_HAPPENED
        """With `current`, all that its uptime is computed from."""
        self.runtimes: Runtimes | None = None
        """How long its kept runs took, as of the last computation; None before the first."""
        self.exclusions = EVERYTHING_COUNTS
        """Time excluded from its evaluation."""

    @property
    def shown(self) -> CurrentStatus:
        """The status that readers are shown: it takes into account every heartbeat that was acknowledged."""
        preview = self.preview
        return self.current if preview is None else preview.current(self.monitor, self.current, self.exclusions)

    @property
    def counted(self) -> Status:
        """The status by which the present moment counts for the uptime, in which no written change of status speaks of
        `shown` yet: a monitor that has just failed was UP until now.
        """
        return self.current.status if self.current.status in COUNTS_AS_UP else self.shown.status

    @property
    def due_at(self) -> int | None:
        """The moment from which lateness counts; None before the first success, and for a schedule that cannot be read
        or never fires.
        """
        try:
            return due_at(self.monitor, self.state, self.exclusions)
        except InvalidValue:
            return None

    def become(self, other: "FleetMonitor") -> None:
        """Takes over all of `other`; parts that are equal stay the same objects, so that they do not look changed."""
        self.preview = self._preview_after(other)
        for part in FleetMonitor.__slots__:
            if part in _BEFORE_EVALUATION:
                continue
            new = getattr(other, part)
            if getattr(self, part) != new:
                setattr(self, part, new)

    def _preview_after(self, other: "FleetMonitor") -> Preview | None:
        """What is still to be evaluated when `other`, as the database has it, replaces this."""
        due_since = other.due_since
        if due_since is None:
            return None
        if other.monitor.paused is not (other.current.status is Status.PAUSED):  # just paused, or just resumed
            return Preview(due_since, other.state)
        if self.preview is None or (other.state.last_received_at or 0) < self.preview.received_until:
            return None  # a clock that was ahead is right again, and those moments are gone
        return self.preview


class _CheckedMonitor(FleetMonitor):
    """A member of a checked fleet; each of these has a subclass of its own, which knows the fleet's writers."""

    __slots__ = ()
    writers: ClassVar[dict[Writer, int]]

    def __setattr__(self, part: str, value: object) -> None:
        for writer in Writer:
            if part in writer.value:
                _require(self.writers, writer, Writer.RECORDER)
        super().__setattr__(part, value)


def _require(writers: dict[Writer, int], *allowed: Writer) -> None:
    """Raises WrongThread unless this is the thread of one of `allowed`, or the first of them has no thread."""
    if allowed[0] in writers and threading.get_ident() not in [writers.get(writer) for writer in allowed]:
        raise WrongThread(f"only the {allowed[0].name.lower()}'s thread writes this part of the fleet")


class Fleet:
    """Every monitor that is watched now, in the order of tags."""

    checked: ClassVar[bool] = False
    """Whether fleets that are created from now on check which thread writes."""

    def __init__(self) -> None:
        self._by_tag: dict[str, FleetMonitor] = {}
        self._by_id: dict[int, FleetMonitor] = {}
        self._by_token: dict[bytes, FleetMonitor] = {}
        self._ordered: tuple[FleetMonitor, ...] = ()
        self._calendar = Calendar()
        self._depending: set[int] = set()
        """The numbers of the monitors that depend on others."""
        self._definitions = 0
        """Grows when what depends on what may have changed."""
        self._dependencies: tuple[int, DependencyGraph] = (0, NO_DEPENDENCIES)
        self._resolving = threading.Lock()
        """Held while dependencies are resolved."""
        self.suppressions: Suppressions = NO_SUPPRESSIONS
        """The monitors whose alerts are held because of what they depend on; replaced, never changed."""
        self._previews = threading.Lock()
        """Held while a preview is replaced."""
        self._applying = threading.Lock()
        """Held while a calendar is applied to members, so that an older one never overwrites a newer one."""
        self._writers: dict[Writer, int] = {}
        """The thread of each writer; none while its part is free, as before its start."""
        self._member: type[FleetMonitor] | None = None
        if self.checked:
            self._member = type("CheckedMonitor", (_CheckedMonitor,), {"__slots__": (), "writers": self._writers})

    def claim(self, writer: Writer) -> None:
        """From now on this thread alone writes the parts of `writer`. Raises WrongThread when another thread does."""
        if self._writers.setdefault(writer, threading.get_ident()) != threading.get_ident():
            raise WrongThread(f"another thread is the fleet's {writer.name.lower()}")

    def release(self, writer: Writer) -> None:
        """This thread ends; another one may claim its parts."""
        self._writers.pop(writer, None)

    def get(self, tag: str) -> FleetMonitor | None:
        return self._by_tag.get(tag)

    def with_id(self, id: int) -> FleetMonitor | None:
        return self._by_id.get(id)

    def with_token(self, digest: bytes) -> FleetMonitor | None:
        """The monitor that a configured token names, by the token's keyed digest."""
        return self._by_token.get(digest)

    def all(self) -> Sequence[FleetMonitor]:
        """A snapshot in the order of tags; the same object until a monitor is added or removed."""
        return self._ordered

    def __len__(self) -> int:
        return len(self._ordered)

    def __iter__(self) -> Iterator[FleetMonitor]:
        return iter(self._ordered)

    def update(self, put: Iterable[FleetMonitor] = (), removed: Iterable[int] = ()) -> None:
        """Adds or changes whole monitors, and drops those whose ids are in `removed`; a tag never changes its id.
        Belongs to the recorder.
        """
        if self._member is not None:
            _require(self._writers, Writer.RECORDER)
        by_tag, by_id = dict(self._by_tag), dict(self._by_id)
        changed = False
        calendar = self._calendar
        tokens = dict(self._by_token)
        depending, redefined = set(self._depending), False
        for id in removed:
            gone = by_id.pop(id, None)
            if gone is not None:
                depending.discard(id)
                del by_tag[gone.monitor.tag]
                _forget(tokens, gone)
                changed = True
        for watched in put:
            watched.exclusions = calendar.of(watched.monitor)
            member = by_id.get(watched.id)
            if watched.monitor.depends_on or watched.id in depending:
                redefined = redefined or member is None or member.monitor.depends_on != watched.monitor.depends_on
                (depending.add if watched.monitor.depends_on else depending.discard)(watched.id)
            if member is not None:
                _forget(tokens, member)
                with self._previews:
                    member.become(watched)
            else:
                if self._member is not None:
                    watched.__class__ = self._member
                member = by_tag[watched.monitor.tag] = by_id[watched.id] = watched
                changed = True
            tokens.update(dict.fromkeys(watched.tokens, member))
        self._by_token = tokens
        if changed:
            self._by_tag, self._by_id = by_tag, by_id
            self._ordered = tuple(by_tag[tag] for tag in sorted(by_tag))
        self._depending = depending
        if redefined or (changed and depending):
            self._definitions += 1
        if self._calendar is not calendar:  # another thread replaced it meanwhile, and may not have seen these members
            with self._applying:
                self._apply(self._calendar)

    def preview(self, received: Sequence[tuple[FleetMonitor, Sequence[Heartbeat], HeartbeatState | None, int]]) -> None:
        """These heartbeats may change the status of their monitors, and are about to become part of their states. With
        a state, the log was replayed or late heartbeats came, the last of them at the moment that follows, and that
        state is all that is known.
        """
        with self._previews:
            for watched, beats, whole, arrived_at in received:
                preview = watched.preview
                if whole is not None:
                    watched.preview = Preview(whole.last_received_at or 0, whole, arrived_at=arrived_at)
                elif preview is None:
                    watched.preview = Preview.begin(watched.current, watched.state, beats)
                else:
                    watched.preview = preview.with_more(beats, watched.monitor.max_runtime)

    def evaluated(self, id: int, current: CurrentStatus, received: int, histories: Mapping[int, StatusHistory]) -> None:
        """The evaluator has written this status, from so many heartbeats."""
        watched = self._by_id.get(id)
        if watched is None:
            return
        if watched.current != current:
            watched.past = histories.get(id, NOTHING_HAPPENED)
            watched.current = current
        if watched.preview is not None:
            with self._previews:
                preview, later = watched.preview, watched.state.received - received
                if preview is not None:
                    evaluated = len(preview.beats) - max(0, later)
                    keep = later > 0 and evaluated < len(preview.beats)
                    watched.preview = preview.without_first(evaluated, watched.monitor.max_runtime) if keep else None

    def show_runtimes(self, computed: Mapping[int, Runtimes]) -> None:
        """What was computed of these monitors. Belongs to the tracker of runtimes."""
        for id, runtimes in computed.items():
            watched = self._by_id.get(id)
            if watched is not None and watched.runtimes != runtimes:
                watched.runtimes = runtimes

    @property
    def dependencies(self) -> DependencyGraph:
        """Which monitors depend on which; resolved when that has changed. Any thread may ask."""
        if not self._depending:
            return NO_DEPENDENCIES
        definitions, graph = self._dependencies
        if definitions == self._definitions:
            return graph
        with self._resolving:
            definitions = self._definitions
            if self._dependencies[0] != definitions:
                self._dependencies = (definitions, DependencyGraph(watched.monitor for watched in self._ordered))
            return self._dependencies[1]

    def show_suppressions(self, suppressions: "Suppressions") -> None:
        """What was read or written last; one that is older than what is shown is left out. Any thread may call it."""
        with self._resolving:
            if suppressions.revision > self.suppressions.revision:
                self.suppressions = suppressions

    def suppressed_by(self, tag: str) -> tuple[str, ...]:
        """The monitors whose trouble holds the alerts of this one, the nearest first; empty when they are not held."""
        watched = self._by_tag.get(tag)
        suppression = self.suppressions.by_monitor.get(watched.id) if watched is not None else None
        if watched is None or suppression is None or suppression.released or watched.shown.reason not in HELD:
            return ()
        by_tag, graph = self._by_tag, self.dependencies
        causes = tuple(
            ancestor
            for ancestor in graph.ancestors(tag)
            if ancestor in by_tag and by_tag[ancestor].shown.reason in SUPPRESSING
        )
        return causes or graph.parents(tag)  # all are well by now, and its release has not come yet

    @property
    def calendar(self) -> Calendar:
        return self._calendar

    def use(self, calendar: Calendar) -> None:
        """From now on these are the blackouts and the maintenance. Any thread may call it."""
        with self._applying:
            self._calendar = calendar
            self._apply(calendar)

    def _apply(self, calendar: Calendar) -> None:
        for watched in self._ordered:
            watched.exclusions = calendar.of(watched.monitor)


def _forget(tokens: dict[bytes, FleetMonitor], watched: FleetMonitor) -> None:
    for digest in watched.tokens:
        if tokens.get(digest) is watched:
            del tokens[digest]
