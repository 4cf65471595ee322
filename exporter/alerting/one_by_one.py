"""For services that keep each alert by itself: a message is delivered alert by alert."""

from collections.abc import Callable

from exporter.alerting.message import Facts, Message
from exporter.alerting.notifier import DeliveryFailed, Failure

_HOPELESS = 3
"""Alerts refused, and none taken, after which the others are not tried."""


class OneByOne:
    """A message that fails half-way goes on where it stopped when it is tried again."""

    def __init__(self) -> None:
        self._key = ""
        self._taken: set[str] = set()

    def deliver(self, message: Message, send: Callable[[Facts], str]) -> str:
        """Calls `send` for each alert that was not taken yet; returns what it said to the last one.

        Raises DeliveryFailed at once if trying again may help, and at the end if some were refused for good.
        """
        if message.key != self._key:
            self._key, self._taken = message.key, set()
        said, refused = "", []
        for facts in message.alerts:
            if facts.alert_id in self._taken:
                continue
            try:
                said = send(facts)
            except DeliveryFailed as error:
                if error.retry or error.failure is not Failure.REJECTED:
                    raise
                refused.append(error)
                if len(refused) >= _HOPELESS and not self._taken:
                    break
                continue
            self._taken.add(facts.alert_id)
        count = len(message.alerts)
        if refused:
            which = f"{len(self._taken)} of {count:,} alerts were taken; " if count > 1 else ""
            raise DeliveryFailed(Failure.REJECTED, f"{which}{refused[0]}", retry=False)
        return said if count == 1 else f"{count:,} alerts, the last: {said}"
