"""Every thread of the service is supervised: an exception in any of them is survived, and an end is seen."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from exporter.app import lifespan, threads
from exporter.app.loader import Reading
from exporter.app.service import Service
from exporter.config.load import load_config
from exporter.core.clock import SystemClock
from exporter.core.heartbeat import Heartbeat, Kind
from exporter.evaluation.evaluator import Evaluator
from exporter.evaluation.runtimes import RuntimeTracker
from exporter.fleet.follower import Follower
from exporter.fleet.job_metrics import JobMetricsView
from exporter.notify.notifiers import OptionModels
from exporter.notify.self_heartbeat import SelfHeartbeat
from exporter.notify.worker import DeliveryWorker
from exporter.recording.recorder import Recorder
from exporter.recording.statements import Pending
from exporter.storage.repositories.alert_board import AlertBoard
from exporter.storage.repositories.pruning import Pruner

DEADLINE = 30.0
WORK = {
    "recorder": (Recorder, "_read_again"),
    "evaluator": (Evaluator, "evaluate_due"),
    "follower": (Follower, "poll"),
    "board": (AlertBoard, "poll"),
    "notifier": (DeliveryWorker, "work"),
    "pruner": (Pruner, "prune"),
    "runtimes": (RuntimeTracker, "update"),
    "job-metrics": (JobMetricsView, "tidy"),
    "spool": (Recorder, "look_around"),
    "self-heartbeat": (SelfHeartbeat, "beat"),
    "boot": (Service, "_open"),
}
"""By kind of thread: something that it does in each turn."""
POOLS = ("MainThread", "reader", "lookout", "asyncio")
"""Threads that only do what they are asked to, and hand an exception to whoever asked."""


class Running:
    """A service in this process, on the test's own event loop."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("exporter.core.process.threads.FIRST_PAUSE", 0.01)
        monkeypatch.setattr("exporter.core.process.threads.MAX_PAUSE", 0.01)
        monkeypatch.setattr(threads, "FOLLOW_EVERY", 0.05)
        monkeypatch.setattr(threads, "PRUNE_EVERY", 0.05)
        monkeypatch.setattr(threads, "TIDY_EVERY", 0.05)
        self.killed: list[tuple[int, int]] = []
        self.last_resort: list[float] = []
        monkeypatch.setattr(os, "kill", lambda *call: self.killed.append(call))

        real = threading.Timer

        def timer(seconds: float, action: Any, *arguments: Any) -> threading.Timer:
            if action is not os._exit:
                return real(seconds, action, *arguments)
            self.last_resort.append(seconds)
            return real(0, lambda: None)

        monkeypatch.setattr(threading, "Timer", timer)
        file = tmp_path / "heartbeats.yml"
        file.write_text(
            "monitors: [{tag: job, secret: SESAME-of-the-job}]\n"
            f"storage: {{url: 'sqlite:///{tmp_path}/test.db', spool: '{tmp_path}/spool'}}\n"
            "alerts: [{name: down, notify: [ops]}]\n"
            "notifiers: [{name: ops, type: webhook, url: 'http://127.0.0.1:9/'}]\n"
            "self_heartbeat: {url: 'http://127.0.0.1:9/', interval: 5s}\n"
        )
        settings = load_config(file, {}, OptionModels()).settings
        self.service = Service(settings, lambda *_: Reading(settings), SystemClock())
        self.service.app()

    def run(self, check: Callable[[Service], Awaitable[None]]) -> None:
        async def live() -> None:
            await self.service.start()
            try:
                await check(self.service)
            finally:
                await self.service.stop()

        asyncio.run(live())

    def errors(self, kind: str) -> float:
        found = self.service.container.registry.get_sample_value(
            "heartbeat_exporter_thread_errors_total", {"thread": kind}
        )
        assert found is not None
        return found


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Running:
    return Running(tmp_path, monkeypatch)


async def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not what():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def heartbeat(service: Service) -> bool:
    """Whether it was committed."""
    assert service._ingest is not None
    watched = service.container.fleet.get("job")
    assert watched is not None
    pending = Pending(watched, Heartbeat(Kind.SUCCESS, SystemClock().now()))
    wait = service._ingest.waiters.wait_for(pending)
    assert service._ingest.recorder.record(pending)
    return await wait


def breaking(kind: str, error: type[BaseException], monkeypatch: pytest.MonkeyPatch, times: int = 1) -> threading.Event:
    """Has the thread's work raise so often; the event is set when it worked again after that."""
    owner, name = WORK[kind]
    original, again = getattr(owner, name), threading.Event()
    left = times

    def broken(*args: Any, **options: Any) -> Any:
        nonlocal left
        if threading.current_thread().name.startswith(kind):
            if left:
                left -= 1
                raise error(f"injected into {kind}")
            again.set()
        return original(*args, **options)

    monkeypatch.setattr(owner, name, broken)
    return again


