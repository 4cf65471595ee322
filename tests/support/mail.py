"""SMTP servers for tests: a real one, and some with bad manners that no real one can be asked for."""

import contextlib
import gc
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from tests.support.ports import free_port
from tests.support.tools import run_tool

USER, PASSWORD = "mailer", "SESAME-mail-password"


@dataclass(frozen=True)
class Certificate:
    """Made for 127.0.0.1 and nobody else; it is its own authority."""

    cert: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        return context


def make_certificate(folder: Path, name: str = "IP:127.0.0.1") -> Certificate:
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    run_tool(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", "/CN=mail.test", "-addext", f"subjectAltName={name}", "-keyout", str(made.key), "-out", str(made.cert),
    )  # fmt: skip
    return made


@dataclass
class Received:
    sender: str
    recipients: list[str]
    mail: EmailMessage
    raw: bytes
    tls: bool


@dataclass
class Mailbox:
    """What a real server took in, and whom it refuses."""

    refuse: dict[str, list[str]] = field(default_factory=dict)
    """Answers to RCPT, one for each time, by address."""
    answers: list[str] = field(default_factory=list)
    """Answers to DATA instead of taking the mail, one for each time."""
    received: list[Received] = field(default_factory=list)
    greetings: list[str] = field(default_factory=list)
    """Answers to EHLO, in place of its own, one for each time."""
    hello: list[str] = field(default_factory=list)
    """What clients greeted with: `EHLO name`."""

    async def handle_EHLO(
        self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        self.hello.append(f"EHLO {hostname}")
        if self.greetings:
            return self.greetings.pop(0).split("\n")
        session.host_name = hostname
        return responses

    async def handle_HELO(self, server: Any, session: Any, envelope: Any, hostname: str) -> str:
        self.hello.append(f"HELO {hostname}")
        session.host_name = hostname
        return "250 hello"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if self.refuse.get(address):
            return self.refuse[address].pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.answers:
            return self.answers.pop(0)
        mail = message_from_bytes(envelope.content, policy=default)
        assert isinstance(mail, EmailMessage)
        tls = server.transport.get_extra_info("ssl_object") is not None
        self.received.append(Received(envelope.mail_from, list(envelope.rcpt_tos), mail, bytes(envelope.content), tls))
        return "250 taken"


def _authenticator(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    good = isinstance(data, LoginPassword) and data == LoginPassword(USER.encode(), PASSWORD.encode())
    return AuthResult(success=good, handled=False)


@contextlib.contextmanager
def mail_server(
    box: Mailbox, security: str = "none", certificate: Certificate | None = None, auth: bool = False
) -> Iterator[int]:
    """A real one, on a port of its own."""
    port = free_port()
    how: dict[str, Any] = {}
    if certificate is not None:
        if security == "starttls":
            how = {"tls_context": certificate.context(), "require_starttls": True}
        elif security == "tls":
            how = {"ssl_context": certificate.context()}
    if auth:
        how |= {"authenticator": _authenticator, "auth_required": True, "auth_require_tls": security == "starttls"}
    controller = Controller(box, hostname="127.0.0.1", port=port, **how)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()
        # Its loop is closed before the connections that broke off in a handshake are; nothing of ours is in them.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


@contextlib.contextmanager
def rude_server(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """Every connection gets `talk`, and is closed after it."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(0.1)
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            try:
                made, _ = listening.accept()
            except TimeoutError:
                continue
            with made:
                made.settimeout(30)
                with contextlib.suppress(OSError):
                    talk(made)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        over.set()
        thread.join(35)
        listening.close()


def converse(connection: socket.socket, answer: Callable[[str], str | None]) -> None:
    """Greets, and answers each line; None hangs up."""
    connection.sendall(b"220 rude\r\n")
    lines = connection.makefile("rb")
    for line in lines:
        said = answer(line.decode("ascii", "replace").rstrip("\r\n"))
        if said is None:
            return
        if said:
            connection.sendall(said.encode() + b"\r\n")
