"""Every way to open a monitor, by real curl on the real program: credentials of the file, and those added by hand."""

import json
import signal
from pathlib import Path

import pytest

from tests.live.conftest import SECRET, Service, Starter, curl, eventually, fetch

pytestmark = pytest.mark.live

UUID = "0B6F9D3A-1111-4222-8333-0123456789AB"
CONFIG = f"""
ping_keys:
  - {{name: ops, key: SESAME-key-of-ops, monitors: [job, "ci-*"], create: {{down_after: 1d}}, max_monitors: 2}}
  - {{name: narrow, key: SESAME-narrow-key, monitors: [other]}}
monitors:
  - {{tag: job, secret: {SECRET}, secrets: [SESAME-older-secret], tokens: [{UUID}, SESAME-token-of-job]}}
  - {{tag: other, secret: SESAME-other-secret}}
"""
PULSE = Path(__file__).parent.parent.parent / "examples" / "dialect" / "pulse.py"
REJECTED = "heartbeat_exporter_heartbeats_rejected_total"


def package(folder: Path) -> dict[str, str]:
    """The dialect of the documents as an installed package; the environment in which it is found."""
    (folder / "pulse.py").write_text(PULSE.read_text())
    information = folder / "pulse-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: pulse\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[heartbeat_exporter.dialects]\npulse = pulse:PulseDialect\n")
    return {"PYTHONPATH": str(folder)}


@pytest.fixture
def service(start: Starter, tmp_path: Path) -> Service:
    return start(CONFIG, environment=package(tmp_path))


def test_every_credential_opens_what_it_should_and_nothing_else(service: Service) -> None:
    base, pulse = f"{service.url}/ext/heartbeat", f"{service.url}/pulse"
    token = service.cli("monitor", "token", "job").strip()
    bearer = ("-H", "Authorization: Bearer SESAME-key-of-ops")
    good = [
        (f"{base}/job:{SECRET}",),
        (f"{base}/job/SESAME-older-secret/start",),
        (f"{base}/job:SESAME-key-of-ops",),
        (*bearer, f"{base}/job"),
        (*bearer, "-d", "output", f"{base}/job/0"),
        (f"{base}/other:SESAME-narrow-key",),
        (f"{pulse}/SESAME-token-of-job",),
        (f"{pulse}/{UUID}",),
        (f"{pulse}/{UUID.lower()}/",),
        ("-d", "output", f"{pulse}/{token}?seconds=90"),
    ]
    for arguments in good:
        assert 200 <= curl(*arguments).status < 300, arguments
    assert service.received("job") == len(good) - 1
    assert service.metrics()["heartbeat_last_duration_seconds", "job"] == 90
    bad = [
        (f"{base}/other:SESAME-key-of-ops",),
        (f"{base}/job:SESAME-narrow-key",),
        (f"{base}/job:SESAME-token-of-job",),
        (f"{base}/other:SESAME-older-secret",),
        (f"{pulse}/{SECRET}",),
        (f"{pulse}/SESAME-key-of-ops",),
        (f"{pulse}/{token[:-1]}{'1' if token[-1] == '0' else '0'}",),
    ]
    answers = {(curl(*arguments).status, curl(*arguments).body) for arguments in bad}
    assert answers == {
        (404, '{"error":"there is no monitor with this tag and secret"}'),
        (404, "no such pulse\n"),
    }
    assert service.received("job") == len(good) - 1
    assert curl("-X", "PUT", f"{pulse}/{UUID}").header("allow") == "GET, POST"
    assert "SESAME" not in service.output()
    assert UUID.lower() not in service.output().lower()


def test_monitors_are_created_by_their_first_heartbeat(service: Service) -> None:
    base = f"{service.url}/ext/heartbeat"
    assert curl(f"{base}/ci-1:SESAME-key-of-ops").status == 404
    assert curl(f"{base}/ci-1:SESAME-key-of-ops/fial?create=1").status == 404
    assert "ci-1" not in service.cli("monitor", "list")
    assert curl("-d", "first", f"{base}/ci-1:SESAME-key-of-ops/7?create=1").body == '{"status":"OK"}'
    assert curl(f"{base}/ci-1:SESAME-key-of-ops").status == 200
    assert service.received("ci-1") == 2
    shown = service.cli("monitor", "show", "ci-1")
    assert "ops" in shown  # its group
    assert "1d" in shown
    assert curl(f"{base}/elsewhere:SESAME-key-of-ops?create=1").status == 403
    assert curl(f"{base}/ci-2:SESAME-key-of-ops?create=1").status == 200
    assert curl(f"{base}/ci-3:SESAME-key-of-ops?create=1").status == 403
    assert curl(f"{base}/ci-3:{SECRET}?create=1").status == 404
    service.cli("monitor", "remove", "ci-1")
    eventually(lambda: fetch(f"{base}/ci-1:SESAME-key-of-ops?create=1").status == 403)


