"""Work in a child process: bounded, and each way to fail has its own words."""

import os
import threading
import time
from collections.abc import Callable

import pytest

from exporter.core.errors import InvalidValue
from exporter.notify import bounded as module
from exporter.notify.bounded import BROKEN, STUCK, TOO_LONG, TOO_MUCH, bounded
from exporter.notify.notifiers.webhook import WebhookNotifier, WebhookOptions
from exporter.notify.samples import sample
from exporter.notify.templates import worded
from exporter.presentation.message import Event
from tests.support.receivers import Receiver, answer


def burn() -> str:
    while True:
        pass


def grow() -> str:
    return str(len(bytearray(1 << 30)))


def refuse() -> str:
    raise InvalidValue("line 1 of the template: no")


def leave() -> str:
    os._exit(3)


def break_() -> str:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("work", "told"),
    [(burn, TOO_LONG), (grow, TOO_MUCH), (refuse, "line 1 of the template: no"), (leave, BROKEN), (break_, BROKEN)],
)
def test_each_way_to_fail_has_its_own_words(work: Callable[[], str], told: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        bounded(work)
    assert str(caught.value) == told


def test_waiting_costs_no_processor_time() -> None:
    assert bounded(lambda: time.sleep(2 * module.CPU) or "slow") == "slow"


def test_a_child_that_finds_a_lock_held_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside threads, as in the service: Python 3.12 warns of that fork."""
    monkeypatch.setattr(module, "WALL", 0.5)
    fork, children = os.fork, list[int]()

    def recorded() -> int:
        child = fork()
        if child:
            children.append(child)
        return child

    monkeypatch.setattr(os, "fork", recorded)
    lock, over = threading.Lock(), threading.Event()

    def hold() -> None:
        with lock:
            over.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert bounded(lambda: "fine") == "fine"
        with pytest.raises(InvalidValue) as caught:
            bounded(lambda: str(lock.acquire()))
        assert str(caught.value) == STUCK
    finally:
        over.set()
        thread.join()
    assert len(children) == 2
    for child in children:  # none is left, not even as a zombie
        with pytest.raises(ChildProcessError):
            os.waitpid(child, os.WNOHANG)


def test_without_a_template_nothing_is_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_fork() -> int:
        raise AssertionError("forked")

    monkeypatch.setattr(os, "fork", no_fork)
    assert worded(None, sample(Event.TRIGGERED), "default words") == "default words"
    with Receiver(answer(200)) as receiver:
        options = WebhookOptions.model_validate({"name": "ops", "type": "webhook", "url": receiver.url})
        WebhookNotifier(options).deliver(sample(Event.TRIGGERED))
        assert len(receiver.received) == 1
