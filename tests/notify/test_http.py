"""What notifiers send by HTTP arrives; whatever else happens ends in time and says what it was, without a secret."""

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from exporter.app.log_setup import set_up_logging
from exporter.config.alert_models import NotifierOptions
from exporter.notify.notifier import DeliveryFailed, Failure
from exporter.notify.transport.connections import is_public
from exporter.notify.transport.http import HttpClient, HttpResponse
from tests.support.ports import free_port
from tests.support.receivers import (
    DRIPPING_BODY,
    DRIPPING_HEAD,
    Behaviour,
    Receiver,
    answer,
    echo,
    flood,
    garbage,
    reset,
    self_signed,
    silence,
)

IN_TIME = 4.0
"""Seconds; the timeout of these tests is half of one."""


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def options(timeout: str = "500ms", private: bool = True) -> NotifierOptions:
    return NotifierOptions(name="n", type="t", timeout=timeout, allow_private_addresses=private)


def send(url: str, client: HttpClient | None = None, method: str = "POST") -> HttpResponse:
    return (client or HttpClient(options())).send(method, url, key="key-1", json={"text": "héllo 🔥"})


def failure(url: str, client: HttpClient | None = None) -> DeliveryFailed:
    began = time.monotonic()
    with pytest.raises(DeliveryFailed) as caught:
        send(url, client)
    assert time.monotonic() - began < IN_TIME
    return caught.value


def test_what_is_sent(receiver: Receiver) -> None:
    receiver.behave(answer(202, "  taken\nwith  thanks "))
    assert send(f"{receiver.url}/a/b?c=d") == HttpResponse(202, "taken with thanks")
    (request,) = receiver.received
    assert (request.method, request.target, request.json) == ("POST", "/a/b?c=d", {"text": "héllo 🔥"})
    assert request.headers["idempotency-key"] == "key-1"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("heartbeat-exporter/")


def test_headers_replace_ours_whatever_their_case(receiver: Receiver) -> None:
    HttpClient(options()).send(
        "PUT", receiver.url, key="k", body=b"<x/>", headers={"content-type": "text/xml", "user-agent": "me"}
    )
    (request,) = receiver.received
    assert (request.method, request.body) == ("PUT", b"<x/>")
    assert (request.headers["content-type"], request.headers["user-agent"]) == ("text/xml", "me")


def test_half_of_a_surrogate_pair_stops_nothing(receiver: Receiver) -> None:
    HttpClient(options()).send("POST", receiver.url, key="k", json={"text": "half \ud83d"})
    assert receiver.received[0].json == {"text": "half ?"}


def test_credentials_in_the_url_go_out_as_a_header(receiver: Receiver) -> None:
    send(f"http://us%40er:pa%3Ass@127.0.0.1:{receiver.port}/x")
    (request,) = receiver.received
    assert request.headers["authorization"] == "Basic dXNAZXI6cGE6c3M="
    assert "us" not in request.target + request.headers["host"]


@pytest.mark.parametrize(
    ("status", "expected", "retry"),
    [
        (301, Failure.REJECTED, False),
        (307, Failure.REJECTED, False),
        (400, Failure.REJECTED, False),
        (401, Failure.REJECTED, False),
        (404, Failure.REJECTED, False),
        (408, Failure.TIMEOUT, True),
        (410, Failure.REJECTED, False),
        (425, Failure.RATE_LIMITED, True),
        (429, Failure.RATE_LIMITED, True),
        (500, Failure.SERVER_ERROR, True),
        (502, Failure.SERVER_ERROR, True),
        (503, Failure.SERVER_ERROR, True),
    ],
)
def test_refusals(receiver: Receiver, status: int, expected: Failure, retry: bool) -> None:
    receiver.behave(answer(status, "no, \x1b[31mnever\x1b[0m\n" + "x" * 900, Location=f"{receiver.url}/elsewhere"))
    failed = failure(receiver.url)
    assert (failed.failure, failed.retry, failed.retry_after) == (expected, retry, None)
    assert str(failed).startswith(f"127.0.0.1 answered {status}: ")
    assert len(str(failed)) < 250
    assert ("redirects" in str(failed)) if status < 400 else ("no, never xxx" in str(failed))
    assert len(receiver.received) == 1, "a redirect is not followed"


