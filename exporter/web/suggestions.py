"""What the page of a monitor suggests for its settings."""

from collections import OrderedDict
from typing import NamedTuple

from exporter.core.exclusions import Exclusions
from exporter.core.fleet import Fleet, FleetMonitor
from exporter.core.monitor import Monitor
from exporter.core.suggestion.suggestion import suggest
from exporter.presentation.suggestion import evidence_lines, suggestion_yaml
from exporter.storage.repositories.history import History

MAX_HEARTBEATS = 400
"""Of the newest kept ones; the command looks at more."""
_KEPT = 64
"""Texts kept: pages load themselves again and again, and mostly nothing has arrived meanwhile."""


class SuggestionText(NamedTuple):
    """For the template."""

    lines: tuple[str, ...]
    """The evidence, in sentences."""
    yaml: str
    """Empty when nothing is suggested, or nothing would change."""


class SuggestionTexts:
    """The texts of several monitors; any number of threads may ask."""

    def __init__(self, history: History, fleet: Fleet) -> None:
        self._history = history
        self._fleet = fleet
        self._texts: OrderedDict[int, tuple[tuple[Monitor, int, Exclusions], SuggestionText]] = OrderedDict()
        """By monitor, with what they were made of."""

    def of(self, watched: FleetMonitor) -> SuggestionText:
        """Raises StorageUnavailable."""
        made_of = (watched.monitor, watched.state.received, watched.exclusions)
        text = self._texts.get(watched.id)
        if text is None or text[0] != made_of:
            text = made_of, self._made(watched)
            self._texts[watched.id] = text
            while len(self._texts) > _KEPT:
                self._texts.popitem(last=False)
        return text[1]

    def _made(self, watched: FleetMonitor) -> SuggestionText:
        beats = self._history.results(watched.id, MAX_HEARTBEATS)
        suggestion = suggest(watched.monitor, beats, (), watched.exclusions)
        shown = suggestion.proposes and suggestion.differs
        return SuggestionText(tuple(evidence_lines(suggestion)), suggestion_yaml(suggestion) if shown else "")
