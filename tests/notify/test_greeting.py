"""The name by which a mail server is greeted is one that could exist."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from exporter.notify.transport import greeting as hello
from exporter.notify.transport.greeting import address_literal, greeting, is_greeting, machine_name


@pytest.fixture(autouse=True)
def unknown() -> Iterator[None]:
    machine_name.cache_clear()
    yield
    machine_name.cache_clear()


@pytest.mark.parametrize(
    ("host", "canonical", "name"),
    [
        ("web1.example.org", None, "web1.example.org"),
        ("web1", "web1.example.org", "web1.example.org"),
        ("web1", "web1", None),
        ("web1", None, None),
        ("f0c3a1", "localhost.localdomain", None),
        ("ip-10-0-0-1.ec2.internal", None, None),
        ("printer.local", None, None),
        ("10.0.0.1", None, None),
        ("web_1.example.org", None, None),
    ],
)
def test_the_machines_name(monkeypatch: pytest.MonkeyPatch, host: str, canonical: str | None, name: str | None) -> None:
    def look_up(name: str, port: None, flags: int) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        if canonical is None:
            raise socket.gaierror
        return [(2, 1, 6, canonical, ("127.0.1.1", 0)), (2, 2, 17, "", ("127.0.1.1", 0))]

    monkeypatch.setattr(socket, "gethostname", lambda: host)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert machine_name() == name
    assert greeting(None, "example.com") == name or "example.com"
    assert greeting("given.example", "example.com") == "given.example"


def test_a_resolver_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "web1")
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(30) and [])
    monkeypatch.setattr(hello, "LOOK_UP", 0.05)
    began = time.monotonic()
    assert greeting(None, "example.com") == "example.com"
    assert time.monotonic() - began < 10
    over.set()


def test_without_any_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hello, "machine_name", lambda: None)
    assert greeting(None, "localhost") is None
    assert address_literal("192.0.2.7") == "[192.0.2.7]"
    assert address_literal("fe80::1%eth0") == "[IPv6:fe80::1]"
    assert is_greeting(address_literal("192.0.2.7"))
    assert is_greeting(address_literal("2001:db8::1"))