def _date(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "body", "low", "high"),
    [
        ("7", "", 7, 7),
        ("1.5", "", 1.5, 1.5),
        ("0", "", 0, 0),
        pytest.param(lambda: _date(600), "", 400, 600, id="a date to come"),
        pytest.param(lambda: _date(-3_000), "", 0, 0, id="a date gone by"),
        ("99999999999", "", 900, 900),
        ("9" * 400, "", None, None),
        ("90000", "", 900, 900),
        ("1" + "0" * 12, "", 900, 900),
        ("1e12", "", None, None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", "", 900, 900),
        (None, f'{{"retry_after": 1{"0" * 400}}}', 900, 900),
        (None, '{"retry_after": Infinity}', 900, 900),
        (None, '{"retry_after": NaN}', None, None),
        ("-5", "", None, None),
        ("soon", "", None, None),
        ("Tue, 99 Foo 2026", "", None, None),
        (None, '{"message": "slow down", "retry_after": 0.25, "global": false}', 0.25, 0.25),
        (None, '{"ok": false, "parameters": {"retry_after": 31}}', 31, 31),
        (None, '{"retry_after": "31"}', None, None),
        (None, '{"retry_after": -1}', None, None),
        (None, '{"retry_after": true}', None, None),
        (None, "[" * 60_000, None, None),
        ("2", '{"retry_after": 31}', 2, 2),
    ],
)
def test_when_to_come_again(
    receiver: Receiver,
    status: int,
    header: str | Callable[[], str] | None,
    body: str,
    low: float | None,
    high: float | None,
) -> None:
    """A date is made when the test runs: collecting all tests may have taken minutes."""
    header = header() if callable(header) else header
    receiver.behave(answer(status, body, **({"Retry_After": header} if header is not None else {})))
    found = failure(receiver.url).retry_after
    assert (found is None) if low is None or high is None else (found is not None and low <= found <= high)


def test_a_body_without_end_is_no_reason_to_send_again(receiver: Receiver) -> None:
    """It was taken: the status says so. To send it once more would wake somebody twice."""
    for behaviour in (DRIPPING_BODY, flood):
        receiver.behave(behaviour)
        began = time.monotonic()
        assert send(receiver.url, HttpClient(options())).status == 200
        assert time.monotonic() - began < IN_TIME


@pytest.mark.parametrize(
    ("behaviour", "expected", "text"),
    [
        (silence, Failure.TIMEOUT, "127.0.0.1 did not answer in time"),
        (DRIPPING_HEAD, Failure.TIMEOUT, "127.0.0.1 did not answer in time"),
        (reset, Failure.CONNECT, "the connection to 127.0.0.1 was lost"),
        (lambda *_: None, Failure.CONNECT, "the connection to 127.0.0.1 was lost"),
        (garbage, Failure.CONNECT, "the connection to 127.0.0.1 was lost"),
    ],
)
def test_no_answer(receiver: Receiver, behaviour: Behaviour, expected: Failure, text: str) -> None:
    receiver.behave(behaviour)
    failed = failure(receiver.url)
    assert (failed.failure, str(failed), failed.retry) == (expected, text, True)


def test_nobody_there() -> None:
    failed = failure(f"http://127.0.0.1:{free_port()}/")
    assert (failed.failure, failed.retry) == (Failure.CONNECT, True)
    assert str(failed) == "no connection to 127.0.0.1: connection refused"
    failed = failure("http://nowhere.invalid/")
    assert (failed.failure, str(failed)) == (Failure.CONNECT, "the host name nowhere.invalid cannot be resolved")


@pytest.mark.parametrize(
    "url", ["", "x", "http://", "http:///path", "http://[::1", "http://h:99999/", "http://h:0/", "ftp://h/", "//h/"]
)
def test_what_is_no_url(url: str) -> None:
    failed = failure(url)
    assert (failed.failure, failed.retry, str(failed)) == (Failure.REJECTED, False, "the URL is invalid")


def test_certificates_are_verified(tmp_path: Path) -> None:
    context, certificate = self_signed(tmp_path)
    with Receiver(tls=context) as receiver:
        failed = failure(receiver.url)
        assert (failed.failure, failed.retry) == (Failure.CONNECT, True)
        assert str(failed) == "no secure connection to 127.0.0.1: self-signed certificate"
        assert not receiver.received
        assert send(receiver.url, HttpClient(options(), ca_file=str(certificate))).status == 200
    other = tmp_path / "other"
    other.mkdir()
    context, certificate = self_signed(other, "example.org")
    with Receiver(tls=context) as receiver:
        client = HttpClient(options(), ca_file=str(certificate))
        assert "localhost" in str(failure(f"https://localhost:{receiver.port}/", client))


def test_tls_where_there_is_none(receiver: Receiver) -> None:
    failed = failure(f"https://127.0.0.1:{receiver.port}/")
    assert failed.failure is Failure.CONNECT
    assert "no secure connection to 127.0.0.1" in str(failed)


