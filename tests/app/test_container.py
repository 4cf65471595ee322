"""Everything is wired once: what the service, tests and commands use is the same, and building it starts nothing."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.app.container import Container
from exporter.app.repositories import Repositories
from exporter.config.settings import Settings, StorageSettings
from exporter.core.clock import MINUTE, SECOND
from exporter.core.errors import Conflict, NotFound, StorageUnavailable
from exporter.core.heartbeat import Heartbeat, Kind
from exporter.core.monitor import Monitor
from exporter.core.secret import digest
from exporter.fleet.loader import load
from exporter.recording.statements import Pending
from exporter.storage.schema import migrate
from tests.conftest import ManualClock

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def parts(url: str, clock: ManualClock) -> Iterator[Container]:
    parts = Container(Settings(storage=StorageSettings(url=url)), clock)
    migrate(parts.database)
    parts.key = b"k" * 32
    parts.follower.start_here()
    yield parts
    parts.recorder.stop()
    parts.database.close()


def test_building_one_starts_no_thread_and_opens_no_database(tmp_path: Path, clock: ManualClock) -> None:
    before = set(threading.enumerate())
    settings = Settings(storage=StorageSettings(url=f"sqlite:///{tmp_path}/new.db", spool=f"{tmp_path}/spool"))
    Container(settings, clock)
    assert set(threading.enumerate()) == before
    assert list(tmp_path.iterdir()) == []


def test_a_change_is_seen_when_the_call_returns(parts: Container) -> None:
    parts.recorder.start()
    monitors = parts.managed_monitors
    monitors.add(Monitor(tag="job"), "SESAME-of-the-job")
    watched = parts.fleet.get("job")
    assert watched is not None
    assert watched.digest == digest("SESAME-of-the-job", parts.key)
    with pytest.raises(Conflict):
        monitors.add(Monitor(tag="job"), "another")
    monitors.set_paused("job", True)
    assert watched.monitor.paused
    monitors.remove("job")
    assert parts.fleet.get("job") is None
    for change in (lambda: monitors.remove("job"), lambda: monitors.set_paused("job", False)):
        with pytest.raises(NotFound):
            change()


def test_a_change_that_the_database_does_not_take_is_none(parts: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(operation: str) -> None:
        raise StorageUnavailable(operation)

    monkeypatch.setattr(parts.database, "write", refuse)
    with pytest.raises(StorageUnavailable):
        parts.managed_monitors.add(Monitor(tag="job"), "SESAME-of-the-job")
    assert parts.fleet.get("job") is None


def test_its_parts_work_on_one_another(parts: Container, clock: ManualClock) -> None:
    parts.repositories.monitors.add(Monitor(tag="job"), b"d" * 32)
    parts.fleet.update(load(parts.database))
    watched = parts.fleet.get("job")
    assert watched is not None
    parts.recorder._commit([Pending(watched, Heartbeat(Kind.SUCCESS, clock.now()))])
    parts.outages.begin("forgive")
    parts.evaluator.evaluate_due()
    assert watched.current.status == "UP"
    clock.advance(20 * MINUTE)  # no process was there: that is a blackout, and counts against no monitor
    parts.evaluator.evaluate_due()
    assert watched.current.status == "UP"
    assert parts.registry.get_sample_value("heartbeat_exporter_blackout_seconds_total") == pytest.approx(
        20 * MINUTE / SECOND, abs=30
    )


def test_repositories_are_made_when_they_are_asked_for(parts: Container, clock: ManualClock) -> None:
    repositories = Repositories(parts.database, clock)
    assert set(vars(repositories)) == {"database", "events", "_clock", "_replica"}
    assert repositories.history is repositories.history
    assert parts.repositories.monitors is parts.repositories.monitors


def test_the_command_line_imports_no_more_than_repositories() -> None:
    """A command starts in the time that its imports take."""
    code = "import sys, exporter.cli.monitors, exporter.cli.alerts.incidents; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = ("exporter.app.container", "exporter.evaluation.", "exporter.alerting.", "exporter.notify.", "falcon")
    assert not {module for module in done.stdout.split() if module.startswith(heavy)}
