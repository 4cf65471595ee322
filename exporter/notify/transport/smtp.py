"""One mail to one SMTP server, bounded in time, whose failure says whether trying again helps.

The standard library's client, with some things mended: each answer has to come in time and in bounds as a whole and
not only byte by byte, we greet by a name that servers take, a refusal keeps the server's own words, and an address is
judged before anything connects to it. What a server said about a password is never shown: servers echo what they do
not understand.
"""

import smtplib
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.notify.notifier import DeliveryFailed, Failure
from exporter.notify.transport.address_policy import PrivateAddress, connect_public
from exporter.notify.transport.greeting import address_literal, greeting
from exporter.notify.transport.http import MAX_CONNECT
from exporter.notify.transport.redaction import Redaction

STARTTLS, TLS, NONE = "starttls", "tls", "none"
PORTS = {STARTTLS: 587, TLS: 465, NONE: 25}
_NO_AUTH = "takes no user name and password"
_MAX_ANSWER = 64 * 1024
"""Bytes of one answer, all its lines together."""
_UNKNOWN_COMMAND = (500, 501, 502, 504)
"""How a server from before EHLO answers it."""


class _NotSmtp(OSError):
    """What the other side says is none of SMTP's answers."""


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail goes and how."""

    host: str
    port: int
    security: str
    """`starttls`, `tls` or `none`."""
    seconds: float
    """For connecting, and for each answer."""
    ca_file: str | None = None
    public_only: bool = False
    username: str | None = None
    password: str | None = None
    helo_name: str | None = None
    """The name to greet by; None for one that is found out."""
    sender_domain: str = ""

    def __repr__(self) -> str:
        return f"SmtpServer({self.host}:{self.port})"


@dataclass(frozen=True, slots=True)
class RecipientRefusal:
    """Of one recipient."""

    code: int
    text: str

    @property
    def temporary(self) -> bool:
        return 400 <= self.code < 500


class _Answers:
    """What the server sends, line by line, each answer within its time. Stands in for a socket's file."""

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        self._sock = sock
        self._seconds = seconds
        self._waiting = b""
        self._size = 0
        self.deadline = 0.0

    def readline(self, most: int) -> bytes:
        if self._size > _MAX_ANSWER:
            raise _NotSmtp("an answer without end")
        while b"\n" not in self._waiting and len(self._waiting) < most:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._sock.settimeout(left)
            data = self._sock.recv(4096)
            self._sock.settimeout(self._seconds)
            if not data:
                break
            self._waiting += data
        end = self._waiting.find(b"\n") + 1 or len(self._waiting)
        line, self._waiting = self._waiting[: min(end, most)], self._waiting[min(end, most) :]
        self._size += len(line)
        return line

    def begin(self) -> None:
        self._size = 0
        self.deadline = time.monotonic() + self._seconds

    def close(self) -> None:
        """The code that opened the socket closes it."""


class _Client(smtplib.SMTP):
    """The standard library's, with what the module's docstring says."""

    file: Any

    def __init__(self, server: SmtpServer, tls: ssl.SSLContext) -> None:
        self._server = server
        self._tls = tls
        self.complaint: tuple[int, bytes] | None = None
        """The last answer, if it was a refusal."""
        # Without a host it does not connect yet.
        super().__init__(local_hostname="unused", timeout=server.seconds)
        self._host = server.host

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        within = min(MAX_CONNECT, timeout)
        if self._server.public_only:
            made = connect_public(host, port, within)
        else:
            made = socket.create_connection((host, port), within)
        try:
            made.settimeout(timeout)
            return self._tls.wrap_socket(made, server_hostname=host) if self._server.security == TLS else made
        except BaseException:  # re-raised; without this the socket would leak
            made.close()
            raise

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = _Answers(self.sock, self._server.seconds)
        if self.file is not None:
            self.file.begin()
        try:
            code, text = super().getreply()
        except smtplib.SMTPResponseException:
            raise _NotSmtp("a line without end") from None
        if code < 0:
            self.close()
            raise _NotSmtp("no code")
        self.complaint = (code, text) if code >= 400 else None
        return code, text

    def ehlo_or_helo_if_needed(self) -> None:
        """Also after STARTTLS. HELO is for servers that do not know EHLO, and for them alone."""
        if self.helo_resp is not None or self.ehlo_resp is not None:
            return
        name = greeting(self._server.helo_name, self._server.sender_domain) or self._own_address()
        code, text = self.ehlo(name)
        if 200 <= code < 300:
            return
        refusal = _Refused(code, text, f"EHLO {name}")
        plain = self._server.security == NONE and self._server.username is None
        if code not in _UNKNOWN_COMMAND or not plain:
            raise refusal
        try:
            code, _ = self.helo(name)
        except smtplib.SMTPServerDisconnected:
            raise refusal from None
        if not 200 <= code < 300:
            raise refusal

    def _own_address(self) -> str:
        assert self.sock is not None, "it is connected"
        return address_literal(str(self.sock.getsockname()[0]))


class _Refused(smtplib.SMTPResponseException):
    """A command of ours was refused."""

    def __init__(self, code: int, text: bytes, command: str) -> None:
        super().__init__(code, text)
        self.command = command


