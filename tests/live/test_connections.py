"""Connections of all kinds against the running program: many, slow, silent, half-closed, and too few descriptors."""

import contextlib
import re
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.server.connection import READ_PATIENCE
from tests.live.conftest import ROOT, SECRET, Service, Starter, curl, eventually, monitors
from tests.support.ports import free_port
from tests.support.tools import need_tool

pytestmark = pytest.mark.live
BEAT = f"GET /ext/heartbeat/count:{SECRET} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def connect(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=20)


def all_of(connection: socket.socket) -> bytes:
    answer = b""
    while chunk := connection.recv(65536):
        answer += chunk
    return answer


def quick(service: Service, seconds: float = 5) -> None:
    """A heartbeat on a new connection is answered within `seconds`; on a machine that does nothing else, in some ms."""
    began = time.monotonic()
    with connect(service) as connection:
        connection.sendall(BEAT)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert time.monotonic() - began < seconds


def queue_of(port: int) -> list[tuple[str, int]]:
    """(address, backlog) of the sockets that listen on this port."""
    done = subprocess.run([need_tool("ss"), "-Hltn", f"sport = :{port}"], capture_output=True, text=True, check=True)
    return sorted((line.split()[3].rpartition(":")[0], int(line.split()[2])) for line in done.stdout.splitlines())


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("body", [b"", b"output"])
def test_a_client_that_half_closes_is_answered(shared: Service, times: int, body: bytes) -> None:
    request = (
        BEAT
        if not body
        else BEAT.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 6\r\n\r\n") + body
    )
    before = shared.received("count")
    for _ in range(20):
        with connect(shared) as connection:
            connection.sendall(times * request)
            connection.shutdown(socket.SHUT_WR)
            assert all_of(connection).count(b"HTTP/1.1 200 ") == times
    assert shared.received("count") == before + 20 * times


def test_nc_is_answered(shared: Service) -> None:
    command = [need_tool("nc"), "-N", "127.0.0.1", str(shared.port)]
    done = subprocess.run(command, input=BEAT, capture_output=True, timeout=20, check=False)
    assert done.stdout.startswith(b"HTTP/1.1 200 ")


def test_clients_that_leave_are_forgotten(shared: Service) -> None:
    for number in range(50):
        with connect(shared) as connection:
            connection.sendall(BEAT[: number * 3])
    eventually(lambda: shared.metrics()[("heartbeat_exporter_connections",)] <= 2)


@pytest.mark.parametrize("query", ["?msg=läuft", "?msg=läuft".encode("latin-1"), "?msg=all good", "?a=\x01"])
def test_raw_bytes_in_the_query_do_not_spoil_a_heartbeat(shared: Service, query: str | bytes) -> None:
    raw = query if isinstance(query, bytes) else query.encode()
    before = shared.received("count")
    with connect(shared) as connection:
        connection.sendall(BEAT.replace(SECRET.encode(), SECRET.encode() + raw))
        assert all_of(connection).startswith(b"HTTP/1.1 200 ")
    assert shared.received("count") == before + 1


@pytest.mark.parametrize("path", ["/ext/heartbeat/count:" + SECRET, "/-/healthy", "/metrics", "/"])
def test_irregular_requests_are_good_for_heartbeats_alone(shared: Service, path: str) -> None:
    with connect(shared) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n".encode())
        assert all_of(connection).split()[1] == (b"200" if "heartbeat/" in path else b"400")


@pytest.mark.parametrize("path", ["/ext/heartbeat/count:" + SECRET, "/-/healthy", "/api/v1/monitors", ""])
def test_absolute_targets_are_served(shared: Service, path: str) -> None:
    assert curl("--request-target", f"http://127.0.0.1:{shared.port}{path}", f"{shared.url}/").status == 200


def test_what_is_refused_is_counted_and_logged_once_a_minute(start: Starter) -> None:
    service = start(monitors("count"))
    bad = {
        "framing": BEAT[:-2] + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
        "request_line": b"GARBAGE " + SECRET.encode() + b"\r\n\r\n",
        "header": BEAT[:-2] + b"A: b\nC: d\r\n\r\n",
        "version": BEAT.replace(b"HTTP/1.1", b"HTTP/3.0"),
        "too_large": BEAT[:-2] + b"A: b\r\n" * 200 + b"\r\n",
    }
    for request in bad.values():
        for _ in range(5):
            with connect(service) as connection:
                connection.sendall(request)
                assert all_of(connection).split()[1][:1] == b"4"
    counts = service.metrics()
    assert {reason: counts["heartbeat_exporter_requests_refused_total", reason] for reason in bad} == dict.fromkeys(
        bad, 5
    )
    assert service.received("count") == 0
    assert service.output().count("refused a malformed request") == 1
    assert SECRET not in service.output()
    assert "Traceback" not in service.output()


def test_the_backlog_is_in_force_and_three_thousand_at_once_are_served(start: Starter) -> None:
    service = start(monitors("count"))
    most = int(Path("/proc/sys/net/core/somaxconn").read_text())
    assert queue_of(service.port) == [("127.0.0.1", min(4096, most))]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8000), hard))
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        service.send(19)  # SIGSTOP of the supervisor changes nothing; the clients come faster than they are taken
        service.send(18)
        clients = [stack.enter_context(socket.socket()) for _ in range(3000)]
        for client in clients:
            client.setblocking(False)
        late = 0
        for client in clients:
            began = time.monotonic()
            client.connect_ex(("127.0.0.1", service.port))
            client.settimeout(20)
            client.sendall(BEAT)
            late += time.monotonic() - began > 0.5
        assert late == 0
        for client in clients:
            assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert service.received("count") == 3000


