"""Which addresses are public, whatever they are dressed as; and nothing is connected to before they are judged."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from exporter.config.alert_models import NotifierOptions
from exporter.doctor.checks.reach import Endpoint, Task, connect
from exporter.doctor.finding import Result
from exporter.notify.notifier import DeliveryFailed, Failure
from exporter.notify.transport.address_policy import PrivateAddress, connect_public, is_public, public_addresses
from exporter.notify.transport.http import HttpClient


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.254", "100.100.100.200", "127.0.0.1"),
        *("127.255.0.1", "169.254.169.254", "172.16.0.1", "172.31.9.9", "192.0.0.192", "192.168.1.1", "198.18.0.1"),
        *("198.19.255.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "168.63.129.16", "203.0.113.9"),
        *(
            "::",
            "::1",
            "::7f00:1",
            "::10.0.0.1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:a9fe:a9fe",
            "::ffff:0:1.1.1.1",
        ),
        *("64:ff9b::7f00:1", "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b:1::1", "64:ff9b:1:2::8.8.8.8"),
        *("2002:7f00:1::", "2002:a00:1::1", "2002:a9fe:a9fe::", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1"),
        *("fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "100::1", "3fff::1", "2001:10::1"),
        *("2a00::5efe:10.0.0.1", "2a00::200:5efe:a00:1"),
    ],
)
def test_what_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.1", "172.32.0.1", "192.0.1.1", "169.253.1.1"),
        *("2606:4700::1111", "2a00:1450:4001::200e", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"),
        "2a00::5efe:8.8.8.8",
    ],
)
def test_what_is_public(address: str) -> None:
    assert is_public(address)


@pytest.fixture
def door() -> Iterator[socket.socket]:
    """Listens on loopback; nobody may knock."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening
        with pytest.raises(BlockingIOError):
            listening.accept()


def _resolver(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Looks names up as an attacker's does: one answer after the other. What was asked for."""
    real, asked = socket.getaddrinfo, []
    left = list(answers)

    def look_up(host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
        if host != "rebind.example":
            return real(host, port, *arguments, **options)
        asked.append(host)
        addresses = left.pop(0) if len(left) > 1 else left[0]
        return [each for address in addresses for each in real(address, port, type=socket.SOCK_STREAM)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def _client() -> HttpClient:
    return HttpClient(NotifierOptions(name="n", type="t", timeout="500ms", allow_private_addresses=False))


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]", "0", "rebind.example"]
)
def test_an_open_port_looks_like_a_closed_one(
    door: socket.socket, monkeypatch: pytest.MonkeyPatch, scheme: str, host: str
) -> None:
    _resolver(monkeypatch, ["127.0.0.1"])
    texts = set()
    for port in (door.getsockname()[1], 9):
        with pytest.raises(DeliveryFailed) as caught:
            _client().send("POST", f"{scheme}://{host}:{port}/", key="k", body=b"")
        assert caught.value.failure is Failure.FORBIDDEN
        texts.add(str(caught.value))
    assert len(texts) == 1


def test_one_private_address_among_public_ones_is_enough(door: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    _resolver(monkeypatch, ["8.8.8.8", "127.0.0.1"])
    with pytest.raises(PrivateAddress):
        public_addresses("rebind.example", 80)
    with pytest.raises(PrivateAddress):
        connect_public("rebind.example", door.getsockname()[1], 1)


def test_a_name_that_changes_its_mind_is_not_asked_twice(door: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _resolver(monkeypatch, ["192.88.98.1"], ["127.0.0.1"])
    tried: list[Any] = []
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        tried.append(address[0])
        if address[0] == "192.88.98.1":
            raise ConnectionRefusedError(111, "Connection refused")
        real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(DeliveryFailed) as caught:
        _client().send("POST", f"http://rebind.example:{door.getsockname()[1]}/", key="k", body=b"")
    assert caught.value.failure is Failure.CONNECT
    assert str(caught.value) == "no connection to rebind.example: connection refused"
    assert (tried, asked) == (["192.88.98.1"], ["rebind.example"])


def test_the_next_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolver(monkeypatch, ["192.88.98.1", "192.88.98.2"])
    tried: list[Any] = []

    def connect(self: socket.socket, address: Any) -> None:
        tried.append(address[0])
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(DeliveryFailed):
        _client().send("POST", "http://rebind.example/", key="k", body=b"")
    with pytest.raises(ConnectionRefusedError):
        connect_public("rebind.example", 80, 1)
    assert tried == ["192.88.98.1", "192.88.98.2"] * 2


def test_a_name_without_an_address() -> None:
    with pytest.raises(DeliveryFailed) as caught:
        _client().send("POST", "http://nowhere.invalid/", key="k", body=b"")
    assert (caught.value.failure, str(caught.value)) == (
        Failure.CONNECT,
        "the host name nowhere.invalid cannot be resolved",
    )


def test_the_doctor_does_not_knock_either(door: socket.socket) -> None:
    finding = connect(Task("ops", Endpoint("127.0.0.1", door.getsockname()[1], tls=False), public_only=True))
    assert finding.result is Result.PROBLEM
    assert "private address" in finding.text
