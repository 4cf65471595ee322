"""Every ping protocol on the real program: by curl as crontabs have it, and by the real clients where there are any."""

import json
import os
import subprocess
import threading
from pathlib import Path

import pytest

from exporter.ingest.dialects import DIALECTS
from tests.live.conftest import ROOT, SECRET, Answer, Service, Starter, curl, eventually
from tests.support.tools import need_tool

pytestmark = pytest.mark.live

UUID = "0b6f9d3a-1111-4222-8333-0123456789ab"
TOKEN = "SESAME-token-of-job"
KEY = "SESAME-key-that-creates"
CONFIG = f"""
ping_keys:
  - {{name: maker, key: {KEY}, monitors: [job, "new-*"], create: {{every: 1d}}, max_monitors: 20}}
  - {{name: narrow, key: SESAME-narrow-key, monitors: [other]}}
monitors:
  - {{tag: job, secret: {SECRET}, tokens: [{UUID}, {TOKEN}]}}
  - {{tag: other, secret: SESAME-other-secret}}
"""
CLIENTS = Path(os.environ.get("CLIENTS", ROOT / ".clients"))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> "Service":
    service = Service(tmp_path_factory.mktemp("dialects"), CONFIG).ready()
    yield service
    service.kill()


class Counter:
    """What one dialect has recorded and rejected since it was made."""

    def __init__(self, service: Service, dialect: str) -> None:
        self._service, self._dialect = service, dialect
        self._before = self._counts()

    def _counts(self) -> dict[tuple[str, ...], float]:
        return {
            key: value
            for key, value in self._service.metrics().items()
            if key[0].startswith("heartbeat_exporter_heartbeats_") and key[1] == self._dialect
        }

    def recorded(self) -> dict[str, float]:
        """By kind."""
        return self._changes("heartbeat_exporter_heartbeats_total")

    def rejected(self) -> dict[str, float]:
        """By reason."""
        return self._changes("heartbeat_exporter_heartbeats_rejected_total")

    def _changes(self, name: str) -> dict[str, float]:
        now = self._counts()
        changes = {key[2]: value - self._before.get(key, 0) for key, value in now.items() if key[0] == name}
        return {key: change for key, change in changes.items() if change}


def output(service: Service, tag: str = "job") -> list[str]:
    """The outputs that are kept, the newest first."""
    beats = json.loads(curl(f"{service.url}/api/v1/monitors/{tag}/heartbeats").body)
    return [beat["output"] for beat in beats["heartbeats"]]


def check(answers: dict[tuple[str, ...], tuple[int, str]]) -> list[Answer]:
    """Runs curl with each, and compares status and body."""
    answered = []
    for arguments, (status, body) in answers.items():
        answer = curl(*arguments)
        assert (answer.status, answer.body) == (status, body), arguments
        answered.append(answer)
    return answered


