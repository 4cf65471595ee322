"""Mail against real SMTP: STARTTLS, passwords, refusals, servers that hang and servers that drop the line."""

import socket
import threading
import time
from dataclasses import replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from exporter.notify.notifier import DeliveryFailed, Failure
from exporter.notify.notifiers.email import EmailNotifier, EmailOptions
from exporter.notify.samples import sample
from exporter.presentation.message import Event, Message
from tests.support.mail import (
    PASSWORD,
    USER,
    Certificate,
    Mailbox,
    converse,
    mail_server,
    make_certificate,
    rude_server,
)
from tests.support.ports import free_port

pytestmark = [
    pytest.mark.live,
    # aiosmtpd does not see that the whole connection is TLS.
    pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS"),
]
ALARM = sample(Event.TRIGGERED)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


def notifier(port: int, **options: Any) -> EmailNotifier:
    given = {
        "name": "mail",
        "type": "email",
        "host": "127.0.0.1",
        "port": port,
        "security": "none",
        "from": "Heartbeats <hb@example.org>",
        "to": ["ops@example.org", "Night Shift <night@example.org>"],
        "timeout": "5s",
        **options,
    }
    return EmailNotifier(EmailOptions.model_validate(given))


def failure(sender: EmailNotifier, message: Message = ALARM) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as caught:
        sender.deliver(message)
    assert PASSWORD not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_mail_arrives_encrypted_and_with_a_password(certificate: Certificate, security: str) -> None:
    box = Mailbox()
    with mail_server(box, security, certificate, auth=True) as port:
        trusted = {"security": security, "ca_file": str(certificate.cert), "username": USER, "password": PASSWORD}
        sender = notifier(port, cc="boss@example.org", **trusted)
        assert sender.deliver(ALARM) == "accepted for ops@example.org, night@example.org, boss@example.org"
    (received,) = box.received
    assert received.tls
    assert received.sender == "hb@example.org"
    assert received.recipients == ["ops@example.org", "night@example.org", "boss@example.org"]
    mail = received.mail
    assert mail["Subject"] == "[Heartbeat] DOWN: Nightly backup, missed, 12 min late"
    assert mail["To"] == "ops@example.org, Night Shift <night@example.org>"
    assert mail["Cc"] == "boss@example.org"
    assert mail["Message-ID"] == "<sample-triggered@example.org>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert parsedate_to_datetime(mail["Date"]).timestamp() * 1000 == ALARM.enqueued_at
    text, html = (part.get_content() for part in mail.iter_parts())
    for part in (text, html):
        assert "no space left on device" in part
        assert "Free some space on the archive disk" in part
        assert "https://heartbeats.example.org/monitors/nightly-backup" in part
    assert received.raw.isascii()
    assert max(map(len, received.raw.splitlines())) <= 998


def test_alarm_reminder_and_recovery_are_one_thread() -> None:
    box = Mailbox()
    with mail_server(box) as port:
        sender = notifier(port)
        for event in Event:
            sender.deliver(replace(sample(event), answers=() if event is Event.TRIGGERED else ("k1", "k2")))
    alarm, reminder, recovery = (received.mail for received in box.received)
    assert alarm["In-Reply-To"] is None
    assert alarm["References"] is None
    for later in (reminder, recovery):
        assert later["In-Reply-To"] == "<k2@example.org>"
        assert later["References"] == "<k1@example.org> <k2@example.org>"
    assert recovery["Subject"] == "[Heartbeat] Recovered: Nightly backup was DOWN for 49 min"


def test_tried_again_it_is_the_same_mail() -> None:
    box = Mailbox(answers=["451 try later"])
    with mail_server(box) as port:
        sender = notifier(port)
        first = failure(sender)
        assert first.retry
        assert first.failure is Failure.SERVER_ERROR
        assert str(first) == "127.0.0.1 answered 451 try later"
        sender.deliver(ALARM)
        sender.deliver(replace(ALARM, key="other"))
        sender.deliver(ALARM)
    one, _, two = box.received
    for header in ("Message-ID", "Subject", "Date", "From", "To"):
        assert one.mail[header] == two.mail[header]


def test_one_refused_recipient_does_not_keep_the_mail_from_the_others() -> None:
    box = Mailbox(refuse={"night@example.org": ["550 no such user"]})
    with mail_server(box) as port:
        said = notifier(port).deliver(ALARM)
    assert said == "accepted for ops@example.org; refused night@example.org (550 no such user)"
    assert [received.recipients for received in box.received] == [["ops@example.org"]]


