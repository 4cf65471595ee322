"""Email by SMTP: one mail a message, as text and as HTML. An alarm and what follows it are one thread."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import AfterValidator, BeforeValidator, Field, StrictStr, model_validator

from exporter.config.alert_models import NotifierOptions
from exporter.config.fields import Line, SecretText
from exporter.config.settings import Secret
from exporter.core.clock import SECOND
from exporter.core.errors import InvalidValue
from exporter.core.hosts import ascii_form, ascii_name
from exporter.notify.notifier import DeliveryFailed, Failure, Notifier
from exporter.notify.options import CaFile, Port
from exporter.notify.templates import HtmlTemplateText, TemplateText, worded
from exporter.notify.transport.endpoints import Endpoint
from exporter.notify.transport.greeting import is_greeting
from exporter.notify.transport.smtp import NONE, PORTS, TLS, SmtpServer, SmtpSession, refusal_texts
from exporter.presentation.describe import (
    LISTED,
    brief,
    color,
    description_of,
    headline,
    icon,
    is_detailed,
    lines,
    links,
    more,
    name_of,
    output_of,
    plain_text,
)
from exporter.presentation.message import Message
from exporter.presentation.text import one_line, shorten

TEMPLATES = Path(__file__).parent
_MAX_SUBJECT = 250
_MAX_RECIPIENTS = 100
# Everything goes out in seven bits: no server has to offer anything.
_POLICY = SMTP.clone(cte_type="7bit")
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,255}")
_HOST = re.compile(r"[A-Za-z0-9.-]{1,255}|[0-9A-Fa-f:]{2,45}")
_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9._-]")


def _host(host: str) -> str:
    if not host.isascii() and host.isprintable():
        raise InvalidValue(f"write the host's name in ASCII: {ascii_form(host)[:300]}")
    if not _HOST.fullmatch(host):
        raise InvalidValue("must be a host's name or address, such as smtp.example.org")
    return host


def _greeting(name: str) -> str:
    if not is_greeting(name):
        raise InvalidValue("must be a full name such as host.example.org, or an address in brackets: [192.0.2.1]")
    return name


def parse_address(text: str) -> Address:
    """Raises InvalidValue unless `text` is one address, with or without a name before it."""
    try:
        header: Any = _POLICY.header_factory("to", text)
        if header.defects or len(header.addresses) != 1 or header.groups[0].display_name is not None:
            raise ValueError(text)
        address = header.addresses[0]
        domain = ascii_name(address.domain)
        plain = f"{address.username}@{domain}"
        if not _ADDRESS.fullmatch(plain):
            raise ValueError(plain)
        return Address(address.display_name, addr_spec=plain)
    except InvalidValue:
        raise
    except (MessageError, ValueError, LookupError, AttributeError):
        raise InvalidValue("must be an address such as ops@example.org or Ops <ops@example.org>") from None


def _address(text: str) -> str:
    parse_address(text)
    return text


def _password(secret: Secret) -> Secret:
    if not secret.reveal().isascii():
        raise InvalidValue("must contain only ASCII characters")
    return secret


def _one_or_more(value: object) -> object:
    return [value] if isinstance(value, str) else value


MailAddress = Annotated[Line, AfterValidator(_address)]
MailAddresses = Annotated[list[MailAddress], BeforeValidator(_one_or_more)]


class EmailOptions(NotifierOptions):
    """Email."""

    host: Annotated[StrictStr, AfterValidator(_host)] = Field(description="Name or address of the SMTP server.")
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="`starttls` (required, never skipped), `tls` from the first byte, or `none`."
    )
    port: Port | None = Field(None, description="Port; by default 587 with starttls, 465 with tls and 25 with none.")
    ca_file: CaFile | None = Field(
        None, description="File of certificates to trust instead of the system's, in PEM format."
    )
    username: Line | None = Field(None, description="User name to log in with.")
    password: Annotated[SecretText, AfterValidator(_password)] | None = Field(
        None, description="Password of that user."
    )
    helo_name: Annotated[Line, AfterValidator(_greeting)] | None = Field(
        None,
        description="Name to send in EHLO; by default the machine's full name, or the domain of `from`.",
    )
    sender: MailAddress = Field(alias="from", description="Sender, such as `Heartbeats <heartbeats@example.org>`.")
    to: MailAddresses = Field(description="Recipients: an address or a list of addresses.")
    cc: MailAddresses = Field(default_factory=list, description="Recipients of a copy.")
    subject_prefix: Line = Field("[Heartbeat]", description="Prefix of every subject.")
    subject: TemplateText | None = Field(None, description="Template of the subject, instead of prefix and headline.")
    text: TemplateText | None = Field(None, description="Template of the text part.")
    html: HtmlTemplateText | None = Field(None, description="Template of the HTML part; values are escaped.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.to:
            raise InvalidValue("to needs at least one address")
        if len(self.to) + len(self.cc) > _MAX_RECIPIENTS:
            raise InvalidValue(f"to and cc may have {_MAX_RECIPIENTS} addresses together: use a mailing list")
        if (self.username is None) != (self.password is None):
            raise InvalidValue("give username and password, or neither")
        if self.username is not None and not self.username.isascii():
            raise InvalidValue("username must contain only ASCII characters")
        if self.username is not None and self.security == NONE:
            raise InvalidValue("the password would be sent unencrypted: set security to starttls or tls")
        return self


class EmailNotifier(Notifier):
    """One mail to all recipients. A retry leaves out recipients whose server accepted it."""

    Options = EmailOptions

    def __init__(self, options: EmailOptions) -> None:
        super().__init__(options)
        self._sender = parse_address(options.sender)
        self._recipients = list(dict.fromkeys(parse_address(text).addr_spec for text in (*options.to, *options.cc)))
        self._server = SmtpSession(
            SmtpServer(
                host=options.host,
                port=options.port or PORTS[options.security],
                security=options.security,
                seconds=options.timeout / SECOND,
                ca_file=options.ca_file,
                public_only=not options.allow_private_addresses,
                username=options.username,
                password=options.password.reveal() if options.password is not None else None,
                helo_name=options.helo_name,
                sender_domain=self._sender.domain,
            )
        )
        self._key = ""
        self._taken: set[str] = set()

    def endpoints(self) -> Sequence[Endpoint]:
        options = self.options
        port = options.port or PORTS[options.security]
        return (Endpoint(options.host, port, options.security == TLS, options.ca_file, by_http=False),)

    def deliver(self, message: Message) -> str:
        if message.key != self._key:
            self._key, self._taken = message.key, set()
        missing = [recipient for recipient in self._recipients if recipient not in self._taken]
        mail = self.mail(message).as_bytes(policy=_POLICY)
        try:
            refused = self._server.send(self._sender.addr_spec, missing, mail)
        except DeliveryFailed as error:
            if self._taken and not error.retry:
                return f"accepted for {', '.join(sorted(self._taken))}; {error}"
            raise
        self._taken |= {recipient for recipient in missing if recipient not in refused}
        taken = f"accepted for {', '.join(recipient for recipient in self._recipients if recipient in self._taken)}"
        if not refused:
            return taken
        text = f"{taken}; refused {refusal_texts(refused)}"
        if any(refusal.temporary for refusal in refused.values()):
            raise DeliveryFailed(Failure.SERVER_ERROR, text, retry=True)
        return text

    def mail(self, message: Message) -> EmailMessage:
        """The same for the same message, to the last byte but for the boundary of its parts."""
        options = self.options
        mail = EmailMessage(_POLICY)
        mail["Subject"] = self._subject(message)
        mail["From"] = self._sender
        mail["To"] = [parse_address(text) for text in options.to]
        if options.cc:
            mail["Cc"] = [parse_address(text) for text in options.cc]
        mail["Date"] = format_datetime(datetime.fromtimestamp(message.enqueued_at / SECOND, UTC))
        mail["Message-ID"] = self._id(message.key)
        if message.answers:
            mail["In-Reply-To"] = self._id(message.answers[-1])
            mail["References"] = " ".join(map(self._id, message.answers))
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Auto-Response-Suppress"] = "All"  # what Exchange goes by
        mail.set_content(_encodable(worded(options.text, message, text_of(message))))
        mail.add_alternative(_encodable(worded(options.html, message, html_of(message))), subtype="html")
        return mail

    def _subject(self, message: Message) -> str:
        subject = worded(self.options.subject, message, f"{self.options.subject_prefix} {headline(message)}")
        return shorten(one_line(subject), _MAX_SUBJECT)

    def _id(self, key: str) -> str:
        return f"<{_NOT_IN_AN_ID.sub('-', key)}@{self._sender.domain}>"


def _encodable(text: str) -> str:
    """Halves of surrogate pairs, which a template may let through, have no encoding."""
    return text.encode("utf-8", "replace").decode()


def text_of(message: Message) -> str:
    return f"{headline(message)}\n\n{plain_text(message)}\n\n-- \n{message.site.name}, {message.site.url}/\n"


def html_of(message: Message) -> str:
    return (
        _templates()
        .get_template("email.html")
        .render(
            message=message,
            site=message.site,
            headline=headline(message),
            icon=icon(message),
            color=color(message),
            preview=" · ".join(f"{line.label}: {line.value}" for line in lines(message.first, message)[1:3]),
            detailed=is_detailed(message),
            alerts=[_alert_values(facts, message) for facts in message.alerts[:LISTED]],
            more=more(message),
        )
    )


def _alert_values(facts: Any, message: Message) -> dict[str, Any]:
    return {
        "name": name_of(facts),
        "brief": brief(facts, message),
        "color": color(message, facts),
        "icon": icon(message, facts),
        "lines": lines(facts, message),
        "links": links(facts, message.site),
        "description": description_of(facts, message),
        "output": output_of(facts, message),
    }


@lru_cache(maxsize=1)
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
