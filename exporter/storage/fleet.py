"""The fleet: all monitors in memory, for authentication, the scrape and the pages.

Readers on any thread see whole objects: every part of a Watched is immutable and replaced at once, so comparing
a part with `is` tells whether it changed. Definitions and states are written by the recorder's thread,
standings by the evaluator's, and the order of tags is rebuilt only when a monitor comes or goes.
"""

from collections.abc import Iterable, Iterator, Sequence

from exporter.core.calendar import EVERYTHING_COUNTS, Calendar
from exporter.core.heartbeat import NO_HEARTBEATS, HeartbeatState
from exporter.core.monitor import Monitor
from exporter.core.timeline import Standing
from exporter.core.uptime import NOTHING_HAPPENED


class Watched:
    """A monitor, what its heartbeats left behind, and its status."""

    __slots__ = (
        "digest",
        "generation",
        "id",
        "made_by",
        "monitor",
        "past",
        "provisioned",
        "secrets",
        "standing",
        "state",
        "tokens",
        "uncounted",
        "unreadable",
    )

    def __init__(
        self,
        id: int,
        monitor: Monitor,
        digest: bytes,
        standing: Standing,
        state: HeartbeatState = NO_HEARTBEATS,
        provisioned: bool = False,
        unreadable: bool = False,
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
        self.standing = standing
        self.state = state
        self.provisioned = provisioned
        """Whether it comes from the configuration file."""
        self.unreadable = unreadable
        """Whether its rows hold what no version of ours wrote: it takes heartbeats, and is not evaluated."""
        self.past = NOTHING_HAPPENED
        """What its uptime is worked out from, together with its standing."""
        self.uncounted = EVERYTHING_COUNTS
        """What does not count against it: set by whoever knows the calendar."""

    def become(self, other: "Watched") -> None:
        """Takes over all of `other`; parts that are equal stay the same objects, so nobody thinks they changed."""
        for part in self.__slots__:
            new = getattr(other, part)
            if getattr(self, part) != new:
                setattr(self, part, new)


class Fleet:
    """Every monitor that is watched now, in the order of tags."""

    def __init__(self) -> None:
        self._by_tag: dict[str, Watched] = {}
        self._by_id: dict[int, Watched] = {}
        self._by_token: dict[bytes, Watched] = {}
        self._ordered: tuple[Watched, ...] = ()
        self._calendar = Calendar()

    def get(self, tag: str) -> Watched | None:
        return self._by_tag.get(tag)

    def with_id(self, id: int) -> Watched | None:
        return self._by_id.get(id)

    def with_token(self, digest: bytes) -> Watched | None:
        """The monitor that a configured token names, by the token's keyed digest."""
        return self._by_token.get(digest)

    def all(self) -> Sequence[Watched]:
        """A snapshot in the order of tags; the same object until a monitor comes or goes."""
        return self._ordered

    def __len__(self) -> int:
        return len(self._ordered)

    def __iter__(self) -> Iterator[Watched]:
        return iter(self._ordered)

    def update(self, put: Iterable[Watched] = (), removed: Iterable[int] = ()) -> None:
        """Adds or changes whole monitors, and drops those whose ids are in `removed`; a tag never changes its id."""
        by_tag, by_id = dict(self._by_tag), dict(self._by_id)
        changed = False
        calendar = self._calendar
        tokens = dict(self._by_token)
        for id in removed:
            gone = by_id.pop(id, None)
            if gone is not None:
                del by_tag[gone.monitor.tag]
                _forget(tokens, gone)
                changed = True
        for watched in put:
            watched.uncounted = calendar.of(watched.monitor)
            known = by_id.get(watched.id)
            if known is not None:
                _forget(tokens, known)
                known.become(watched)
            else:
                by_tag[watched.monitor.tag] = by_id[watched.id] = watched
                changed = True
            for digest in watched.tokens:
                tokens[digest] = by_id[watched.id]
        self._by_token = tokens
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
            watched.uncounted = calendar.of(watched.monitor)


def _forget(tokens: dict[bytes, Watched], watched: Watched) -> None:
    for digest in watched.tokens:
        if tokens.get(digest) is watched:
            del tokens[digest]
