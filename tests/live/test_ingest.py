"""Heartbeats by real curl and by bare sockets: what counts, what does not, and what the sender is told."""

import contextlib
import http.client
import json
import re
import socket
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.live.conftest import SECRET, Service, curl, eventually

pytestmark = pytest.mark.live


def rows(service: Service, tag: str) -> list[tuple[str, int | None, str, str]]:
    """(kind, exit code, rid, output) of the log, oldest first."""
    with closing(sqlite3.connect(service.storage.removeprefix("sqlite:///"))) as database:
        found = database.execute(
            "SELECT kind, exit_code, rid, output FROM heartbeats h JOIN monitors m ON m.id = h.monitor_id "
            "WHERE tag = ? ORDER BY h.id",
            (tag,),
        ).fetchall()
    return [tuple(row) for row in found]


@pytest.mark.parametrize("method", [["-X", "GET"], ["-X", "POST"], ["-I"], ["-d", "output"]])
@pytest.mark.parametrize(
    ("path", "bearer"),
    [
        (f"job:{SECRET}", False),
        (f"job%3A{SECRET}", False),
        (f"job%3a{SECRET}/", False),
        (f"job/{SECRET}", False),
        (f"job/{SECRET}/", False),
        ("job", True),
        ("job/", True),
    ],
)
def test_every_form_and_method(shared: Service, path: str, bearer: bool, method: list[str]) -> None:
    before = shared.received("job")
    header = ["-H", f"Authorization: Bearer {SECRET}"] if bearer else []
    answer = curl(*method, *header, f"{shared.url}/ext/heartbeat/{path}")
    assert answer.status == 200
    assert answer.body.strip() == ("" if method == ["-I"] else '{"status":"OK"}')
    assert answer.header("content-type") == "application/json"
    assert shared.received("job") == before + 1


@pytest.mark.parametrize("form", ["job:{}", "job%3A{}", "job/{}", "job"])
@pytest.mark.parametrize(
    ("suffix", "kind", "exit_code"),
    [
        ("", "success", None),
        ("/start", "start", None),
        ("/fail", "failure", None),
        ("/log", "log", None),
        ("/0", "success", 0),
        ("/3", "failure", 3),
        ("/256", "failure", 256),
        ("/-1", "failure", -1),
        ("/4294967295", "failure", 4294967295),
        ("/3221225786/", "failure", 3221225786),
    ],
)
def test_suffixes(shared: Service, form: str, suffix: str, kind: str, exit_code: int | None) -> None:
    before = shared.metrics()
    header = ["-H", f"authorization: bearer {SECRET}"] if form == "job" else []
    answer = curl(*header, "-d", "said", f"{shared.url}/ext/heartbeat/{form.format(SECRET)}{suffix}?rid=r-1")
    assert answer.body == '{"status":"OK"}'
    assert rows(shared, "job")[-1] == (kind, exit_code, "r-1", "said")
    after = shared.metrics()
    for name, counts in (("received", True), ("failures", kind == "failure"), ("starts", kind == "start")):
        key = f"heartbeat_{name}_total", "job"
        assert after[key] == before[key] + counts


@pytest.mark.parametrize("exit_code", ["9" * 40, "-" + "9" * 40])
def test_a_huge_exit_code_is_a_failure_without_one(shared: Service, exit_code: str) -> None:
    assert "exit code" in json.loads(shared.ping("job", f"/{exit_code}").body)["warning"]
    assert rows(shared, "job")[-1][:2] == ("failure", None)


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("rid=a&rid=b", "a"),
        ("rid=%ff", ""),
        ("rid=" + "x" * 65, ""),
        ("rid=", ""),
        ("rid=a+b", ""),
        ("rid=a%00", ""),
        ("rid=%C3%A9", ""),
    ],
)
def test_what_cannot_be_used_is_named(shared: Service, query: str, kept: str) -> None:
    answer = shared.ping("job", f"/start?{query}")
    assert answer.status == 200
    assert "rid" in json.loads(answer.body)["warning"]
    assert rows(shared, "job")[-1][:3] == ("start", None, kept)