@pytest.mark.parametrize("kind", WORK)
def test_an_exception_in_any_thread_is_survived(
    running: Running, kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(SelfHeartbeat, "seconds", 0.05)
    again = breaking(kind, ZeroDivisionError, monkeypatch)

    async def check(service: Service) -> None:
        await until(lambda: service.readiness() is None)
        await until(lambda: service.container.recorder._thread.wake() or again.is_set())
        assert await heartbeat(service)
        assert running.errors(kind) == 1
        assert "goes on after an error" in caplog.text
        assert kind == "notifier" or f"injected into {kind}" in caplog.text
        assert service.lost is None

    running.run(check)
    assert not running.killed


@pytest.mark.parametrize("kind", WORK)
def test_the_end_of_any_thread_ends_readiness_and_health(
    running: Running, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SelfHeartbeat, "seconds", 0.05)
    breaking(kind, SystemExit, monkeypatch)

    async def check(service: Service) -> None:
        await until(lambda: service.lost)
        assert service.lost is not None
        assert f"the thread {kind}" in service.lost
        assert service.readiness() == service.lost

    running.run(check)
    assert running.killed == [(os.getpid(), signal.SIGTERM)]
    assert running.last_resort == [lifespan.ORDERLY_END]


@pytest.mark.parametrize("kind", ["recorder", "evaluator", "follower"])
def test_a_vital_thread_that_keeps_failing_is_replaced_with_its_process(
    running: Running, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaking(kind, ZeroDivisionError, monkeypatch, times=1000)

    async def check(service: Service) -> None:
        await until(lambda: service.lost)
        assert service.lost == f"the thread {kind} keeps failing: starting over"

    running.run(check)
    assert running.killed == [(os.getpid(), signal.SIGTERM)]


def test_no_thread_is_without_supervision(running: Running) -> None:
    before = set(threading.enumerate())

    async def check(service: Service) -> None:
        await until(lambda: service.readiness() is None)
        assert await heartbeat(service)
        watched = {thread._thread for thread in service.container.threads._watched}
        others = {thread.name for thread in set(threading.enumerate()) - before - watched}
        assert {name for name in others if not name.startswith(POOLS)} <= {"boot"}
        kinds = {thread.kind for thread in service.container.threads._watched}
        assert kinds | {"boot"} == set(WORK)

    running.run(check)
    assert not running.killed


def test_a_heartbeat_that_cannot_be_written_costs_no_other(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(service: Service) -> None:
        await until(lambda: service.readiness() is None)
        assert service._ingest is not None
        watched = service.container.fleet.get("job")
        assert watched is not None
        write = service.container.recorder._group.write

        def poisoned(transaction: Any, batch: Any) -> Any:
            if any(pending.beat.rid == "poison" for pending in batch):
                raise ZeroDivisionError("poison")
            return write(transaction, batch)

        monkeypatch.setattr(service.container.recorder._group, "write", poisoned)
        batch = [
            Pending(watched, Heartbeat(Kind.SUCCESS, SystemClock().now(), "poison" if number == 37 else f"r{number}"))
            for number in range(100)
        ]
        waits = [service._ingest.waiters.wait_for(pending) for pending in batch]
        service.container.recorder._queue.extend(batch)
        service.container.recorder._thread.wake()
        answers = await asyncio.gather(*waits)
        assert [number for number, answer in enumerate(answers) if not answer] == [37]
        assert watched.state.received == 99
        assert service.container.repositories.history.heartbeats(watched.id, 1000)[0].rid == "r99"
        assert len(service.container.repositories.history.heartbeats(watched.id, 1000)) == 99
        assert service.readiness() is None

    running.run(check)


def test_an_error_after_the_commit_neither_repeats_nor_refuses(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    from exporter.recording.group import Changes

    fold, failed = Changes.fold, threading.Event()

    def broken(changes: Changes) -> bool:
        if not failed.is_set():
            failed.set()
            raise ZeroDivisionError
        return fold(changes)

    monkeypatch.setattr(Changes, "fold", broken)

    async def check(service: Service) -> None:
        await until(lambda: service.readiness() is None)
        assert await heartbeat(service)
        watched = service.container.fleet.get("job")
        assert watched is not None
        await until(lambda: watched.state.received == 1)  # read from the database instead
        assert len(service.container.repositories.history.heartbeats(watched.id, 10)) == 1

    running.run(check)