@pytest.fixture
def addressed(tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize(
    ("host", "listens"),
    [("", ["0.0.0.0", "[::]"]), ("[::]", ["0.0.0.0", "[::]"]), ("[::1]", ["[::1]"]), ("0.0.0.0", ["0.0.0.0"])],
)
def test_addresses(tmp_path: Path, addressed: list[subprocess.Popen[bytes]], host: str, listens: list[str]) -> None:
    port = free_port()
    command = [sys.executable, "-m", "exporter", "serve", "--storage.url", f"sqlite:///{tmp_path}/a.db"]
    command += ["--web.listen-address", f"{host}:{port}"]
    addressed.append(subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL))
    callable_at = {"[::]": "[::1]", "0.0.0.0": "127.0.0.1"}
    for address in listens:
        url = f"http://{callable_at.get(address, address)}:{port}/-/ready"
        eventually(lambda url=url: curl("-g", url).status == 200)
    assert [address for address, _ in queue_of(port)] == listens


def limited(service: Service, descriptors: int) -> None:
    """Started again with so many descriptors, and no way to have more."""
    service.stop()
    service.process = service._start((need_tool("prlimit"), f"--nofile={descriptors}:{descriptors}"))
    service.ready()


@pytest.mark.parametrize("part", [b"", b"GET /ext/heartbeat/count HTTP/1.1\r\nA: ", BEAT])
def test_heartbeats_go_on_when_idle_connections_take_all_descriptors(start: Starter, part: bytes) -> None:
    service = start(monitors("count"))
    limited(service, 256)
    with contextlib.ExitStack() as stack:
        for number in range(1500):
            client = stack.enter_context(connect(service))
            with contextlib.suppress(ConnectionError):
                client.sendall(part)
            if number % 250 == 249:
                quick(service)
        assert service.metrics()[("heartbeat_exporter_connections",)] <= 200
        assert service.metrics()["heartbeat_exporter_connections_dropped_total", "limit"] > 1000
    assert len(service.output()) < 20_000
    assert "Traceback" not in service.output()


def test_unfinished_header_fields_take_no_memory_to_speak_of(start: Starter) -> None:
    service = start(monitors("count"))

    def resident() -> int:
        return int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{service.worker()}/status").read_text())[0])

    before = resident()
    head = BEAT[:-2] + 98 * (b"A: " + 8000 * b"x" + b"\r\n")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(service)) for _ in range(300)]

        def send(some: list[socket.socket]) -> None:
            for client in some:
                with contextlib.suppress(OSError):
                    client.sendall(head)

        threads = [threading.Thread(target=send, args=(clients[start::4],)) for start in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(5):
            quick(service)
        for thread in threads:
            thread.join(60)
        assert resident() - before < 60_000
    eventually(lambda: service.metrics()["heartbeat_exporter_requests_refused_total", "too_large"] == 300)


def test_header_fields_that_never_end(shared: Service) -> None:
    with connect(shared) as connection:
        connection.sendall(BEAT[:-2])
        began = time.monotonic()
        assert all_of(connection).startswith(b"HTTP/1.1 408 ")
        assert 8 < time.monotonic() - began < 15


def test_a_slow_job_may_stream_its_output(shared: Service) -> None:
    """Longer than a stalled sender is waited for, with pauses."""
    before = shared.received("count")
    with connect(shared) as connection:
        head = BEAT.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.sendall(head)
        for _ in range(2):
            threading.Event().wait(4.5)
            connection.sendall(b"3\r\nabc\r\n")
        assert shared.received("count") == before
        connection.sendall(b"0\r\n\r\n")
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"warning" not in answer


def test_clients_that_ask_for_much_and_never_read_are_closed(start: Starter) -> None:
    """One large answer, or many small ones; one that reads slowly is served to the end."""
    tags = [f"job-with-a-long-name-{number:04}" for number in range(5000)]
    service = start(monitors("count", *tags))
    scrape = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: %b\r\n\r\n"
    size = len(curl(f"{service.url}/metrics").body)
    assert size > 5_000_000
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.socket()) for _ in range(3)]
        for client in clients[:2]:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for client in clients:
            client.settimeout(20)
            client.connect(("127.0.0.1", service.port))
        large, many, slow = clients
        began = time.monotonic()
        large.sendall(scrape % b"close")
        many.sendall(100 * (scrape % b"keep-alive"))
        slow.sendall(scrape % b"close")

        def dropped() -> bool:
            return service.metrics()["heartbeat_exporter_connections_dropped_total", "not_reading"] == 2

        read = len(slow.recv(65536))
        while not dropped():
            assert time.monotonic() < began + READ_PATIENCE + 20
            read += len(slow.recv(65536))
            threading.Event().wait(1.0)
        assert time.monotonic() - began > READ_PATIENCE - 1
        read += len(all_of(slow))
        assert read > size - 10_000
        for client in (large, many):
            with pytest.raises(ConnectionResetError):
                all_of(client)
    quick(service)
    eventually(lambda: service.metrics()[("heartbeat_exporter_connections",)] <= 2)
    assert "not reading" in service.output()
    assert "Traceback" not in service.output()


def test_gunicorns_own_protocol_still_works(start: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTBEAT_EXPORTER_STOCK_PROTOCOL", "1")
    service = start(monitors("count"))
    assert service.ping("count").status == 200
    assert service.ping("count", "", "-d", "output").status == 200
    assert curl(f"{service.url}/").status == 200
    assert service.received("count") == 2
    assert service.stop() == 0
