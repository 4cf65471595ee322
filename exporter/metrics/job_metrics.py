"""`/metrics/jobs`: the metrics that jobs pushed, in the text format 0.0.4."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter

from exporter.core.clock import SECOND
from exporter.core.errors import StorageUnavailable
from exporter.core.job_metrics.model import owned_names
from exporter.core.job_metrics.rendering import header, lines_by_name
from exporter.core.process.pause import Pause
from exporter.core.process.repeats import Repeats
from exporter.fleet.job_metrics import JobMetricsView, ShownGroup
from exporter.metrics.exposition.negotiation import Format, accepts_gzip
from exporter.metrics.scrape import ScrapeResponse, compressed, gathered

log = logging.getLogger(__name__)

_PUSH_TIME: tuple[str, str, Callable[[ShownGroup], int]] = (
    "push_time_seconds",
    "Last Unix time at which metrics of this group were pushed.",
    attrgetter("pushed_at"),
)
_FAILURE_TIME: tuple[str, str, Callable[[ShownGroup], int]] = (
    "push_failure_time_seconds",
    "Last Unix time at which metrics of this group were refused; 0 if never.",
    attrgetter("failed_at"),
)


class _ExposedFamily:
    """All families of one name."""

    __slots__ = ("blocks", "differs", "help", "type")

    def __init__(self, type: str, help: str) -> None:
        self.type = type
        self.help = help
        self.blocks: list[bytes] = []
        self.differs = False
        """Whether monitors disagree about it."""


class JobMetricsScrape:
    """Any number of threads may scrape at once."""

    def __init__(self, view: JobMetricsView) -> None:
        self._view = view
        self._troubles = Repeats()

    def answer(self, accept_encoding: str | None) -> ScrapeResponse:
        """Pulling a chunk renders it, so pull off the event loop."""
        chunks = gathered(self.render())
        if accepts_gzip(accept_encoding):
            return ScrapeResponse(Format.TEXT.value, "gzip", compressed(chunks))
        return ScrapeResponse(Format.TEXT.value, None, chunks)

    def render(self) -> Iterator[bytes]:
        try:
            self._view.refresh()
        except StorageUnavailable as error:  # what this process knows is better than nothing
            if self._troubles.is_due(str(error)):
                log.warning("job metrics that other processes took cannot be read: %s", error)
        else:
            self._troubles.over()
        monitors = self._view.shown()
        yield from _times(monitors)
        yield from _families(monitors)


def _times(monitors: Sequence[tuple[str, Sequence[ShownGroup]]]) -> Iterator[bytes]:
    if not monitors:
        return
    pause = Pause()
    for name, help, moment in (_PUSH_TIME, _FAILURE_TIME):
        yield header(name, "gauge", help)
        for _, groups in monitors:
            yield "".join(f"{name}{group.labels} {moment(group) / SECOND:.15g}\n" for group in groups).encode()
            pause.when_due()


def _families(monitors: Sequence[tuple[str, Sequence[ShownGroup]]]) -> Iterator[bytes]:
    exposed: dict[str, _ExposedFamily] = {}
    pause = Pause()
    for _, groups in monitors:
        for group in groups:
            for name, type, help, lines in group.families:
                family = exposed.get(name)
                if family is None:
                    family = exposed[name] = _ExposedFamily(type, help)
                elif family.type != type:
                    family.differs = True
                family.blocks.append(lines)
        pause.when_due()
    differing = _differing(exposed)
    for name in sorted({*exposed, *differing}):
        if name in differing:
            help = exposed[name].help if name in exposed else ""
            yield b"".join((header(name, "untyped", help), *differing[name]))
        elif not exposed[name].differs:
            family = exposed[name]
            yield b"".join((header(name, family.type, family.help), *family.blocks))
        pause.when_due()


def _differing(exposed: Mapping[str, _ExposedFamily]) -> Mapping[str, Sequence[bytes]]:
    """The lines of families about which monitors disagree, by the names of their series: each is untyped then."""
    for name, family in exposed.items():
        for owned in owned_names(name, family.type):
            if owned != name and owned in exposed:
                family.differs = exposed[owned].differs = True
    lines: dict[str, list[bytes]] = {}
    waiting = [family for family in exposed.values() if family.differs]
    for family in waiting:  # which grows meanwhile
        for block in family.blocks:
            for name, line in lines_by_name(block):
                lines.setdefault(name, []).append(line)
                other = exposed.get(name)
                if other is not None and not other.differs:
                    other.differs = True
                    waiting.append(other)
    return lines