def test_a_handshake_that_does_not_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        failed = failure(f"https://127.0.0.1:{mute.getsockname()[1]}/")
    assert (failed.failure, failed.retry) == (Failure.TIMEOUT, True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "[::ffff:127.0.0.1]"])
def test_private_addresses_are_refused_when_they_are_to_be(receiver: Receiver, host: str) -> None:
    client = HttpClient(options(private=False))
    failed = failure(f"http://{host}:{receiver.port}/", client)
    assert (failed.failure, failed.retry) == (Failure.FORBIDDEN, False)
    assert "allow_private_addresses is false" in str(failed)
    assert not receiver.received


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("::ffff:8.8.8.8", True),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:0a00:0001::", False),
    ],
)
def test_what_is_public(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_proxies_come_from_the_environment(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://me:secret-of-proxy@127.0.0.1:{receiver.port}")
    assert send("http://hooks.invalid/a/b").status == 200
    (request,) = receiver.received
    assert request.target == "http://hooks.invalid/a/b"
    assert request.headers["proxy-authorization"].startswith("Basic ")
    monkeypatch.setenv("NO_PROXY", "hooks.invalid")
    assert failure("http://hooks.invalid/a/b").failure is Failure.CONNECT


def test_tls_goes_through_the_proxy_as_a_tunnel(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", f"127.0.0.1:{receiver.port}")
    receiver.behave(answer(403, "you may not"))
    failed = failure("https://hooks.invalid/a/token-of-the-hook")
    assert (receiver.received[0].method, receiver.received[0].target) == ("CONNECT", "hooks.invalid:443")
    assert (failed.failure, failed.retry) == (Failure.CONNECT, True)
    assert "the proxy for hooks.invalid" in str(failed)


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "http://", "::::", "http://127.0.0.1:1"])
def test_a_proxy_that_is_none(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    assert "the proxy" in str(failure("http://hooks.invalid/"))


def test_a_proxy_is_not_asked_for_private_addresses(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy itself may be at one."""
    monkeypatch.setenv("http_proxy", receiver.url)
    client = HttpClient(options(private=False))
    assert failure("http://169.254.169.254/latest", client).failure is Failure.FORBIDDEN
    assert not receiver.received
    assert send("http://8.8.8.8/", client).status == 200


def test_no_secret_is_shown_whatever_is_echoed(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    url = f"http://user:sesame9@127.0.0.1:{receiver.port}/hooks/T0123/B4567/xoxb-tok%C3%A9n?api=query-secret&x=1"
    client = HttpClient(options(), ["plain-secret", url])
    receiver.behave(echo())
    with pytest.raises(DeliveryFailed) as caught:
        client.send("POST", url, key="k", json={"x": "plain-secret xoxb-tokén"}, headers={"X-Key": "plain-secret"})
    receiver.behave(echo(200))
    said = client.send("POST", url, key="k", json={"x": "plain-secret xoxb-tokén"}).text
    shown = f"{caught.value!r} {caught.value} {said} {client!r}"
    for secret in ("plain-secret", "sesame9", "dXNlcjpzZXNhbWU5", "xoxb", "query-secret"):
        assert secret not in shown
    assert "<secret>" in shown


def test_no_secret_in_the_log(receiver: Receiver, capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = root.handlers, root.level
    try:
        set_up_logging("debug", "text")
        send(f"{receiver.url}/services/token-of-the-hook")
    finally:
        root.handlers, _ = before
        root.setLevel(before[1])
    assert "token-of-the-hook" not in capsys.readouterr().err


def test_nothing_is_left_open(receiver: Receiver) -> None:
    client = HttpClient(options())
    send(receiver.url, client)
    before = len(os.listdir("/proc/self/fd"))
    for behaviour in (answer(), answer(500), reset, silence, DRIPPING_BODY):
        receiver.behave(behaviour)
        try:
            send(receiver.url, client)
        except DeliveryFailed:
            continue
    deadline = time.monotonic() + 20
    receiver._over.set()
    while len(os.listdir("/proc/self/fd")) > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_of_several_waits_the_longest_counts(receiver: Receiver) -> None:
    receiver.behave(answer(429, "", Retry_After="soon\r\nRetry-After: 5\r\nRetry-After: 90\r\nRetry-After: -1"))
    assert failure(receiver.url).retry_after == 90


@pytest.mark.parametrize("status", [420, 421, 423])
def test_refusals_that_are_not_for_good(receiver: Receiver, status: int) -> None:
    receiver.behave(answer(status, "not now"))
    assert failure(receiver.url).retry