@pytest.mark.parametrize("query", ["", "a=%zz&&;=", "rid", "x=" + "y" * 5000, "%00=%00"])
def test_no_parameter_spoils_a_heartbeat(shared: Service, query: str) -> None:
    assert shared.ping("job", f"?{query}").status == 200


@pytest.mark.parametrize(
    "header",
    [
        "Accept: ;;;q=x",
        "Content-Type: nonsense/\x01",
        "Authorization: Basic eDp5",
        "Authorization: Bearer wrong",
        "Accept-Encoding: \u00e9",
        "X-Forwarded-For: nobody, 1.2.3.4.5",
        "Range: bytes=0-1",
        "If-None-Match: *",
        "Expect: something",
        "Cookie: " + "c" * 4000,
    ],
)
def test_no_header_spoils_a_heartbeat(shared: Service, header: str) -> None:
    assert shared.ping("job", "", "-H", header).status == 200
    assert shared.ping("job", "", "-H", "Accept: ;;;q=x").status == 200


def test_an_offer_to_upgrade_is_passed_over(shared: Service) -> None:
    offer = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    offer.append("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    before = shared.received("job")
    assert shared.ping("job", "", *(part for header in offer for part in ("-H", header))).status == 200
    assert shared.received("job") == before + 1
    assert "[error" not in shared.output()


def test_bodies(shared: Service, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(b"x" * 3_000_000)
    for more in ([], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect:"]):
        answer = shared.ping("cut", "", "--data-binary", f"@{big}", *more)
        assert answer.status == 200
        assert "10 kB" in json.loads(answer.body)["warning"]
        line = "[… 2,990,000 bytes are missing here …]"
        assert rows(shared, "cut")[-1][3] == f"{'x' * 1_000}\n{line}\n{'x' * 9_000}"
    odd = tmp_path / "odd"
    odd.write_bytes(b"a\0b\xff\xfec\r\n\xf0\x9f\x99\x82")
    assert shared.ping("cut", "/fail", "--data-binary", f"@{odd}").body == '{"status":"OK"}'
    assert rows(shared, "cut")[-1][3] == "a\ufffdb\ufffd\ufffdc\r\n\U0001f642"
    assert shared.received("cut") == 4
    assert shared.ping("cut", "", "--data-binary", "").body == '{"status":"OK"}'
    assert rows(shared, "cut")[-1][3] == ""
    big.write_bytes(b"x" * 20_000_000)  # more than is read: the connection is given up, but not before the answer
    assert shared.ping("cut", "", "--data-binary", f"@{big}", "-H", "Expect:").status == 200


@pytest.mark.parametrize("path", [f"job/{SECRET}", f"job/{SECRET}/", f"job:{SECRET}"])
def test_a_secret_in_the_path_and_in_a_header(shared: Service, path: str) -> None:
    for suffix, kind in (("", "success"), ("/fail", "failure")):
        path = path.rstrip("/") + suffix
        answer = curl("-H", f"Authorization: Bearer {SECRET}", f"{shared.url}/ext/heartbeat/{path}")
        assert (answer.status, answer.body) == (200, '{"status":"OK"}')
        assert rows(shared, "job")[-1][0] == kind


def test_unknown_tag_wrong_secret_and_no_secret_are_answered_alike(shared: Service) -> None:
    before = shared.metrics()
    answers = [
        curl(f"{shared.url}/ext/heartbeat/{path}")
        for path in ("nobody:x", "job:wrong", "job:", "job", "job/", f"nobody/{SECRET}/fail", "%00:%00", "%ff:%fe", ":")
    ]
    headers = {"\n".join(line for line in one.headers.splitlines() if not line.startswith("Date")) for one in answers}
    assert {(one.status, one.body) for one in answers} == {
        (404, '{"error":"there is no monitor with this tag and secret"}')
    }
    assert len(headers) == 1
    wrong = ("-H", "Authorization: Bearer wrong")
    for more in ((), ("-d", "output"), ("-I",), wrong):
        heads = {
            re.sub("(?im)^date:.*", "", curl(*more, f"{shared.url}/ext/heartbeat/{path}").headers)
            for path in ("nobody:x", "job:wrong", "nobody", "job", "job/", "nobody/x/start", "job/wrong/start")
        }
        assert len(heads) == 1
        assert "404" in heads.pop()
    after = shared.metrics()
    name = "heartbeat_exporter_heartbeats_rejected_total"
    assert after[name, "native", "wrong_secret"] - before[name, "native", "wrong_secret"] == 4 + 4 * 4
    assert after[name, "native", "unknown_tag"] - before[name, "native", "unknown_tag"] == 5 + 4 * 3


def test_an_unknown_suffix_is_no_heartbeat(shared: Service) -> None:
    before = shared.received("job")
    answer = shared.ping("job", "/fial")
    assert answer.status == 404
    assert "/fail" in json.loads(answer.body)["error"]
    assert shared.received("job") == before


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_other_methods_are_no_heartbeats(shared: Service, method: str) -> None:
    before = shared.received("job")
    answer = shared.ping("job", "", "-X", method)
    assert answer.status == 405
    assert set((answer.header("allow") or "").split(", ")) == {"GET", "HEAD", "POST"}
    assert shared.received("job") == before


def test_a_tag_of_ten_kilobytes(shared: Service) -> None:
    assert shared.ping("x" * 10_000).status in (404, 414)


def raw(service: Service, request: bytes) -> bytes:
    """What comes back until the connection is closed; after a silence we close our side of it."""
    answer = b""
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(request)
        connection.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while chunk := connection.recv(65536):
                answer += chunk
            return answer
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(10)
        while chunk := connection.recv(65536):
            answer += chunk
        return answer


@pytest.mark.parametrize(
    "request_",
    [
        b"GARBAGE\r\n\r\n",
        b"GET /ext/heartbeat/never:%b\xff HTTP/1.1\r\nHost: x\r\n\r\n" % SECRET.encode(),
        b"GET /ext/heartbeat/never:%b HTTP/9.9\r\nHost: x\r\n\r\n" % SECRET.encode(),
        b"POST /ext/heartbeat/never:%b HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n" % SECRET.encode(),
        b"GET /ext/heartbeat/never:%b HTTP/1.1\r\nHost: x\r\n%b\r\n" % (SECRET.encode(), b"X: y\r\n" * 200),
        b"POST /ext/heartbeat/never:%b HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"
        % SECRET.encode(),
        b"POST /ext/heartbeat/never:%b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\n" % SECRET.encode(),
        b"GET /ext/heartbeat/never:%b \r\nHost: x\r\n\r\n" % SECRET.encode(),
        b"FOO /ext/heartbeat/never:%b HTTP/1.1\r\nHost: x\r\n\r\n" % SECRET.encode(),
        "GET /ext/heartbeat/never:%s\u00e9 HTTP/1.1\r\nHost: x\r\n\r\n".replace("%s", SECRET).encode(),
        b"POST /ext/heartbeat/never:%b HTTP/1.1\r\nHost: x\r\nContent-Length: %b\r\n\r\n"
        % (SECRET.encode(), b"9" * 5000),
        b"POST /ext/heartbeat/never:%b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n" % SECRET.encode(),
        b"\0" * 100,
        b"",
    ],
)
def test_what_is_not_http_is_no_heartbeat_and_hurts_nobody(shared: Service, request_: bytes) -> None:
    answer = raw(shared, request_)
    assert answer == b"" or answer.split()[1][:1] == b"4"
    assert shared.received("never") == 0


def test_a_sender_that_leaves_in_the_middle_of_its_body_has_still_sent_its_signal(shared: Service) -> None:
    before = shared.received("count")
    with socket.create_connection(("127.0.0.1", shared.port), timeout=10) as connection:
        head = f"POST /ext/heartbeat/count:{SECRET}/fail HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\nbeginning"
        connection.sendall(head.encode())
    eventually(lambda: shared.received("count") == before + 1)
    assert rows(shared, "count")[-1][::3] == ("failure", "beginning")


def test_a_sender_that_stalls_in_its_body_is_answered(shared: Service) -> None:
    before, began = shared.received("count"), time.monotonic()
    good = f"/ext/heartbeat/count:{SECRET} HTTP/1.1\r\nHost: x\r\n"
    with socket.create_connection(("127.0.0.1", shared.port), timeout=10) as connection:
        connection.sendall(f"POST {good}Content-Length: 500\r\n\r\nbeginning".encode())
        answer = connection.recv(65536)
        assert time.monotonic() - began < 5.5
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"warning" in answer
        # What comes too late belongs to that body, and must not be taken for a request.
        with contextlib.suppress(ConnectionError):
            connection.sendall(f"GET {good}\r\n".encode())
            assert connection.recv(65536) == b""
    assert shared.received("count") == before + 1
    assert rows(shared, "count")[-1][3] == "beginning"


@pytest.mark.parametrize(
    "body",
    [
        b"3\r\nabc\r\nzz\r\nrest\r\n",
        b"3\r\nabc\r\n-5\r\nrest\r\n",
        b"3\r\nabc\r\n0x5\r\nthese\r\n",
        b"3\r\nabcdef\r\n0\r\n\r\n",
        b"3\r\nabc\n0\r\n\r\n",
        b"3\r\nabc\r\n0\n\n",
        b"3\r\nabc\r\n" + b"0" * 5000 + b"\r\n\r\n",
        b"3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n",
    ],
    ids=["letters", "negative", "prefix", "too long", "line feed", "line feeds", "long size", "trailer"],
)
def test_a_body_that_is_wrongly_chunked(shared: Service, body: bytes) -> None:
    """The signal counts once; what follows belongs to no request, as it cannot be known where it begins."""
    before = shared.received("count")
    good = b"/ext/heartbeat/count:%b HTTP/1.1\r\nHost: x\r\n" % SECRET.encode()
    with socket.create_connection(("127.0.0.1", shared.port), timeout=10) as connection:
        connection.sendall(b"POST %bTransfer-Encoding: chunked\r\n\r\n%bGET %b\r\n" % (good, body, good))
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200"]
    assert b"connection: close" in answer.lower()
    assert b"warning" in answer
    assert shared.received("count") == before + 1
    assert rows(shared, "count")[-1][3] == "abc"


def test_a_body_longer_than_it_said(shared: Service) -> None:
    before = shared.received("count")
    head = f"POST /ext/heartbeat/count:{SECRET} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
    answer = raw(shared, f"{head}abcdefgh\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b"HTTP/1.1 400") == 1
    assert shared.received("count") == before + 1
    assert rows(shared, "count")[-1][3] == "abc"


def test_requests_on_one_connection_stay_apart(shared: Service) -> None:
    before = shared.received("count")
    tail = "HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde"
    paths = ("count:wrong", f"count:{SECRET}", "nobody:x", f"count:{SECRET}/fial", f"count:{SECRET}/fail")
    answer = raw(shared, "".join(f"POST /ext/heartbeat/{path} {tail}" for path in paths).encode())
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"404", b"200", b"404", b"404", b"200"]
    assert shared.received("count") == before + 2


def test_two_thousand_at_once_are_counted_exactly(shared: Service) -> None:
    gate, failures = threading.Barrier(50), []

    def send() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", shared.port, timeout=30)
        gate.wait()
        for _ in range(40):
            connection.request("POST", f"/ext/heartbeat/many:{SECRET}", body="x")
            answer = connection.getresponse()
            if (answer.status, answer.read()) != (200, b'{"status":"OK"}'):
                failures.append(answer.status)
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert shared.received("many") == 2000