def test_whoever_has_the_mail_does_not_get_it_again_when_another_has_to_wait() -> None:
    box = Mailbox(refuse={"night@example.org": ["450 greylisted", "451 still", "550 gone"]})
    with mail_server(box) as port:
        sender = notifier(port)
        error = failure(sender)
        assert error.retry
        assert str(error) == "accepted for ops@example.org; refused night@example.org (450 greylisted)"
        assert failure(sender).retry
        box.refuse.clear()
        assert sender.deliver(ALARM) == "accepted for ops@example.org, night@example.org"
        # The next message is for everybody.
        sender.deliver(replace(ALARM, key="next"))
    assert [received.recipients for received in box.received] == [
        ["ops@example.org"],
        ["night@example.org"],
        ["ops@example.org", "night@example.org"],
    ]


def test_a_recipient_refused_for_good_after_the_others_got_it_is_told_of() -> None:
    box = Mailbox(refuse={"night@example.org": ["450 greylisted", "550 gone"]})
    with mail_server(box) as port:
        sender = notifier(port)
        failure(sender)
        assert sender.deliver(ALARM) == "accepted for ops@example.org; 127.0.0.1 refused night@example.org (550 gone)"


@pytest.mark.parametrize(("code", "retry"), [(550, False), (450, True)])
def test_when_all_are_refused_it_failed(code: int, retry: bool) -> None:
    refuse = {who: [f"{code} no"] for who in ("ops@example.org", "night@example.org")}
    with mail_server(Mailbox(refuse=refuse)) as port:
        error = failure(notifier(port))
    assert error.retry is retry
    assert error.failure is (Failure.SERVER_ERROR if retry else Failure.REJECTED)
    assert "night@example.org (" in str(error)


def test_a_mail_refused_for_good_is_given_up() -> None:
    with mail_server(Mailbox(answers=["552 too large"])) as port:
        error = failure(notifier(port))
    assert (error.failure, error.retry) == (Failure.REJECTED, False)
    assert str(error) == "127.0.0.1 answered 552 too large"


def test_a_wrong_password_is_said_clearly_and_not_shown(certificate: Certificate) -> None:
    with mail_server(Mailbox(), "starttls", certificate, auth=True) as port:
        trusted = {"security": "starttls", "ca_file": str(certificate.cert), "username": USER}
        error = failure(notifier(port, password=f"{PASSWORD}-wrong", **trusted))
    assert (error.failure, error.retry) == (Failure.REJECTED, False)
    assert str(error) == "127.0.0.1 does not accept the user name and password (535)"


def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: Certificate) -> None:
    for security in ("starttls", "tls"):
        box = Mailbox()
        with mail_server(box, security, certificate) as port:
            error = failure(notifier(port, security=security))
        assert (error.failure, error.retry) == (Failure.CONNECT, True)
        assert "no secure connection to 127.0.0.1: self-signed certificate" in str(error)
        assert not box.received


def test_a_certificate_for_another_host_is_refused(tmp_path: Path) -> None:
    foreign = make_certificate(tmp_path, "DNS:mail.example.org")
    with mail_server(Mailbox(), "starttls", foreign) as port:
        error = failure(notifier(port, security="starttls", ca_file=str(foreign.cert)))
    assert "no secure connection to 127.0.0.1: " in str(error)


def test_without_starttls_nothing_is_sent_in_the_clear() -> None:
    box = Mailbox()
    with mail_server(box) as port:
        error = failure(notifier(port, security="starttls", username=USER, password=PASSWORD))
    assert str(error) == (
        "no secure connection to 127.0.0.1: the server does not offer STARTTLS; set security to tls or none"
    )
    assert not box.received


def test_tls_where_there_is_none(certificate: Certificate) -> None:
    with mail_server(Mailbox()) as port:
        error = failure(notifier(port, security="tls", ca_file=str(certificate.cert)))
    assert str(error) == "no secure connection to 127.0.0.1: the server does not use TLS"


def _silence(connection: socket.socket) -> None:
    connection.recv(1000)


def _drip(connection: socket.socket) -> None:
    """A byte now and then, for ever: each of them in time, the answer never."""
    pause = threading.Event()
    while not pause.wait(0.05):
        connection.sendall(b"2")


def _deaf_after_hello(connection: socket.socket) -> None:
    converse(connection, lambda line: "250 rude" if line.lower().startswith("ehlo") else "")


@pytest.mark.parametrize("talk", [_silence, _drip, _deaf_after_hello])
def test_a_server_that_hangs_holds_nobody_up(talk: Any) -> None:
    with rude_server(talk) as port:
        began = time.monotonic()
        error = failure(notifier(port, timeout="500ms"))
        assert time.monotonic() - began < 3
    assert (error.failure, error.retry) == (Failure.TIMEOUT, True)
    assert str(error) == "127.0.0.1 did not answer in time"


