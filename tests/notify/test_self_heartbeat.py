"""Our own heartbeat is sent only while everything that alarms depend on works."""

import logging
import socket
import threading
import time
import tracemalloc
from unittest.mock import Mock

import pytest

from exporter.app.alerting import STALLED_AFTER, Alerting
from exporter.config.settings import Secret, SelfHeartbeatSettings
from exporter.notify.self_heartbeat import SelfHeartbeat
from tests.conftest import ManualClock
from tests.support.receivers import (
    DRIPPING_BODY,
    DRIPPING_HEAD,
    Behaviour,
    Received,
    Receiver,
    answer,
    flood,
    reset,
    silence,
)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def beat(url: str, trouble: str | None = None) -> None:
    SelfHeartbeat(SelfHeartbeatSettings(Secret(url), 60_000), lambda: trouble).beat()


def test_it_is_sent_while_all_is_well_and_not_otherwise(caplog: pytest.LogCaptureFixture) -> None:
    with Receiver() as receiver:
        beat(f"{receiver.url}/SESAME")
        assert [(one.method, one.target) for one in receiver.received] == [("GET", "/SESAME")]
        beat(f"{receiver.url}/SESAME", "the evaluator does not work")
        assert len(receiver.received) == 1
    assert "the evaluator does not work" in caplog.text


def test_what_goes_wrong_is_told_without_the_url(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Receiver(answer(500), reset) as receiver:
        beat(f"{receiver.url}/SESAME")
        beat(f"{receiver.url}/SESAME")
    beat("http://127.0.0.1:9/SESAME")
    beat("http://[SESAME/")
    told = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("exporter"))
    assert "was answered 500" in told
    assert told.count("did not arrive") == 3
    assert "SESAME" not in told


def test_an_answer_without_end_is_not_read() -> None:
    sent = threading.Event()

    def endless(client: socket.socket, request: Received, over: threading.Event) -> None:
        try:
            flood(client, request, over)
        except OSError:
            return
        sent.set()

    with Receiver(endless, answer()) as receiver:
        for _ in range(2):
            beat(f"{receiver.url}/SESAME")
        assert len(receiver.received) == 2
    assert not sent.is_set()


def test_what_counts_as_working() -> None:
    clock, sender = ManualClock(), Mock(alive=True)
    alerting = Alerting.__new__(Alerting)
    alerting._clock, alerting._sender = clock, sender
    assert alerting._trouble(None) == "the evaluator does not work"
    assert alerting._trouble(clock.monotonic()) is None
    worked = clock.monotonic()
    clock.advance(STALLED_AFTER)
    assert alerting._trouble(worked) is None
    clock.advance(1)
    assert alerting._trouble(worked) == "the evaluator does not work"
    sender.alive = False
    assert alerting._trouble(clock.monotonic()) == "the sender does not work"


@pytest.mark.parametrize(
    "behaviour", [flood, DRIPPING_BODY, DRIPPING_HEAD, silence], ids=["flood", "body", "head", "mute"]
)
def test_no_answer_holds_it_up_or_fills_the_memory(behaviour: Behaviour) -> None:
    with Receiver(behaviour) as receiver:
        sender = SelfHeartbeat(SelfHeartbeatSettings(Secret(receiver.url), 60_000), lambda: None)
        sender._http._seconds = sender._http._connect = 0.5
        tracemalloc.start()
        began = time.monotonic()
        try:
            sender.beat()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert time.monotonic() - began < 4
        assert len(receiver.received) == 1
    assert peak < 30_000_000


def test_it_goes_through_the_environments_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "127.0.0.0/8")
        beat("http://watcher.invalid/SESAME")
        assert [one.target for one in proxy.received] == ["http://watcher.invalid/SESAME"]
        beat(f"{proxy.url}/SESAME")
        assert proxy.received[1].target == "/SESAME"
