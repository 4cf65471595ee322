"""Reports arrive if they can, and neither a service that is down nor one that hangs delays the job's start or its end
beyond the budget.
"""

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.live.conftest import SECRET as LIVE_SECRET
from tests.live.conftest import Starter, eventually, monitors, start
from tests.live.test_ingest import rows
from tests.support.ports import free_port
from tests.support.receivers import (
    DRIPPING_BODY,
    DRIPPING_HEAD,
    Behaviour,
    Receiver,
    answer,
    garbage,
    reset,
    self_signed,
    silence,
)
from tests.support.runner import SECRET, Runner, sent, suffixes

pytestmark = pytest.mark.live
__all__ = ["start"]
FAILING = ("sh", "-c", "echo out; exit 3")


@contextmanager
def full_backlog() -> Iterator[str]:
    """A port whose connections are never established."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(server.getsockname())
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            for each in waiting:
                each.close()


def begun(runner: Runner, *options: str) -> subprocess.CompletedProcess[bytes]:
    return runner.run(*options, "job", "--", *FAILING)


@pytest.mark.parametrize("behaviour", [silence, DRIPPING_HEAD, DRIPPING_BODY, reset, garbage, answer(503)])
def test_a_service_in_trouble_costs_the_job_the_budget_at_most(
    runner: Runner, service: Receiver, behaviour: Behaviour
) -> None:
    service.behave(behaviour)
    before = time.monotonic()
    done = begun(runner, "--budget", "2s")
    assert (done.returncode, done.stdout) == (3, b"out\n")
    assert b"not reported" in done.stderr
    assert SECRET.encode() not in done.stderr
    assert time.monotonic() - before < 15  # the budget and a slow machine
    assert service.received


def test_a_service_that_accepts_no_connection(runner: Runner) -> None:
    with full_backlog() as url:
        runner.url = url
        before = time.monotonic()
        assert begun(runner, "--budget", "1s").returncode == 3
        assert time.monotonic() - before < 15


@pytest.mark.parametrize("behaviour", [silence, DRIPPING_HEAD, answer(503, Retry_After="3600")])
def test_the_job_starts_before_anything_is_sent(
    runner: Runner, service: Receiver, tmp_path: Path, behaviour: Behaviour
) -> None:
    """And its output passes while the service hangs."""
    service.behave(behaviour)
    go = tmp_path / "go"
    script = f"echo ready; while [ ! -e {go} ]; do sleep 0.05; done"
    process = runner.start("--budget", "1s", "job", "--", "sh", "-c", script, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    eventually(lambda: service.received)
    go.touch()
    assert process.wait(30) == 0
    process.stdout.close()


def test_a_service_that_is_down_for_a_moment(runner: Runner, service: Receiver) -> None:
    """Refused connections are tried again."""
    port = free_port()
    runner.url = f"http://127.0.0.1:{port}"
    process = runner.start("job", "--", *FAILING, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"out\n"  # the job is over, and nobody listens
    with Receiver(port=port) as late:
        assert process.wait(60) == 3
        assert suffixes(late.received)[-1] == "3"
        assert len({sent(each).rid for each in late.received}) == 1
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stdout.close()
    process.stderr.close()


def test_503_and_retry_after_are_obeyed(runner: Runner, service: Receiver) -> None:
    service.behave(answer(503, Retry_After="1"), answer(429, Retry_After="1"), answer())
    before = time.monotonic()
    assert begun(runner).returncode == 3
    assert time.monotonic() - before >= 2
    assert suffixes(service.received)[-1] == "3"
    assert len(service.received) <= 4


@pytest.mark.parametrize("pause", ["3600", "999999999999999999999999", "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_a_pause_beyond_the_budget_ends_the_trying_at_once(runner: Runner, service: Receiver, pause: str) -> None:
    service.behave(answer(503, Retry_After=pause))
    before = time.monotonic()
    done = begun(runner, "--budget", "5m")
    assert done.returncode == 3
    assert b"not reported: the service answered 503" in done.stderr
    assert time.monotonic() - before < 30
    assert len(service.received) <= 2


@pytest.mark.parametrize("pause", ["", "-5", "soon", "nan", "1e9", "Wed, 99 Foo 20 07:28", "٣"])
def test_a_pause_that_is_none(runner: Runner, service: Receiver, pause: str) -> None:
    service.behave(answer(503, Retry_After=pause), answer())
    done = begun(runner)
    assert (done.returncode, done.stderr) == (3, b"")
    assert suffixes(service.received)[-1] == "3"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 413])
def test_what_is_refused_is_not_tried_again(runner: Runner, service: Receiver, status: int) -> None:
    service.behave(answer(status))
    done = begun(runner)
    assert done.returncode == 3
    assert f"the service answered {status}".encode() in done.stderr
    assert len(service.received) <= 4  # the start, perhaps again at the end, and the end


def test_warnings_of_the_service_are_shown(runner: Runner, service: Receiver) -> None:
    service.behave(answer(200, json.dumps({"status": "OK", "warning": "rid is\nodd"})))
    assert b"heartbeat-run: job: the service warns: rid is odd\n" in begun(runner).stderr


def test_redirects_of_the_same_host_keep_method_and_body(runner: Runner, service: Receiver) -> None:
    with Receiver() as other:
        location = f"{other.url}/ext/heartbeat/job/3?rid=moved"
        for status in (301, 302, 303, 307, 308):
            service.behave(answer(status, Location=location))
            other.received.clear()
            assert begun(runner).returncode == 3
            assert sent(other.received[-1]).text.startswith("out\n")


@pytest.mark.parametrize("location", ["http://localhost:{port}/x", "ftp://127.0.0.1/x", "//localhost:{port}/x", ""])
def test_the_secret_goes_to_no_other_host(runner: Runner, service: Receiver, location: str) -> None:
    with Receiver() as other:
        service.behave(answer(302, Location=location.format(port=other.port)))
        done = begun(runner)
        assert done.returncode == 3
        assert b"not reported" in done.stderr
        assert other.received == []


def test_a_certificate_that_nobody_vouches_for(runner: Runner, tmp_path: Path) -> None:
    context, certificate = self_signed(tmp_path)
    with Receiver(tls=context) as receiver:
        runner.url = receiver.url
        done = begun(runner)
        assert (done.returncode, receiver.received) == (3, [])
        assert b"certificate verify failed" in done.stderr
        runner.environment["SSL_CERT_FILE"] = str(certificate)
        assert begun(runner).stderr == b""
        assert suffixes(receiver.received) == ["start", "3"]


def test_a_proxy_of_the_environment(runner: Runner, service: Receiver) -> None:
    runner.environment |= {"http_proxy": service.url, "no_proxy": ""}
    runner.url = "http://heartbeats.invalid"
    assert begun(runner).stderr == b""
    assert service.received[-1].target.startswith("http://heartbeats.invalid/ext/heartbeat/job/3?rid=")


def test_an_interrupt_while_reporting_ends_the_wrapper(runner: Runner, service: Receiver) -> None:
    service.behave(silence)
    process = runner.start("--budget", "10m", "job", "--", *FAILING, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    assert process.stdout.readline() == b"out\n"
    eventually(lambda: len(service.received) > 0)
    process.terminate()
    assert process.wait(30) == 3
    process.stdout.close()


# ── where reports go ─────────────────────────────────────────────────────────────────────────────────────────────────


def nothing(runner: Runner) -> None:
    """Not configured at all."""
    runner.environment |= {"HEARTBEAT_URL": "", "HEARTBEAT_SECRET": ""}


def by_file(runner: Runner) -> None:
    nothing(runner)
    folder = runner.folder / ".config" / "heartbeat"
    folder.mkdir(parents=True)
    (folder / "run.env").write_text(f"# for all\nexport HEARTBEAT_URL='{runner.url}/'\nHEARTBEAT_SECRET=other\n")
    (folder / "job.env").write_text(f'HEARTBEAT_SECRET="{SECRET}"\n')


def by_named_file(runner: Runner) -> None:
    nothing(runner)
    (runner.folder / "secret").write_text(f"{SECRET}\n")
    (runner.folder / "x.env").write_text(f"HEARTBEAT_URL={runner.url}\nHEARTBEAT_SECRET_FILE={runner.folder}/secret\n")
    runner.environment["HEARTBEAT_CONFIG"] = str(runner.folder / "x.env")


def by_credentials(runner: Runner) -> None:
    nothing(runner)
    (runner.folder / "heartbeat-url").write_text(f"{runner.url}\n")
    (runner.folder / "heartbeat-secret").write_text(f"{SECRET}\n")
    runner.environment["CREDENTIALS_DIRECTORY"] = str(runner.folder)


def by_ping_url(runner: Runner) -> None:
    nothing(runner)
    runner.environment["HEARTBEAT_URL"] = f"{runner.url}/ext/heartbeat/job:{SECRET}"


@pytest.mark.parametrize("configure", [by_file, by_named_file, by_credentials, by_ping_url])
def test_url_and_secret(runner: Runner, service: Receiver, configure: Callable[[Runner], None]) -> None:
    configure(runner)
    done = begun(runner)
    assert (done.returncode, done.stderr) == (3, b"")
    assert suffixes(service.received) == ["start", "3"]


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"HEARTBEAT_URL": ""}, "no URL is known"),
        ({"HEARTBEAT_SECRET": " "}, "no secret is known"),
        ({"HEARTBEAT_URL": "heartbeats.example.org"}, "is not a URL"),
        ({"HEARTBEAT_URL": "ftp://127.0.0.1"}, "is not a URL"),
        ({"HEARTBEAT_URL": "http://127.0.0.1:99999"}, "is not a URL"),
        ({"HEARTBEAT_URL": "http://[::1"}, "is not a URL"),
        ({"HEARTBEAT_URL": "http://127.0.0.1/a b"}, "is not a URL"),
        ({"HEARTBEAT_URL": "http://user:word@127.0.0.1"}, "is not a URL"),
        ({"HEARTBEAT_URL": "http://127.0.0.1/ext/heartbeat/other:x"}, "another monitor"),
        ({"HEARTBEAT_SECRET": "läuft"}, "cannot be sent"),
        ({"HEARTBEAT_CONFIG": "/nowhere"}, "/nowhere cannot be read: No such file"),
        ({"HEARTBEAT_SECRET": "", "HEARTBEAT_SECRET_FILE": "/nowhere"}, "/nowhere cannot be read"),
    ],
)
def test_a_mistake_is_named_and_the_job_runs(
    runner: Runner, service: Receiver, environment: dict[str, str], complaint: str
) -> None:
    runner.environment = environment
    done = begun(runner)
    assert (done.returncode, done.stdout) == (3, b"out\n")
    assert complaint in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
    assert service.received == []


def test_odd_tags(runner: Runner, service: Receiver) -> None:
    for tag, quoted in (("a b/c", "a%20b%2Fc"), ("läuft", "l%C3%A4uft"), ("a?b#c%", "a%3Fb%23c%25")):
        service.received.clear()
        assert runner.run("--lock", "--spool", str(runner.folder / "spool"), tag, "true").stderr == b""
        assert sent(service.received[1]).tag == quoted


def test_the_real_service(runner: Runner, start: Starter) -> None:
    service = start(monitors("job"))
    runner.url = service.url
    runner.environment["HEARTBEAT_SECRET"] = LIVE_SECRET
    assert (
        runner.run("job", "--", "sh", "-c", "echo first; head -c 100000 /dev/zero | tr '\\0' x; exit 3").stderr == b""
    )
    (start_kind, _, start_rid, _), (kind, code, rid, output) = rows(service, "job")
    assert (start_kind, kind, code, rid) == ("start", "failure", 3, start_rid)
    assert output.startswith("first\nxxx")
    assert "bytes are missing here" in output
    assert output.splitlines()[-1].startswith("[exit code 3 after ")
    assert service.status("job") == "DOWN"