def client(*command: str) -> None:
    """Runs a script with the clients' Python, or with node."""
    python = CLIENTS / "bin" / "python"
    if not python.exists():
        if os.environ.get("CI") == "true":
            pytest.fail("the clients are missing, and in CI nothing is skipped: make clients")
        pytest.skip("the clients are not installed: make clients")
    script = str(ROOT / "tests" / "live" / "clients" / command[0])
    program = need_tool("node") if script.endswith(".js") else str(python)
    environment = {**os.environ, "NODE_PATH": str(CLIENTS / "node_modules"), "NO_PROXY": "*", "no_proxy": "*"}
    done = subprocess.run(
        [program, script, *command[1:]], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_healthchecks(service: Service) -> None:
    base, counter = f"{service.url}/ping", Counter(service, "healthchecks")
    rid = "rid=11111111-2222-4333-8444-555555555555"
    good = check(
        {
            (f"{base}/{UUID}",): (200, "OK"),
            (f"{base}/{UUID.upper()}/start?{rid}",): (200, "OK"),
            ("-d", "disk full", f"{base}/{KEY}/job/1?{rid}"): (200, "OK"),
            (f"{base}/{SECRET}/job/log",): (200, "OK"),
            (f"{base}/{KEY}/new-hc?create=1",): (201, "Created"),
            (f"{base}/{KEY}/new-hc?create=1&again",): (200, "OK"),
        }
    )
    assert {answer.header("ping-body-limit") for answer in good} == {"10000"}
    assert {answer.header("access-control-allow-origin") for answer in good} == {"*"}
    assert curl("-I", f"{base}/{UUID}/").status == 200
    assert curl("-X", "OPTIONS", f"{base}/{UUID}").status == 204
    check(
        {
            (f"{base}/{UUID}/256",): (400, "invalid url format"),
            (f"{base}/{UUID}?rid=1",): (400, "invalid uuid format"),
            (f"{base}/{KEY}/new-hc-2?create=1&rid=1",): (400, "invalid uuid format"),
            (f"{base}/{KEY}/nobody",): (404, "not found"),
            (f"{base}/SESAME-narrow-key/job",): (404, "not found"),
            (f"{base}/{UUID}/" + "x" * 7000,): (404, "not found"),
        }
    )
    assert curl(f"{base}/{KEY}/elsewhere?create=1").status == 403
    assert curl("-X", "DELETE", f"{base}/{UUID}").header("allow") == "GET, POST, HEAD, OPTIONS"
    assert counter.recorded() == {"success": 4, "start": 1, "failure": 1, "log": 1}
    assert counter.rejected() == {"invalid": 3, "unknown_tag": 2, "wrong_secret": 1, "creation_refused": 1}
    assert "new-hc-2" not in service.cli("monitor", "list")
    client("ping_healthchecks.py", service.url, UUID, KEY)


def test_uptime_kuma(service: Service) -> None:
    base, counter = f"{service.url}/api/push", Counter(service, "uptime_kuma")
    check(
        {
            (f"{base}/{TOKEN}?status=up&msg=OK&ping=12.5",): (200, '{"ok":true}'),
            ("-X", "PUT", f"{base}/{TOKEN}?status=down&msg=disk%20full"): (200, '{"ok":true}'),
            (f"{base}/wrong",): (404, '{"ok": false, "msg": "Monitor not found or not active."}'),
        }
    )
    assert output(service)[:2] == ["disk full", "OK\nping: 12.5 ms"]
    assert counter.recorded() == {"success": 1, "failure": 1}
    assert counter.rejected() == {"unknown_token": 1}


def test_gatus(service: Service) -> None:
    base, counter = f"{service.url}/api/v1/endpoints", Counter(service, "gatus")
    bearer = ("-X", "POST", "-H", f"Authorization: Bearer {TOKEN}")
    check(
        {
            (*bearer, f"{base}/_job/external?success=true&duration=1m30s"): (200, ""),
            (*bearer, f"{base}/job/external?success=false&error=no%20route"): (200, ""),
            (*bearer, f"{base}/job/external"): (400, "missing or invalid success query parameter"),
            (*bearer, f"{base}/other/external?success=true"): (404, "not found"),
            ("-X", "POST", f"{base}/job/external?success=true"): (401, "invalid Authorization header"),
            ("-X", "POST", "-H", "Authorization: Bearer no", f"{base}/job/external?success=true"): (
                401,
                "invalid token",
            ),
        }
    )
    assert output(service)[0] == "no route"
    assert counter.recorded() == {"success": 1, "failure": 1}


def test_better_stack(service: Service) -> None:
    base, counter = f"{service.url}/api/v1/heartbeat", Counter(service, "better_stack")
    check(
        {
            (f"{base}/{TOKEN}",): (200, "OK"),
            ("-d", "disk full", f"{base}/{TOKEN}/3"): (200, "OK"),
            (f"{base}/{TOKEN}/fail",): (200, "OK"),
            (f"{base}/wrong",): (404, "not found"),
        }
    )
    assert curl("-I", f"{base}/{TOKEN}").status == 200
    assert curl(f"{base}/{TOKEN}/fial").status == 404
    assert counter.recorded() == {"success": 2, "failure": 2}


def test_dead_mans_snitch(service: Service) -> None:
    base, counter = f"{service.url}/snitch", Counter(service, "dead_mans_snitch")
    check(
        {
            (f"{base}/{TOKEN}",): (202, "Got it, thanks!"),
            ("-d", "m=42 files", "-d", "s=0", f"{base}/{TOKEN}"): (202, "Got it, thanks!"),
            ("-d", "s=7", f"{base}/{TOKEN}"): (202, "Got it, thanks!"),
            (f"{base}/{TOKEN}?m=disk%20full&s=1",): (202, "Got it, thanks!"),
            (f"{base}/wrong",): (404, "not found"),
        }
    )
    assert output(service)[:3] == ["disk full", "", "42 files"]
    assert counter.recorded() == {"success": 2, "failure": 2}


def test_cronitor(service: Service) -> None:
    counter = Counter(service, "cronitor")
    check(
        {
            (f"{service.url}/p/{KEY}/job?state=run&stamp=1000",): (200, "OK"),
            (f"{service.url}/p/{KEY}/job/complete?stamp=1090",): (200, "OK"),
            (f"{service.url}/ping/{SECRET}/job?state=fail&message=disk+full",): (200, "OK"),
            (f"{service.url}/p/{KEY}/new-curl?state=ok",): (200, "OK"),
            (f"{service.url}/p/wrong/job",): (404, "not found"),
        }
    )
    assert service.metrics()["heartbeat_last_duration_seconds", "job"] == 90
    assert output(service)[0] == "disk full"
    assert service.received("new-curl") == 1
    assert curl(f"{service.url}/p/{KEY}/job?state=fial").status == 400
    assert curl(f"{service.url}/p/{KEY}/elsewhere").status == 403
    assert counter.recorded() == {"start": 1, "success": 2, "failure": 1}
    client("ping_cronitor.py", service.url, KEY)
    assert service.received("new-cronitor") == 7
    assert "ümläut & more" in output(service, "new-cronitor")
    client("ping_cronitor.js", service.url, KEY)
    assert service.received("new-node") == 5
    assert service.metrics()["heartbeat_last_duration_seconds", "new-node"] == 90


def test_opsgenie(service: Service) -> None:
    url, counter = f"{service.url}/v2/heartbeats/job/ping", Counter(service, "opsgenie")
    for arguments in (
        ("-H", f"Authorization: GenieKey {KEY}", url),
        ("-X", "PATCH", "-u", f":{SECRET}", url),
        (f"{url}?apiKey={KEY}",),
    ):
        answer = curl(*arguments)
        assert answer.status == 202
        assert json.loads(answer.body)["result"] == "PONG - Heartbeat received"
    assert curl(url).status == 401
    assert curl("-u", ":SESAME-narrow-key", url).status == 404
    assert curl("-u", f":{KEY}", f"{service.url}/v2/heartbeats/elsewhere/ping").status == 403
    assert counter.recorded() == {"success": 3}
    client("ping_opsgenie.py", service.url, KEY)
    assert service.received("new-opsgenie") == 2


def test_sentry(service: Service) -> None:
    counter = Counter(service, "sentry")
    cron = f"{service.url}/api/42/cron"
    config = {"schedule": {"type": "interval", "value": 2, "unit": "hour"}, "checkin_margin": 3}
    body = json.dumps({"status": "in_progress", "check_in_id": UUID, "monitor_config": config})
    check(
        {
            (f"{cron}/job/{SECRET}/?status=ok",): (202, ""),
            ("-X", "POST", f"{cron}/job/{KEY}?status=error"): (202, ""),
            ("-H", "Content-Type: application/json", "-d", body, f"{cron}/new-cron/{KEY}/"): (202, ""),
            (f"{cron}/new-cron/{KEY}/?status=ok&check_in_id={UUID}&duration=1.5",): (202, ""),
        }
    )
    assert curl(f"{cron}/nobody/{KEY}/?status=ok").status == 403
    assert counter.recorded() == {"success": 2, "failure": 1, "start": 1}
    assert "2h" in service.cli("monitor", "show", "new-cron")
    metrics = service.metrics()
    assert metrics["heartbeat_degraded_after_seconds", "new-cron"] == 0
    assert metrics["heartbeat_down_after_seconds", "new-cron"] == 180
    client("ping_sentry.py", service.url.removeprefix("http://"), KEY)
    eventually(lambda: counter.recorded() == {"success": 4, "failure": 2, "start": 4})
    shown = service.cli("monitor", "show", "new-sentry")
    assert all(text in shown for text in ("0 3 * * *", "Europe/Rome", "30m"))
    metrics = service.metrics()
    assert metrics["heartbeat_down_after_seconds", "new-sentry"] == 420
    assert metrics["heartbeat_last_duration_seconds", "job"] == 12.5
    assert "environment: staging" in output(service)


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        (f"/ping/{KEY}/TAG?create=1", "GET", {200, 201}),
        (f"/p/{KEY}/TAG?state=ok", "GET", {200}),
        (f"/v2/heartbeats/TAG/ping?apiKey={KEY}", "POST", {202}),
        (f"/api/1/cron/TAG/{KEY}/", "POST", {202}),
    ],
)
def test_many_first_heartbeats_at_once_make_one_monitor(
    service: Service, path: str, method: str, status: set[int]
) -> None:
    tag = f"new-{path.strip('/').split('/')[0]}-at-once"
    check_in = ("-H", "Content-Type: application/json", "-d", '{"status":"ok","monitor_config":{}}')
    body = check_in if "cron" in path else ()
    url = f"{service.url}{path.replace('TAG', tag)}"
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(curl("-X", method, *body, url).status)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert set(answers) <= status
    assert service.received(tag) == 8
    assert service.cli("monitor", "list").count(tag) == 1


