"""Dependencies with the real program: one message for a family, a start with parents that are unknown, and kill -9."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.conftest import ROOT, SECRET, Service, Starter, curl, eventually
from tests.live.test_alerting import notifier, rule, told
from tests.support.postgres import Postgres, running
from tests.support.receivers import Receiver, answer

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running(durable=True) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest) -> str:
    return "" if request.param == "sqlite" else str(request.getfixturevalue("postgres").create())


def family(*children: str, release_after: str = "2s", wait: str = "4s") -> str:
    """A parent that reports by hand, and children that depend on it by a glob."""
    more = f"degraded_after: 1s, down_after: {wait}, depends_on: ['d?'], release_after: {release_after}"
    lines = [f"  - {{tag: {tag}, secret: {SECRET}, {more}}}\n" for tag in children]
    return f"ingest_guard: off\nafter_outage: strict\nmonitors:\n  - {{tag: db, secret: {SECRET}}}\n" + "".join(lines)


def suppressed(service: Service) -> set[str]:
    return {key[1] for key in service.metrics() if key[0] == "heartbeat_suppressed"}


def test_held_alerts_survive_kill_9(start: Starter, storage: str) -> None:
    with Receiver(answer(200)) as receiver:
        config = family("web", "mail") + rule(create_incident="true") + "notifiers:\n" + notifier("ops", receiver)
        service = start(config, storage=storage)
        service.ping("db", "/fail")
        for tag in ("web", "mail"):
            service.ping(tag)
        eventually(lambda: suppressed(service) == {"web", "mail"})
        eventually(lambda: service.metrics()["heartbeat_alert_firing", "down", "critical", "web"] == 1)
        service.kill()
        service.start_again()
        eventually(lambda: suppressed(service) == {"web", "mail"})
        assert set(told(receiver)) == {"db"}
        page = curl(f"{service.url}/monitors/web").body
        assert "held because db is" in page
        shown = json.loads(curl(f"{service.url}/api/v1/monitors/web").body)
        assert (shown["depends_on"], shown["suppressed_by"]) == (["d?"], ["db"])
        assert json.loads(service.cli("monitor", "show", "web", "--json"))["suppressed_by"] == ["db"]
        alerts = json.loads(curl(f"{service.url}/api/v1/alerts").body)["alerts"]
        held_by = {one["tag"]: one["held_by"] for one in alerts}
        assert held_by == {"db": [], "web": ["dependency"], "mail": ["dependency"]}
        assert len({one["incident_id"] for one in alerts}) == 1
        service.ping("db")
        service.kill()
        service.start_again()
        eventually(lambda: set(told(receiver)) == {"db", "web", "mail"}, 30)
        eventually(lambda: suppressed(service) == set())
        for tag in ("web", "mail"):
            service.ping(tag)
        eventually(lambda: set(told(receiver, "RESOLVED")) == {"db", "web", "mail"})
        assert all(len(keys) == 1 for keys in told(receiver).values())


def test_a_family_is_one_message(start: Starter) -> None:
    """All are late when the parent is DOWN, though none is DOWN itself."""
    tags = [f"job{number:02}" for number in range(30)]
    with Receiver(answer(200)) as receiver:
        parent = f"{{tag: db, secret: {SECRET}"
        config = family(*tags, wait="20s").replace(parent, f"{parent}, degraded_after: 1s, down_after: 8s")
        service = start(config + rule() + "notifiers:\n" + notifier("ops", receiver))
        for tag in ("db", *tags):
            service.ping(tag)
        eventually(lambda: len(suppressed(service)) == 30)
        eventually(lambda: told(receiver))
        (message,) = [request.json for request in receiver.received]
        assert message["headline"] == f"DOWN: db, {message['alerts'][0]['why']}, and 30 monitors that depend on it"
        assert "all are late too, and their alerts are held: job00, job01, job02 and 27 more" in message["text"]
        assert (message["depending"], message["dependents"]) == (30, 30)


def serve(folder: Path, config: str) -> str:
    """What a start that fails says."""
    file = folder / "bad.yml"
    file.write_text(config)
    command = [sys.executable, "-m", "exporter", "serve", "--config.file", str(file)]
    command += ["--storage.url", f"sqlite:///{folder}/live.db", "--web.listen-address", "127.0.0.1:0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    return done.stderr


def test_parents_that_nobody_knows(start: Starter, tmp_path: Path) -> None:
    config = f"monitors:\n  - {{tag: web, secret: {SECRET}, depends_on: [made-by-hand]}}\n"
    output = serve(tmp_path, config)
    assert f"{tmp_path}/bad.yml:2: monitors[0].depends_on[0]: there is no monitor 'made-by-hand'" in output
    service = start()
    service.cli("monitor", "add", "made-by-hand")
    service.config.write_text(config)
    assert curl("-X", "POST", f"{service.url}/-/reload").status == 200
    eventually(lambda: service.metrics()["heartbeat_dependency_info", "made-by-hand", "web"] == 1)
    service.config.write_text(config.replace("made-by-hand", "ghost"))
    refused = curl("-X", "POST", f"{service.url}/-/reload")
    assert refused.status != 200
    assert "there is no monitor 'ghost'" in service.output()
    assert service.metrics()["heartbeat_dependency_info", "made-by-hand", "web"] == 1
    service.config.write_text(config.replace("[made-by-hand]", "[web]"))
    assert curl("-X", "POST", f"{service.url}/-/reload").status != 200
    assert "'web' is the monitor itself" in service.output()
