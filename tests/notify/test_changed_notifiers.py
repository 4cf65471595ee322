"""A reload that changes a notifier while it delivers: its message is sent once."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from exporter.config.settings import NotifierSettings
from exporter.core.alerts.notification import NotificationState
from exporter.core.clock import DAY
from exporter.core.errors import StorageUnavailable
from exporter.core.heartbeat import Kind
from exporter.core.telemetry import Silent
from exporter.notify.dispatcher import Dispatcher
from exporter.notify.worker import DeliveryWorker
from exporter.presentation.message import Message, Site
from tests.alerting.test_evaluator import DOWN, Scripted, busy
from tests.support.replica import DEADLINE, Replica


class Slow(Scripted):
    """Answers when it is let."""

    def __init__(self, *answers: Exception | None) -> None:
        super().__init__(*answers)
        self.asked, self.let = threading.Event(), threading.Event()

    def deliver(self, message: Message) -> str:
        self.asked.set()
        assert self.let.wait(DEADLINE)
        return super().deliver(message)


class Reloaded:
    """A sender whose notifier is changed by each `reload`."""

    def __init__(self, replica: Replica) -> None:
        self.made: list[DeliveryWorker] = []
        self._replica = replica
        self._sender = Dispatcher(
            replica.deliveries,
            replica.notifications,
            replica.lease,
            replica.clock,
            Silent(),
            lambda: Site("http://here"),
        )
        self._sender._channel = self._channel  # type: ignore[method-assign]
        self._sender.start()
        self._notifier: Scripted | None = None

    def reload(self, notifier: Scripted | None) -> None:
        """With this one, or without one of its name."""
        self._notifier = notifier
        settings: Sequence[Any] = ()
        if notifier is not None:
            settings = [
                NotifierSettings(name="ops", type="webhook", options=len(self.made), group_wait=0, give_up_after=DAY)
            ]  # type: ignore[arg-type]
        self._sender.prepare(settings)()

    def stop(self) -> None:
        self._sender.stop()
        for channel in self.made:
            channel.stop()
            channel.join(DEADLINE)

    def _channel(self, settings: NotifierSettings) -> DeliveryWorker:
        assert self._notifier is not None
        self.made.append(self._replica.channel(self._notifier, changed=bool(self.made)))
        return self.made[-1]


@pytest.fixture
def service(replica: Replica) -> Iterator[Reloaded]:
    replica.watch(DOWN)
    replica.add("job")
    replica.beat("job", Kind.FAILURE)
    replica.evaluator.evaluate_due()
    service = Reloaded(replica)
    yield service
    service.stop()


def states(replica: Replica) -> list[NotificationState]:
    return [one.state for one in replica.notifications.recent()]


def wait_until_delivered(replica: Replica) -> None:
    for _ in range(int(DEADLINE * 20)):
        if states(replica) == [NotificationState.DELIVERED]:
            return
        threading.Event().wait(0.05)
    raise AssertionError(states(replica))


@pytest.mark.parametrize("way", ["changed", "changed twice", "removed and added"])
def test_a_message_under_way_is_sent_once(replica: Replica, service: Reloaded, way: str) -> None:
    old, between, new = Slow(), Scripted(), Scripted()
    service.reload(old)
    assert old.asked.wait(DEADLINE)
    if way != "changed":
        service.reload(between if way == "changed twice" else None)
    service.reload(new)
    service.made[-1].wake()
    assert not service.made[-1]._thread._stopped.wait(1.0), "time in which it would send what the old one is sending"
    old.let.set()
    wait_until_delivered(replica)
    service.stop()
    assert (len(old.got), len(between.tried), len(new.tried)) == (1, 0, 0)


def test_what_failed_under_way_is_sent_by_the_changed_one(replica: Replica, service: Reloaded) -> None:
    old, new = Slow(busy()), Scripted()
    service.reload(old)
    assert old.asked.wait(DEADLINE)
    service.reload(new)
    old.let.set()
    service.made[0].join(DEADLINE)
    replica.clock.advance(60_000)
    wait_until_delivered(replica)
    service.stop()
    assert len(new.got) == 1
    assert new.got[0].key == old.tried[0].key


def test_a_delivery_that_could_not_be_noted_is_noted_by_the_changed_one(
    replica: Replica, service: Reloaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = Slow(), Scripted()
    service.reload(old)
    assert old.asked.wait(DEADLINE)
    service.reload(new)
    with monkeypatch.context() as patched:
        refused = threading.Event()

        def refuse(*_: Any) -> None:
            refused.set()
            raise StorageUnavailable("away")

        patched.setattr(replica.deliveries, "delivered", refuse)
        old.let.set()
        service.made[0].join(DEADLINE)
        assert refused.is_set()
    wait_until_delivered(replica)
    service.stop()
    assert new.tried == []
