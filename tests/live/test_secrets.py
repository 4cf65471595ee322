"""Nothing that the program says or stores holds a secret, whatever it is sent."""

import signal
import socket
import sqlite3
from contextlib import closing

import pytest

from tests.live.conftest import SECRET, Service, Starter, curl, eventually, fetch, monitors

pytestmark = pytest.mark.live
TOKENS = ("SESAME-page-token", "SESAME-metrics-token", "SESAME-secret-key")
CONFIG = f"web: {{auth: {{token: {TOKENS[0]}, metrics_token: {TOKENS[1]}}}}}\nsecret_key: {TOKENS[2]}\n" + monitors(
    "job"
)


def send_raw(service: Service, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return connection.recv(65536)


@pytest.mark.parametrize("format", ["text", "json"])
def test_no_secret_leaves_by_log_page_metrics_or_database(start: Starter, format: str) -> None:
    service = start(CONFIG, options=("--log.level", "debug", "--log.format", format))
    said = []

    def get(*arguments: str) -> None:
        answer = curl(*arguments)
        said.append(answer.headers + answer.body)

    base = f"{service.url}/ext/heartbeat"
    for path in (
        f"job:{SECRET}",
        f"job/{SECRET}/start",
        f"job:{SECRET}/fial",
        f"job:{SECRET}?rid=%ff",
        f"{SECRET}:job",
        f"{SECRET}",
        f"nobody:{SECRET}",
        f"job:{SECRET}x",
        f"job%3A{SECRET}/7",
        f"job:{SECRET}/" + "x" * 9000,
    ):
        for method in ("GET", "POST", "PUT", "OPTIONS", "FOO"):
            get("-X", method, f"{base}/{path}")
    webhook = f"{service.url}/api/v1/alertmanager"
    firing = '{"alerts": [{"status": "firing", "labels": {}}, {"status": "firing", "labels": {"heartbeat_tag": "x"}}]}'
    for path in (
        f"job/{SECRET}",
        f"job/{SECRET}/",
        f"job/{SECRET}?tag_label=x",
        f"nobody/{SECRET}",
        f"{SECRET}",
        f"job:{SECRET}",
    ):
        for sent in (firing, "{", "[]", '{"alerts": []}'):
            get("--data-binary", sent, f"{webhook}/{path}")
        for method in ("GET", "PUT", "FOO"):
            get("-X", method, f"{webhook}/{path}")
    get("-H", f"Authorization: Bearer {SECRET}", "--data-binary", firing, f"{webhook}/job")
    get("--data-binary", firing, f"{service.url}/%61pi/v1/alertmanager/job/{SECRET}")
    get("--data-binary", firing, f"{service.url}/api/v1//alertmanager/job/{SECRET}")
    get(f"{service.url}/%65xt/heartbeat/job:{SECRET}")
    get(f"{service.url}/EXT/heartbeat/job:{SECRET}")
    get(f"{service.url}//ext/heartbeat/job:{SECRET}")
    get(f"{service.url}/nothing/{SECRET}?q={SECRET}")
    get(f"{service.url}/monitors/{SECRET}")
    get("-H", "Accept: text/html", f"{service.url}/{SECRET}")
    get("-H", f"Authorization: Bearer {SECRET}", f"{base}/job")
    get("-H", f"Authorization: Bearer {SECRET}", service.url)
    for token in TOKENS:
        for path in (
            "/",
            "/metrics",
            "/api/v1/monitors",
            "/api/v1/monitors/job",
            "/monitors/job",
            "/api/v1/openapi.json",
        ):
            get("-H", f"Authorization: Bearer {token}", service.url + path)
            get("-u", f"x:{token}", service.url + path)
    get("-X", "POST", "-H", f"Authorization: Bearer {TOKENS[0]}", f"{service.url}/-/reload")
    service.config.write_text(CONFIG.replace("tag: job", "tag: j b").replace(SECRET, SECRET + " blank"))
    get("-X", "POST", "-H", f"Authorization: Bearer {TOKENS[0]}", f"{service.url}/-/reload")
    service.send(signal.SIGHUP)
    for request in (
        f"GET /ext/heartbeat/job:{SECRET}\r\n\r\n",
        f"GET /ext/heartbeat/job:{SECRET} HTTP/7.7\r\n\r\n",
        f"GET  /ext/heartbeat/job:{SECRET}\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        f"GET /ext/heartbeat/job:{SECRET} HTTP/1.1\r\nHost x {SECRET}\r\n\r\n",
        f"{SECRET}\r\n\r\n",
        f"POST /ext/heartbeat/job:{SECRET} HTTP/1.1\r\nHost: x\r\nContent-Length: {SECRET}\r\n\r\n",
        f"POST /ext/heartbeat/job:{SECRET} HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nshort",
        f"POST /ext/heartbeat/job:{SECRET} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZ{SECRET}\r\n",
        f"GET /ext/heartbeat/job:{SECRET} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        f"POST /api/v1/alertmanager/job/{SECRET} HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nshort",
        f"POST /api/v1/alertmanager/job/{SECRET} HTTP/1.1\r\nHost x {SECRET}\r\n\r\n",
        f"PRI /ext/heartbeat/job:{SECRET} HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ):
        said.append(send_raw(service, request.encode("latin-1")).decode("latin-1"))
    with closing(sqlite3.connect(service.storage.removeprefix("sqlite:///"), isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        get(f"{base}/job:{SECRET}")
        database.execute("ROLLBACK")
    eventually(lambda: fetch(f"{service.url}/-/ready").status == 200)
    service.stop()
    output = service.output()
    assert len(output) > 1000
    assert "SESAME" not in output
    assert "SESAME" not in "".join(said)
    for file in service.config.parent.glob("live.db*"):
        assert b"SESAME" not in file.read_bytes()
