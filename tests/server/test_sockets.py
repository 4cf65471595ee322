"""Where it listens, how many descriptors it has, and where its temporary files go."""

import errno
import socket
from pathlib import Path
from typing import Any

import pytest

from exporter.core.errors import InvalidValue
from exporter.server import scratch
from exporter.server.sockets import RESERVE, bind, connections_for


def addresses(listen_address: str) -> list[tuple[str, int]]:
    bound = bind(listen_address)
    names = [one.getsockname()[:2] for one in bound]
    for one in bound:
        one.close()
    return names


@pytest.mark.parametrize(
    ("host", "expected"), [("", ["0.0.0.0", "::"]), ("[::]", ["::", "0.0.0.0"]), ("[::1]", ["::1"])]
)
def test_port_0_is_one_port_for_all(host: str, expected: list[str]) -> None:
    names = addresses(f"{host}:0")
    assert [name for name, _ in names] == expected
    assert len({port for _, port in names}) == 1


def test_a_name_is_all_its_addresses_that_are_here(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET6, 1, 6, "", ("::1", 0, 0, 0)), (socket.AF_INET, 1, 6, "", ("127.0.0.1", 0))]
    found += [(socket.AF_INET, 1, 6, "", ("192.0.2.1", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert [name for name, _ in addresses("localhost:0")] == ["::1", "127.0.0.1"]


def test_without_ipv6_it_listens_on_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    def without(family: int = -1, *arguments: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(family, *arguments)

    monkeypatch.setattr("exporter.server.sockets.socket.socket", without)
    assert [name for name, _ in addresses(":0")] == ["0.0.0.0"]
    with pytest.raises(OSError, match="not supported"):
        bind("[::]:0")


def test_a_port_that_is_taken_in_one_family_is_taken() -> None:
    with socket.socket(socket.AF_INET6) as taken:
        taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        taken.bind(("::", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            bind(f":{taken.getsockname()[1]}")


@pytest.mark.parametrize(("descriptors", "most"), [(65536, 8192), (1024, 1024 - RESERVE), (200, 100), (1, 1)])
def test_descriptors_are_kept_back(descriptors: int, most: int) -> None:
    assert connections_for(descriptors, 8192) == most


def test_temporary_files_go_where_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "MEMORY", str(tmp_path / "memory"))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    assert scratch.scratch_folder() == str(tmp_path), "the other one is not there"
    (tmp_path / "memory").mkdir()
    assert scratch.scratch_folder() == str(tmp_path / "memory")
    with pytest.raises(InvalidValue, match="TMPDIR"):
        scratch.scratch_folder(2**60)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "gone"))
    monkeypatch.setattr(scratch, "MEMORY", "/proc")
    with pytest.raises(InvalidValue, match="TMPDIR"):
        scratch.scratch_folder()