GOOD = [
    ("/ping/{token}", 200),
    ("/api/push/{token}", 200),
    ("/api/v1/endpoints/job/external?success=true", 200),
    ("/api/v1/heartbeat/{token}", 200),
    ("/snitch/{token}", 202),
    ("/p/{key}/job", 200),
    ("/v2/heartbeats/job/ping?apiKey={key}", 202),
    ("/api/1/cron/job/{key}/?status=ok", 202),
]


@pytest.mark.parametrize(("path", "status"), GOOD)
def test_what_clumsy_senders_send(service: Service, path: str, status: int) -> None:
    url = service.url + path.replace("{token}", TOKEN).replace("{key}", KEY)
    joint = "&" if "?" in url else "?"
    bearer = f"Authorization: Bearer {TOKEN}"
    big = b"x" * 3_000_000 + b"the end"
    for arguments, body in (
        (("--data-binary", "@-", url), big),
        (("-H", "Transfer-Encoding: chunked", "--data-binary", "@-", url), big),
        (("--data-binary", "@-", f"{url}{joint}%ff%fe&&=&junk"), b"\xff\xfe\0"),
        (("--data-binary", "@-", f"{url}{joint}note=l\u00e4uft"), b""),
    ):
        before = service.received("job")
        assert curl("-X", "POST", "-H", bearer, *arguments, input=body).status == status, arguments
        assert service.received("job") == before + 1
    wrong = service.url + path.replace("{token}", "SESAME-wrong").replace("{key}", "SESAME-wrong")
    post = ("-X", "POST", "-H", "Authorization: Bearer SESAME-wrong")
    for arguments in ((wrong,), ("--data-binary", "@-", wrong), (f"{wrong}{joint}" + "y" * 7000,)):
        assert curl(*post, *arguments, input=big).status in (401, 403, 404)
    assert curl(f"{service.url}{path.partition('{')[0]}/" + "z" * 10_000).status in (404, 414)


def test_no_secret_is_in_the_log(service: Service) -> None:
    """Comes last: of everything that the tests above have sent."""
    assert "SESAME" not in service.output()
    assert UUID not in service.output().lower()


def test_each_can_be_switched_off(start: Starter) -> None:
    names = [make.name for make in DIALECTS if make.name != "native"]
    switches = ", ".join(f"{name}: off" for name in names)
    off = start(f"dialects: {{{switches}}}\n{CONFIG}")
    for path, _ in GOOD:
        url = off.url + path.replace("{token}", TOKEN).replace("{key}", KEY)
        assert curl("-X", "POST", "-H", f"Authorization: Bearer {TOKEN}", url).status == 404
    assert curl(f"{off.url}/ext/heartbeat/job:{KEY}").status == 200
    assert off.received("job") == 1
