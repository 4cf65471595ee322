"""Others' servers, as notifiers meet them: those that answer, and those that do anything but."""

import json
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Received:
    """One request."""

    method: str
    target: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Behaviour = Callable[[socket.socket, Received, threading.Event], None]
"""What is done with a request that was read; the event is set when the receiver is to end."""


def answer(status: int = 200, body: str | bytes = b"ok", **headers: str) -> Behaviour:
    """`Retry_After` is the header Retry-After."""
    raw = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(raw)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return lambda client, _request, _over: client.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + raw)


def echo(status: int = 400) -> Behaviour:
    """Answers with all that it was told."""

    def act(client: socket.socket, request: Received, over: threading.Event) -> None:
        told = [f"{request.method} {request.target}", *request.headers.values(), request.body.decode()]
        answer(status, "\n".join(told))(client, request, over)

    return act


def silence(client: socket.socket, request: Received, over: threading.Event) -> None:
    over.wait(60)


def reset(client: socket.socket, request: Received, over: threading.Event) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def drip(start: bytes) -> Behaviour:
    """Sends `start` and then a byte now and then, for ever."""

    def act(client: socket.socket, request: Received, over: threading.Event) -> None:
        client.sendall(start)
        while not over.wait(0.05):
            client.sendall(b"x")

    return act


DRIPPING_BODY = drip(b"HTTP/1.1 200 OK\r\n\r\nok")
DRIPPING_HEAD = drip(b"HTTP/1.1 200 OK\r\nX-Long: ")


def garbage(client: socket.socket, request: Received, over: threading.Event) -> None:
    client.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")


def flood(client: socket.socket, request: Received, over: threading.Event) -> None:
    """A gigabyte of answer."""
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    for _ in range(1_000):
        client.sendall(b"x" * 1_000_000)


class Receiver:
    """Listens on loopback. `behaviours` are for the first requests in turn; the last one stays."""

    def __init__(self, *behaviours: Behaviour, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.received: list[Received] = []
        self._behaviours = list(behaviours) or [answer()]
        self._tls = tls
        self._over = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listening.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def bodies(self) -> list[Any]:
        """The JSON of each request."""
        return [request.json for request in self.received]

    def behave(self, *behaviours: Behaviour) -> None:
        self._behaviours = list(behaviours)

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._over.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(30)
        try:
            with self._tls.wrap_socket(client, server_side=True) if self._tls else client as spoken:
                request = _read(spoken)
                if request is None:
                    return
                self.received.append(request)
                behaviour = self._behaviours.pop(0) if len(self._behaviours) > 1 else self._behaviours[0]
                behaviour(spoken, request, self._over)
        except OSError:
            return  # the other side had enough


def _read(client: socket.socket) -> Received | None:
    raw = b""
    while b"\r\n\r\n" not in raw:
        more = client.recv(65536)
        if not more:
            return None
        raw += more
        if raw[:1] == b"\x16":  # TLS, where there is none: many a server says so in the clear
            client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return None
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += client.recv(65536)
    method, target, _ = first.split(" ", 2)
    return Received(method, target, headers, body)


def free_port() -> int:
    """One on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def self_signed(folder: Path, name: str = "localhost") -> tuple[ssl.SSLContext, Path]:
    """A server's context with a certificate that nobody vouches for, and the certificate."""
    key, certificate = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", f"/CN={name}"]
    command += ["-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate
