"""One mail to one SMTP server, bounded in time, whose failure says whether trying again helps.

The standard library's client, with three things mended: each answer has to come in time as a whole and not only byte by
byte, no name is looked up for the greeting, and an address is judged by the connection that it led to. What a server
said about a password is never shown: servers echo what they do not understand.
"""

import smtplib
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.alerting.connections import is_public
from exporter.alerting.http import LONGEST_CONNECT
from exporter.alerting.notifier import DeliveryFailed, Failure
from exporter.alerting.redaction import Redaction

STARTTLS, TLS, NONE = "starttls", "tls", "none"
PORTS = {STARTTLS: 587, TLS: 465, NONE: 25}
_NO_AUTH = "takes no user name and password"
_NAMELESS = "[127.0.0.1]"
"""Whoever greets has to give a name or an address."""


class PrivateAddress(OSError):
    """The connection reached an address that the settings forbid."""


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

    def __repr__(self) -> str:
        return f"SmtpServer({self.host}:{self.port})"


@dataclass(frozen=True, slots=True)
class Refusal:
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
        self.deadline = 0.0

    def readline(self, most: int) -> bytes:
        while b"\n" not in self._waiting and len(self._waiting) < most:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._sock.settimeout(left)
            found = self._sock.recv(4096)
            self._sock.settimeout(self._seconds)
            if not found:
                break
            self._waiting += found
        end = self._waiting.find(b"\n") + 1 or len(self._waiting)
        line, self._waiting = self._waiting[: min(end, most)], self._waiting[min(end, most) :]
        return line

    def begin(self) -> None:
        self.deadline = time.monotonic() + self._seconds

    def close(self) -> None:
        """The socket is closed by who opened it."""


class _Client(smtplib.SMTP):
    """The standard library's, with what the module's docstring says."""

    file: Any

    def __init__(self, server: SmtpServer, tls: ssl.SSLContext) -> None:
        self._server = server
        self._tls = tls
        name = socket.gethostname()
        # Without a host it does not connect yet.
        super().__init__(local_hostname=name if "." in name else _NAMELESS, timeout=server.seconds)
        self._host = server.host

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        made = socket.create_connection((host, port), min(LONGEST_CONNECT, timeout))
        try:
            if self._server.public_only and not is_public(str(made.getpeername()[0])):
                raise PrivateAddress("a private address")
            made.settimeout(timeout)
            return self._tls.wrap_socket(made, server_hostname=host) if self._server.security == TLS else made
        except BaseException:
            made.close()
            raise

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = _Answers(self.sock, self._server.seconds)
        if self.file is not None:
            self.file.begin()
        return super().getreply()


class SmtpSession:
    """Sends mails through one server, a connection for each."""

    def __init__(self, server: SmtpServer) -> None:
        self._server = server
        self._tls = ssl.create_default_context(cafile=server.ca_file)
        secrets = [server.password] if server.password else []
        if server.password and server.username:
            secrets.append(f"\0{server.username}\0{server.password}")
        self._redaction = Redaction(secrets)

    def send(self, sender: str, recipients: Sequence[str], mail: bytes) -> Mapping[str, Refusal]:
        """Returns those recipients that were refused; at least one was not. Raises DeliveryFailed."""
        client = _Client(self._server, self._tls)
        try:
            self._begin(client)
            refused = client.sendmail(sender, recipients, mail)
        except smtplib.SMTPRecipientsRefused as error:
            raise self._all_refused(self._refusals(error.recipients)) from None
        except (OSError, ValueError) as error:
            raise self._failure(error) from None
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
                raise self._no_tls("it offers no STARTTLS; set security to tls or none")
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
        except (smtplib.SMTPServerDisconnected, smtplib.SMTPHeloError):
            raise
        except (smtplib.SMTPException, ValueError):
            text = f"{host} {_NO_AUTH} in a way that is known here"
            raise DeliveryFailed(Failure.REJECTED, text, retry=False) from None

    def _refusals(self, refused: Mapping[str, tuple[int, bytes]]) -> dict[str, Refusal]:
        return {who: Refusal(code, self._shown(text)) for who, (code, text) in refused.items()}

    def _all_refused(self, refused: Mapping[str, Refusal]) -> DeliveryFailed:
        temporary = any(refusal.temporary for refusal in refused.values())
        failure = Failure.SERVER_ERROR if temporary else Failure.REJECTED
        return DeliveryFailed(failure, f"{self._server.host} refused {told(refused)}", retry=temporary)

    def _failure(self, error: Exception) -> DeliveryFailed:
        host = self._server.host
        # The library wraps what broke a connection, and tells of it in the text alone.
        cause = error.__context__ if isinstance(error, smtplib.SMTPServerDisconnected) else error
        if isinstance(cause, PrivateAddress):
            text = f"{host} is at a private address, and allow_private_addresses is false"
            return DeliveryFailed(Failure.FORBIDDEN, text, retry=False)
        if isinstance(cause, TimeoutError):
            return DeliveryFailed(Failure.TIMEOUT, f"{host} did not answer in time", retry=True)
        if isinstance(cause, smtplib.SMTPResponseException):
            said = f"{host} answered {cause.smtp_code} {self._shown(cause.smtp_error)}".rstrip()
            if cause.smtp_code >= 500:
                return DeliveryFailed(Failure.REJECTED, said, retry=False)
            return DeliveryFailed(Failure.SERVER_ERROR, said, retry=True)
        if isinstance(cause, socket.gaierror | UnicodeError):
            return DeliveryFailed(Failure.CONNECT, f"no address is known for {host}", retry=True)
        if isinstance(cause, ssl.SSLError):
            return self._no_tls(getattr(cause, "verify_message", "") or "it does not speak TLS")
        if isinstance(cause, ConnectionRefusedError):
            return DeliveryFailed(Failure.CONNECT, f"no connection to {host}: connection refused", retry=True)
        return DeliveryFailed(Failure.CONNECT, f"the connection to {host} broke off", retry=True)

    def _no_tls(self, why: str) -> DeliveryFailed:
        return DeliveryFailed(Failure.CONNECT, f"no secure connection to {self._server.host}: {why}", retry=True)

    def _shown(self, text: bytes | str) -> str:
        return self._redaction.shown(text.decode("utf-8", "replace") if isinstance(text, bytes) else text)


def told(refused: Mapping[str, Refusal]) -> str:
    """`ops@example.org (550 no such user)`."""
    return ", ".join(f"{who} ({refusal.code} {refusal.text})" for who, refusal in refused.items())


def _leave(client: _Client) -> None:
    """Whatever the server says to QUIT, it has or has not taken the mail by now."""
    try:
        if client.sock is not None:
            client.quit()
    except (OSError, ValueError):
        pass
    finally:
        client.close()
