"""What a mail looks like, and what its options take."""

import re
from dataclasses import replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from exporter.notify.notifiers.email import EmailNotifier, EmailOptions
from exporter.notify.samples import nasty_samples, sample, samples
from exporter.notify.transport.smtp import SmtpServer
from exporter.presentation.message import Event, Message

GOOD: dict[str, Any] = {
    "name": "mail",
    "type": "email",
    "host": "smtp.example.org",
    "from": "hb@example.org",
    "to": "ops@example.org",
}


def options(**given: Any) -> EmailOptions:
    return EmailOptions.model_validate({**GOOD, **given})


def mail_of(message: Message, **given: Any) -> EmailMessage:
    """As it is read at the other end."""
    read = message_from_bytes(EmailNotifier(options(**given)).mail(message).as_bytes(), policy=default)
    assert isinstance(read, EmailMessage)
    return read


@pytest.mark.parametrize("message", [*samples(), *nasty_samples()], ids=lambda message: message.key)
def test_no_value_breaks_out_of_its_place(message: Message) -> None:
    read = mail_of(message)
    assert not read.defects
    assert read.keys() == [
        *("Subject", "From", "To", "Date", "Message-ID"),
        *(("In-Reply-To", "References") if message.answers else ()),
        *("Auto-Submitted", "X-Auto-Response-Suppress", "MIME-Version", "Content-Type"),
    ]
    assert len(" ".join(read["Subject"].split())) <= 250, "folding may double a space"
    assert not re.search("[\x00-\x1f\x7f-\x9f]", read["Subject"])
    text, html = (part.get_content() for part in read.iter_parts())
    assert "\x1b" not in text + html
    # Tags are the template's own.
    assert {tag.lower() for tag in re.findall(r"<([a-zA-Z]+)", html)} <= {
        *("html", "head", "meta", "title", "style", "body", "div", "h", "p", "table", "tr", "td", "pre", "a")
    }
    assert "<script" not in html
    assert "javascript:" not in html


def test_header_injection() -> None:
    message = sample(Event.TRIGGERED)
    facts = replace(message.first, name="job\r\nBcc: victim@example.org\r\n\r\nbody")
    key = "k\r\nBcc: victim@example.org"
    read = mail_of(Message(key, Event.TRIGGERED, (facts,), message.site, message.enqueued_at, answers=(key,)))
    assert read["Bcc"] is None
    assert read["Message-ID"] == "<k--Bcc--victim-example.org@example.org>"
    assert "job Bcc: victim@example.org body" in read["Subject"]


def test_templates_take_the_place_of_our_words() -> None:
    read = mail_of(
        sample(Event.TRIGGERED),
        subject="{{ alert_name }}\n is {{ alert_value }}",
        text="Status: {{ alert_status }}",
        html="<p>{{ description }} {{ '<b>' }}</p>",
    )
    assert read["Subject"] == "backup-missed: Nightly backup is DOWN"
    text, html = (part.get_content().strip() for part in read.iter_parts())
    assert text == "Status: TRIGGERED"
    assert html == "<p>Free some space on the archive disk, then start backup.sh by hand. &lt;b&gt;</p>"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"to": []}, "to needs at least one address"),
        ({"to": ["a@example.org"] * 101}, "100 addresses"),
        ({"to": "ops"}, "must be an address"),
        ({"to": "a@example.org, b@example.org"}, "must be an address"),
        ({"to": "Ops, Night <a@example.org>"}, "must be an address"),
        ({"to": "friends: a@example.org;"}, "must be an address"),
        ({"to": "a@example.org\nBcc: b@example.org"}, "printable"),
        ({"to": "a b@example.org"}, "must be an address"),
        ({"to": "@example.org"}, "must be an address"),
        ({"to": "<>"}, "must be an address"),
        ({"to": ""}, "must be an address"),
        ({"to": "ö@example.org"}, "must be an address"),
        ({"to": "ops@straße.de"}, "write it in ASCII, xn--strae-oqa.de"),
        ({"cc": "Ops <ops@mail.straße.de>"}, "write it in ASCII, mail.xn--strae-oqa.de"),
        ({"from": "hb@βόλος.com"}, "write it in ASCII, xn--nxasmm1c.com"),
        ({"host": "smtp.straße.de"}, "write the host's name in ASCII: smtp.xn--strae-oqa.de"),
        ({"helo_name": "localhost"}, "must be a full name"),
        ({"helo_name": "a b.example"}, "must be a full name"),
        ({"helo_name": "1.2.3.4"}, "must be a full name"),
        ({"helo_name": "web1.example.org\r\nMAIL"}, "printable"),
        ({"helo_name": "web_1.example.org"}, "must be a full name"),
        ({"from": "nobody"}, "must be an address"),
        ({"cc": "x@"}, "must be an address"),
        ({"host": "smtp://x"}, "must be a host's name"),
        ({"host": ""}, "must be a host's name"),
        ({"port": 0}, "greater than or equal to 1"),
        ({"port": 70000}, "less than or equal to 65535"),
        ({"security": "ssl"}, "'starttls', 'tls' or 'none'"),
        ({"username": "u"}, "give username and password, or neither"),
        ({"password": "SESAME"}, "give username and password, or neither"),
        ({"username": "u", "password": "SESAMEö"}, "only ASCII characters"),
        ({"username": "u", "password": "SESAME", "security": "none"}, "sent unencrypted"),
        ({"ca_file": "/nowhere/ca.pem"}, "is not a file"),
        ({"subject": "{{ nothing_known }}"}, "nothing_known"),
        ({"subject_prefix": "a\nb"}, "printable"),
        ({"unknown": 1}, "Extra inputs"),
    ],
)
def test_options_that_cannot_be(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        options(**given)
    assert said in str(caught.value)
    assert "SESAME" not in str(caught.value)


def test_a_file_that_is_no_certificate(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(ValidationError, match="no certificate in PEM"):
        options(ca_file=str(tmp_path / "ca.pem"))


def test_names_may_be_in_any_script() -> None:
    read = mail_of(
        sample(Event.TRIGGERED), **{"from": "Überwachung <hb@bücher.example>", "to": ["Оля <o@example.org>"]}
    )
    assert read["From"] == "Überwachung <hb@xn--bcher-kva.example>"
    assert read["To"] == "Оля <o@example.org>"
    assert read["Message-ID"] == "<sample-triggered@xn--bcher-kva.example>"


@pytest.mark.parametrize(("security", "port"), [("starttls", 587), ("tls", 465), ("none", 25)])
def test_ports(security: str, port: int) -> None:
    sender = EmailNotifier(options(security=security))
    assert sender._server._server.port == port


def test_nothing_prints_the_password() -> None:
    given = options(username="u", password="SESAME-password")
    sender = EmailNotifier(given)
    server = SmtpServer("h", 1, "tls", 1.0, username="u", password="SESAME-password")
    for shown in (repr(given), str(given), given.model_dump_json(), repr(sender), repr(server), repr(sender._server)):
        assert "SESAME" not in shown