class SmtpSession:
    """Sends mails through one server, a connection for each."""

    def __init__(self, server: SmtpServer) -> None:
        self._server = server
        self._tls = ssl.create_default_context(cafile=server.ca_file)
        secrets = [server.password] if server.password else []
        if server.password and server.username:
            secrets.append(f"\0{server.username}\0{server.password}")
        self._redaction = Redaction(secrets)

    def send(self, sender: str, recipients: Sequence[str], mail: bytes) -> Mapping[str, RecipientRefusal]:
        """Returns those recipients that were refused; at least one was not. Raises DeliveryFailed."""
        client = _Client(self._server, self._tls)
        try:
            self._begin(client)
            refused = client.sendmail(sender, recipients, mail)
        except smtplib.SMTPRecipientsRefused as error:
            raise self._all_refused(self._refusals(error.recipients)) from None
        except (OSError, ValueError) as error:
            raise self._failure(error, client.complaint) from None
        finally:
            _leave(client)
        return self._refusals(refused)

    def _begin(self, client: _Client) -> None:
        code, text = client.connect(self._server.host, self._server.port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, text)
        if self._server.security == STARTTLS:
            client.ehlo_or_helo_if_needed()
            if not client.has_extn("starttls"):
                raise self._no_tls("the server does not offer STARTTLS; set security to tls or none")
            client.starttls(context=self._tls)
        if self._server.username is not None and self._server.password is not None:
            self._log_in(client, self._server.username, self._server.password)

    def _log_in(self, client: _Client, username: str, password: str) -> None:
        client.ehlo_or_helo_if_needed()
        host = self._server.host
        if not client.has_extn("auth"):
            raise DeliveryFailed(Failure.REJECTED, f"{host} {_NO_AUTH}", retry=False)
        try:
            client.login(username, password)
        except smtplib.SMTPAuthenticationError as error:
            text = f"{host} does not accept the user name and password ({error.smtp_code})"
            if 400 <= error.smtp_code < 500:
                raise DeliveryFailed(Failure.SERVER_ERROR, text, retry=True) from None
            raise DeliveryFailed(Failure.REJECTED, text, retry=False) from None
        except smtplib.SMTPServerDisconnected:
            if client.complaint is None:
                raise
            code, client.complaint = client.complaint[0], None
            text = f"{host} refused the user name and password ({code}) and closed the connection"
            raise DeliveryFailed(Failure.SERVER_ERROR, text, retry=True) from None
        except smtplib.SMTPResponseException:
            raise
        except (smtplib.SMTPException, ValueError):
            text = f"{host} offers no supported authentication mechanism"
            raise DeliveryFailed(Failure.REJECTED, text, retry=False) from None

    def _refusals(self, refused: Mapping[str, tuple[int, bytes]]) -> dict[str, RecipientRefusal]:
        return {to: RecipientRefusal(code, self._shown(text)) for to, (code, text) in refused.items()}

    def _all_refused(self, refused: Mapping[str, RecipientRefusal]) -> DeliveryFailed:
        temporary = any(refusal.temporary for refusal in refused.values())
        failure = Failure.SERVER_ERROR if temporary else Failure.REJECTED
        return DeliveryFailed(failure, f"{self._server.host} refused {refusal_texts(refused)}", retry=temporary)

    def _failure(self, error: Exception, complaint: tuple[int, bytes] | None) -> DeliveryFailed:
        host = self._server.host
        # The library wraps the error that broke a connection, and only its text shows which.
        gone = isinstance(error, smtplib.SMTPServerDisconnected)
        cause = error.__context__ if gone else error
        if isinstance(cause, PrivateAddress):
            text = f"{host} is at a private address, and allow_private_addresses is false"
            return DeliveryFailed(Failure.FORBIDDEN, text, retry=False)
        if isinstance(cause, TimeoutError):
            return DeliveryFailed(Failure.TIMEOUT, f"{host} did not answer in time", retry=True)
        if isinstance(cause, smtplib.SMTPResponseException):
            answer = f"{host} answered {cause.smtp_code} {self._shown(cause.smtp_error)}".rstrip()
            if isinstance(cause, _Refused):
                answer += f" to {cause.command}"
            if cause.smtp_code >= 500:
                return DeliveryFailed(Failure.REJECTED, answer, retry=False)
            return DeliveryFailed(Failure.SERVER_ERROR, answer, retry=True)
        if isinstance(cause, socket.gaierror | UnicodeError):
            return DeliveryFailed(Failure.CONNECT, f"the host name {host} cannot be resolved", retry=True)
        if isinstance(cause, ssl.SSLError):
            return self._no_tls(getattr(cause, "verify_message", "") or "the server does not use TLS")
        if isinstance(cause, ConnectionRefusedError):
            return DeliveryFailed(Failure.CONNECT, f"no connection to {host}: connection refused", retry=True)
        if isinstance(cause, _NotSmtp):
            return DeliveryFailed(Failure.CONNECT, f"{host} does not answer with SMTP", retry=True)
        if gone and complaint is not None:
            answer = f"{host} answered {complaint[0]} {self._shown(complaint[1])}".rstrip()
            return DeliveryFailed(Failure.SERVER_ERROR, f"{answer} and closed the connection", retry=True)
        return DeliveryFailed(Failure.CONNECT, f"the connection to {host} was lost", retry=True)

    def _no_tls(self, why: str) -> DeliveryFailed:
        return DeliveryFailed(Failure.CONNECT, f"no secure connection to {self._server.host}: {why}", retry=True)

    def _shown(self, text: bytes | str) -> str:
        return self._redaction.shown(text.decode("utf-8", "replace") if isinstance(text, bytes) else text)


def refusal_texts(refused: Mapping[str, RecipientRefusal]) -> str:
    """`ops@example.org (550 no such user)`."""
    return ", ".join(f"{to} ({refusal.code} {refusal.text})" for to, refusal in refused.items())


def _leave(client: _Client) -> None:
    """The answer to QUIT does not matter: the server has accepted or refused the mail before."""
    try:
        if client.sock is not None:
            client.quit()
    except (OSError, ValueError):
        pass
    finally:
        client.close()