def test_a_line_dropped_after_the_mail_is_tried_again() -> None:
    def answer(line: str) -> str | None:
        if line == ".":
            return None
        if line.lower() == "data":
            return "354 go"
        return "250 fine" if line[:4].lower() in ("ehlo", "mail", "rcpt") else ""

    with rude_server(lambda connection: converse(connection, answer)) as port:
        error = failure(notifier(port))
    assert (error.failure, error.retry) == (Failure.CONNECT, True)
    assert str(error) == "the connection to 127.0.0.1 was lost"


def test_once_it_is_taken_no_bad_manners_make_it_be_sent_again() -> None:
    def answer(line: str) -> str | None:
        if line.lower() == "data":
            return "354 go"
        if line.lower() == "quit":
            return "554 never"
        return "250 fine" if line == "." or line[:4].lower() in ("ehlo", "mail", "rcpt") else ""

    with rude_server(lambda connection: converse(connection, answer)) as port:
        assert notifier(port).deliver(ALARM) == "accepted for ops@example.org, night@example.org"


def test_what_a_server_echoes_of_a_password_is_not_shown(certificate: Certificate) -> None:
    tls = certificate.context()

    def talk(raw: socket.socket) -> None:
        seen: list[str] = []

        def answer(line: str) -> str | None:
            seen.append(line)
            if line.lower().startswith("ehlo"):
                return "250-rude\r\n250 AUTH PLAIN LOGIN"
            if line.lower().startswith("mail"):
                return f"550 {' '.join(seen)} {PASSWORD}"
            return "235 fine" if line.lower().startswith("auth") else "250 ok"

        with tls.wrap_socket(raw, server_side=True) as connection:
            converse(connection, answer)

    with rude_server(talk) as port:
        trusted = {"security": "tls", "ca_file": str(certificate.cert)}
        error = failure(notifier(port, username=USER, password=PASSWORD, **trusted))
    assert "AUTH PLAIN <secret>" in str(error)
    assert str(error).endswith(" <secret>")
    assert not error.retry


def test_nobody_there() -> None:
    error = failure(notifier(port := free_port()))
    assert (error.failure, str(error)) == (Failure.CONNECT, "no connection to 127.0.0.1: connection refused")
    assert failure(notifier(port, host="no-such-host.invalid")).failure is Failure.CONNECT


def test_private_addresses_can_be_forbidden() -> None:
    box = Mailbox()
    with mail_server(box) as port:
        error = failure(notifier(port, allow_private_addresses=False))
    assert (error.failure, error.retry) == (Failure.FORBIDDEN, False)
    assert not box.received


# ── greeting ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def nameless(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container: the machine has no full name."""
    monkeypatch.setattr("exporter.notify.transport.greeting.machine_name", lambda: None)


