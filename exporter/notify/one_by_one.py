"""For services that keep each alert separately: a message is delivered alert by alert."""

from collections.abc import Callable

from exporter.notify.notifier import DeliveryFailed, Failure
from exporter.presentation.message import AlertSnapshot, Message

_HOPELESS = 3
"""Alerts that failed, and none taken, after which the others are not tried in this attempt."""
_OF_ONE = frozenset({Failure.REJECTED, Failure.SERVER_ERROR})
"""Failures that may be about one alert; the next alert would meet the others too."""
_OF_NONE = frozenset({Failure.RATE_LIMITED, Failure.CONNECT})
"""Failures that say nothing about an alert, which so keeps its place."""


class OneByOne:
    """A message that fails half-way goes on where it stopped when it is tried again."""

    def __init__(self) -> None:
        self._key = ""
        self._taken: set[str] = set()
        self._refused: dict[str, DeliveryFailed] = {}
        """By alert: what was refused for good is not tried again with the others."""
        self._failures: dict[str, int] = {}
        """By alert: those that failed least often have the next turn, so that no alert blocks another."""

    def deliver(self, message: Message, send: Callable[[AlertSnapshot], str]) -> str:
        """Calls `send` for each alert that was not taken yet; returns what it said to the last one.

        An alert that fails does not keep back the others. Raises DeliveryFailed at the end if some failed; at once if
        the others would fail likewise. Trying again may help unless all that failed were refused for good.
        """
        if message.key != self._key:
            self._key, self._taken, self._refused, self._failures = message.key, set(), {}, {}
        left = [
            alert
            for alert in message.alerts
            if alert.alert_id not in self._taken and alert.alert_id not in self._refused
        ]
        left.sort(key=lambda alert: self._failures.get(alert.alert_id, 0))
        result, delayed, failed = "", None, 0
        for facts in left:
            try:
                result = send(facts)
            except DeliveryFailed as error:
                if error.failure not in _OF_NONE:
                    self._failures[facts.alert_id] = self._failures.get(facts.alert_id, 0) + 1
                if error.failure not in _OF_ONE:
                    raise
                if error.retry:
                    delayed = delayed or error
                else:
                    self._refused[facts.alert_id] = error
                failed += 1
                if failed >= _HOPELESS and not self._taken:
                    break
                continue
            self._taken.add(facts.alert_id)
        self._raise(len(message.alerts), delayed)
        count = len(message.alerts)
        return result if count == 1 else f"{count:,} alerts, the last: {result}"

    def _raise(self, count: int, delayed: DeliveryFailed | None) -> None:
        """The failure of the whole message, if there is one."""
        error = delayed or next(iter(self._refused.values()), None)
        if error is None:
            return
        if delayed is None:
            self._refused = {}  # it is given up; an administrator may have it tried again
        which = f"{len(self._taken)} of {count:,} alerts were accepted; " if count > 1 else ""
        raise DeliveryFailed(error.failure, f"{which}{error}", retry=error.retry, retry_after=error.retry_after)