def test_a_creator_chooses_settings_and_changes_them(service: Service) -> None:
    base, key = f"{service.url}/ext/heartbeat", "SESAME-key-of-ops?create=1"
    wrong = curl(f"{base}/ci-1:{key}&schedule=never")
    assert (wrong.status, "schedule" in wrong.body) == (400, True)
    assert "ci-1" not in service.cli("monitor", "list")
    asked = "schedule=0+3+*+*+*&timezone=Europe/Rome&down_after=2h&failure_tolerance=3&group=mine"
    assert curl(f"{base}/ci-1:{key}&{asked}").body == '{"status":"OK"}'
    shown = json.loads(service.cli("monitor", "show", "ci-1", "--json"))
    assert (shown["schedule"], shown["timezone"], shown["down_after_seconds"]) == ("0 3 * * *", "Europe/Rome", 7200)
    assert (shown["failure_tolerance"], shown["group"]) == (3, "ops")
    assert curl(f"{base}/ci-1:{key}&every=1h&down_after=3h").body == '{"status":"OK"}'
    shown = json.loads(service.cli("monitor", "show", "ci-1", "--json"))
    assert (shown["schedule"], shown["every_seconds"], shown["down_after_seconds"]) == (None, 3600, 10800)
    for query in (
        "schedule=never",
        "down_after=-1s",
        "down_after=1",
        "failure_tolerance=many",
        "schedule=" + "9" * 5000,
    ):
        answer = curl(f"{base}/ci-1:{key}&{query}")
        assert (answer.status, "stay as they are" in answer.body) == (200, True), query
    after = json.loads(service.cli("monitor", "show", "ci-1", "--json"))
    for name in ("schedule", "every_seconds", "down_after_seconds", "failure_tolerance"):
        assert after[name] == shown[name]
    foreign = curl(f"{base}/job:{key}&down_after=9h")  # a monitor of the file, which the key merely opens
    assert (foreign.status, "not created with this ping key" in foreign.body) == (200, True)
    own = curl(f"{base}/job:{SECRET}?create=1&down_after=9h")
    assert (own.status, "not created with this ping key" in own.body) == (200, True)


def test_what_is_added_by_hand_works_at_once(service: Service) -> None:
    base = f"{service.url}/ext/heartbeat"
    key = service.cli("ping-key", "add", "hand", "--monitors", "j*").splitlines()[2].strip()
    assert curl(f"{base}/job:{key}").status == 200
    fresh = service.cli("ping-key", "rotate", "hand").splitlines()[2].strip()
    assert curl(f"{base}/job:{fresh}").status == 200
    eventually(lambda: fetch(f"{base}/job:{key}").status == 404)
    service.cli("ping-key", "remove", "hand")
    eventually(lambda: fetch(f"{base}/job:{fresh}").status == 404)
    token = service.cli("monitor", "token", "other").strip()
    assert curl(f"{service.url}/pulse/{token}").status == 202
    service.cli("monitor", "rotate-secret", "other")
    eventually(lambda: fetch(f"{service.url}/pulse/{token}").status == 404)
    assert curl(f"{service.url}/pulse/{service.cli('monitor', 'token', 'other').strip()}").status == 202


def test_a_reload_applies_credentials_and_switches(service: Service) -> None:
    base = f"{service.url}/ext/heartbeat"
    assert curl(f"{service.url}/pulse/SESAME-token-of-job").status == 202
    token = service.cli("monitor", "token", "other").strip()
    service.config.write_text(
        "dialects: {alertmanager: off}\nbuilt_in_tokens: off\n"
        + CONFIG.replace("SESAME-token-of-job", "SESAME-token-of-now").replace("SESAME-key-of-ops", "SESAME-key-of-now")
    )
    service.send(signal.SIGHUP)
    eventually(lambda: fetch(f"{service.url}/pulse/SESAME-token-of-now").status == 202)
    assert curl(f"{service.url}/pulse/SESAME-token-of-job").status == 404
    assert curl(f"{base}/job:SESAME-key-of-now").status == 200
    assert curl(f"{base}/job:SESAME-key-of-ops").status == 404
    assert curl(f"{service.url}/pulse/{token}").status == 404
    assert curl("-d", "{}", f"{service.url}/api/v1/alertmanager/job/{SECRET}").status == 404
    service.config.write_text("dialects: {pulse: off, native: off}\n" + CONFIG)
    service.send(signal.SIGHUP)
    eventually(lambda: curl("-d", "{}", f"{service.url}/api/v1/alertmanager/job/{SECRET}").status == 400)
    assert curl(f"{service.url}/pulse/SESAME-token-of-job").status == 404
    assert curl(f"{base}/job:{SECRET}").status == 404
    assert "SESAME" not in service.output()