def test_the_greeting_is_a_name_that_relays_take(nameless: None, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Mailbox()
    with mail_server(box) as port:
        notifier(port).deliver(ALARM)
        notifier(port, helo_name="hb.example.net").deliver(ALARM)
        notifier(port, helo_name="[192.0.2.7]").deliver(ALARM)
        notifier(port, **{"from": "root@localhost"}).deliver(ALARM)
        monkeypatch.setattr("exporter.notify.transport.greeting.machine_name", lambda: "web1.example.com")
        notifier(port).deliver(ALARM)
    assert box.hello == [
        *("EHLO example.org", "EHLO hb.example.net", "EHLO [192.0.2.7]", "EHLO [127.0.0.1]", "EHLO web1.example.com")
    ]
    assert len(box.received) == 5


@pytest.mark.parametrize(
    ("greeting", "retry", "said"),
    [
        ("421 4.7.1 closing (EHLO)", True, "127.0.0.1 answered 421 4.7.1 closing (EHLO) to EHLO example.org"),
        ("450 4.7.1 your name is not found", True, "450 4.7.1 your name is not found to EHLO example.org"),
        ("550-5.7.1 go\n550 away", False, "127.0.0.1 answered 550 5.7.1 go away to EHLO example.org"),
        ("554 5.7.1 blocked", False, "127.0.0.1 answered 554 5.7.1 blocked to EHLO example.org"),
    ],
)
def test_a_refused_greeting_keeps_the_servers_words(nameless: None, greeting: str, retry: bool, said: str) -> None:
    box = Mailbox(greetings=[greeting])
    with mail_server(box) as port:
        error = failure(notifier(port))
    assert said in str(error)
    assert error.retry is retry
    assert box.hello == ["EHLO example.org"], "a server that knows EHLO is not greeted a second time"


def test_an_old_server_is_greeted_as_it_wants(nameless: None) -> None:
    box = Mailbox(greetings=["502 what?"])
    with mail_server(box) as port:
        notifier(port).deliver(ALARM)
    assert box.hello == ["EHLO example.org", "HELO example.org"]
    assert len(box.received) == 1


def test_without_ehlo_there_is_no_tls_and_no_password(nameless: None, certificate: Certificate) -> None:
    box = Mailbox(greetings=["502 what?"])
    with mail_server(box) as port:
        error = failure(notifier(port, security="starttls"))
    assert str(error) == "127.0.0.1 answered 502 what? to EHLO example.org"
    assert box.hello == ["EHLO example.org"]


def test_a_greeting_refused_after_starttls(nameless: None, certificate: Certificate) -> None:
    box = Mailbox()

    class Second(list[str]):
        def __bool__(self) -> bool:
            return len(box.hello) == 2

    box.greetings = Second(["421 4.3.2 shutting down"])
    with mail_server(box, "starttls", certificate) as port:
        error = failure(notifier(port, security="starttls", ca_file=str(certificate.cert)))
    assert (str(error), error.retry) == ("127.0.0.1 answered 421 4.3.2 shutting down to EHLO example.org", True)
    assert box.hello == ["EHLO example.org"] * 2


def _closing_at(command: str, answer: str) -> Any:
    """Refuses at a command and hangs up at once, as many relays do."""

    def talk(connection: socket.socket) -> None:
        lines = connection.makefile("rb")
        connection.sendall(b"220 relay\r\n")
        mail = False
        for raw in lines:
            line = raw.decode().strip().lower()
            if mail and line != ".":
                continue
            if line.startswith(command):
                connection.sendall(f"{answer}\r\n".encode())
                return
            offers = b"250-relay\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n"
            mail = line == "data"
            connection.sendall(offers if line.startswith("ehlo") else b"354 go\r\n" if mail else b"250 ok\r\n")

    return talk


@pytest.mark.parametrize(
    ("command", "answer", "retry"),
    [
        ("ehlo", "421 4.7.0 too many connections", True),
        ("ehlo", "500 no", False),
        ("ehlo", "554 5.7.1 no", False),
        ("mail", "421 4.7.0 too much mail", True),
        ("mail", "550 5.7.1 sender refused", False),
        ("rcpt", "421 4.7.0 later", True),
        ("rcpt", "550 5.1.1 no such user", True),
        ("data", "421 4.7.0 later", True),
        ("data", "554 5.5.1 no", False),
        (".", "421 4.7.0 later", True),
        (".", "552 5.3.4 too large", False),
    ],
)
def test_a_server_that_refuses_and_hangs_up_is_quoted(nameless: None, command: str, answer: str, retry: bool) -> None:
    with rude_server(_closing_at(command, answer)) as port:
        error = failure(notifier(port))
    assert answer in str(error)
    assert error.retry is retry


def test_a_refused_starttls_is_quoted(nameless: None) -> None:
    with rude_server(_closing_at("starttls", "454 4.7.0 TLS not available")) as port:
        error = failure(notifier(port, security="starttls"))
    assert (str(error), error.retry) == ("127.0.0.1 answered 454 4.7.0 TLS not available", True)


@pytest.mark.parametrize(
    ("banner", "said", "retry"),
    [
        ("554 5.7.1 you are blocked", "127.0.0.1 answered 554 5.7.1 you are blocked", False),
        ("421-busy\r\n421 come later", "127.0.0.1 answered 421 busy come later", True),
        ("SSH-2.0-OpenSSH_9.2", "127.0.0.1 does not answer with SMTP", True),
        ("220 " + "x" * 10_000, "127.0.0.1 does not answer with SMTP", True),
        ("220-more\r\n" * 20_000, "127.0.0.1 does not answer with SMTP", True),
    ],
    ids=["blocked", "busy", "ssh", "long line", "no end"],
)
def test_a_banner_that_is_no_welcome(banner: str, said: str, retry: bool) -> None:
    def talk(connection: socket.socket) -> None:
        connection.sendall(banner.encode() + b"\r\n")
        connection.recv(1000)

    with rude_server(talk) as port:
        error = failure(notifier(port))
    assert (str(error), error.retry) == (said, retry)


def test_a_server_that_hangs_up_during_the_log_in_is_told_by_its_code(certificate: Certificate) -> None:
    tls = certificate.context()

    def talk(raw: socket.socket) -> None:
        with tls.wrap_socket(raw, server_side=True) as connection:
            _closing_at("auth", f"421 4.7.0 too many failures of {PASSWORD}")(connection)

    with rude_server(talk) as port:
        error = failure(notifier(port, security="tls", ca_file=str(certificate.cert), username=USER, password=PASSWORD))
    assert error.retry
    assert "(421)" in str(error)


def test_a_private_address_is_not_even_knocked_at() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        error = failure(notifier(listening.getsockname()[1], allow_private_addresses=False))
        assert error.failure is Failure.FORBIDDEN
        with pytest.raises(BlockingIOError):
            listening.accept()
