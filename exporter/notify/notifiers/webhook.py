"""Any URL: a flat JSON object of all that templates may use, or what a template makes of it; signed if wished.

The signature is `X-Heartbeat-Signature: t=<Unix seconds>,v1=<hex>`, where v1 is HMAC-SHA256 with the signing secret
over `t`, a dot and the body: the age shows that a recorded request is replayed.
"""

import hmac
import json
import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, PlainValidator, StrictStr, ValidationInfo, model_validator

from exporter.config.alert_models import NotifierOptions
from exporter.config.fields import SecretText, SecretUrl
from exporter.config.settings import Secret
from exporter.core.clock import SECOND, Clock, SystemClock
from exporter.core.errors import InvalidValue
from exporter.notify.context import variables
from exporter.notify.notifier import DeliveryFailed, Failure, Notifier
from exporter.notify.templates import TEMPLATE, Template, made_template
from exporter.notify.transport.http import IDEMPOTENCY_KEY, HttpClient
from exporter.presentation.describe import headline, plain_text
from exporter.presentation.message import Message

SIGNATURE = "X-Heartbeat-Signature"
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_OURS = {SIGNATURE.lower(), IDEMPOTENCY_KEY.lower()} | {"content-type", "content-length", "transfer-encoding"}
MAX_HEADERS = 32


def _headers(headers: dict[str, Secret]) -> dict[str, Secret]:
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise InvalidValue(f"{name[:40]!r} is not a header's name")
        if name.lower() in _OURS:
            raise InvalidValue(f"{name} is set by the notifier")
        _header_value(value)
    if len({name.lower() for name in headers}) < len(headers):
        raise InvalidValue("must not contain a header twice")
    return headers


def _header_value(value: Secret) -> Secret:
    text = value.reveal()
    if not text.isascii() or not text.isprintable():
        raise InvalidValue("a header's value must be printable ASCII, in one line")
    return value


def _body(value: object, info: ValidationInfo) -> Template:
    """JSON if the content type says so; for any other, the escaping is unknown."""
    content_type = str(info.data.get("content_type", "application/json"))
    return made_template(value, "json" if is_json(content_type) else "text")


def is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def _content_type(text: str) -> str:
    if not re.fullmatch(r"[\w.+-]+/[\w.+-]+(;[ -~]*)?", text, re.ASCII):
        raise InvalidValue("must be a media type such as application/json or text/plain; charset=utf-8")
    return text


class WebhookOptions(NotifierOptions):
    url: SecretUrl = Field(description="URL to send the notification to.")
    method: Literal["POST", "PUT", "PATCH"] = Field("POST", description="HTTP method.")
    headers: Annotated[dict[str, SecretText], Field(max_length=MAX_HEADERS), AfterValidator(_headers)] = Field(
        default_factory=dict, description="Additional headers; their values are secret."
    )
    authorization: Annotated[SecretText, AfterValidator(_header_value)] | None = Field(
        None, description="Value of the `Authorization` header, such as `Bearer …`."
    )
    content_type: Annotated[StrictStr, Field(max_length=200), AfterValidator(_content_type)] = Field(
        "application/json", description="Content type of the body."
    )
    body: Annotated[Template, PlainValidator(_body), *TEMPLATE] | None = Field(
        None, description="Template of the body, which is JSON unless `content_type` is another type."
    )
    signing_secret: SecretText | None = Field(None, description="Secret that signs each request with HMAC-SHA256.")

    @model_validator(mode="after")
    def _has_a_body(self) -> Self:
        if self.body is None and not is_json(self.content_type):
            raise InvalidValue("requires a body, because content_type is not JSON")
        return self


class WebhookNotifier(Notifier):
    Options = WebhookOptions

    def __init__(self, options: WebhookOptions, clock: Clock | None = None) -> None:
        super().__init__(options)
        self._clock = clock or SystemClock()
        self._url = options.url.reveal()
        self._headers = {name: value.reveal() for name, value in options.headers.items()}
        if options.authorization is not None:
            self._headers["Authorization"] = options.authorization.reveal()
        self._signing = options.signing_secret.reveal().encode() if options.signing_secret is not None else None
        credentials = [value.rpartition(" ")[2] for value in self._headers.values()]
        hidden = [options.signing_secret.reveal()] if options.signing_secret is not None else []
        self._http = HttpClient(options, [self._url, *self._headers.values(), *credentials, *hidden])

    def deliver(self, message: Message) -> str:
        own = self._own_body(message)
        content_type, body = (self.options.content_type, own) if own is not None else self._default_body(message)
        headers = {**self._headers, "Content-Type": content_type}
        if self._signing is not None:
            headers[SIGNATURE] = signature(self._signing, body, self._clock.now() // SECOND)
        try:
            answer = self._http.send(self.options.method, self._url, key=message.key, body=body, headers=headers)
        except DeliveryFailed as error:
            if own is not None or self.options.body is None or error.failure is not Failure.REJECTED:
                raise
            # The receiver did not refuse what the template makes: that may be rendered next time.
            text = f"the body could not be rendered, and the receiver refused the default body: {error}"
            raise DeliveryFailed(error.failure, text, retry=True) from None
        return f"{answer.status} {answer.text}".strip()

    def _own_body(self, message: Message) -> bytes | None:
        """What the template makes; None without one, and when it fails after all."""
        template: Template | None = self.options.body
        try:
            return template.render(message).encode("utf-8", "replace") if template is not None else None
        except InvalidValue:
            return None

    def _default_body(self, message: Message) -> tuple[str, bytes]:
        """Content type and body. A receiver of plain text gets plain text."""
        content_type = self.options.content_type
        if content_type.partition(";")[0].strip().lower() == "text/plain":
            return content_type, f"{headline(message)}\n\n{plain_text(message)}".encode("utf-8", "replace")
        body = json.dumps(payload(message), ensure_ascii=False).encode("utf-8", "replace")
        return content_type if is_json(content_type) else "application/json", body


def payload(message: Message) -> dict[str, Any]:
    """The default body."""
    return variables(message)


def signature(secret: bytes, body: bytes, at: int) -> str:
    """`at` in Unix seconds."""
    return f"t={at},v1={hmac.new(secret, f'{at}.'.encode() + body, 'sha256').hexdigest()}"
