"""What a notifier is: one small module with the options it takes and ONE method that delivers a message.

Retrying, grouping and giving up are stages around it, in `sender`. It says whether it failed, and whether trying again
helps. Ours live in `exporter.notify.notifiers`; others come in by the entry point `heartbeat_exporter.notifiers`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from exporter.config.settings import Secret
from exporter.core.errors import HeartbeatExporterError
from exporter.notify.transport.endpoints import Endpoint, endpoint_of
from exporter.presentation.message import AlertSnapshot, Message, Site

if TYPE_CHECKING:
    from exporter.config.alert_models import NotifierOptions


class Failure(StrEnum):
    """Why a delivery failed; a label of `heartbeat_exporter_notifications_failed_total`."""

    CONNECT = "connect"
    """No connection: refused, reset, no such host, a TLS certificate that does not verify."""
    TIMEOUT = "timeout"
    """No answer in time."""
    RATE_LIMITED = "rate_limited"
    """The service asked for a later attempt."""
    SERVER_ERROR = "server_error"
    """The other side has trouble of its own."""
    REJECTED = "rejected"
    """The other side will never take it as it is."""
    FORBIDDEN = "forbidden"
    """Our own settings forbid it: a private address."""
    INTERNAL = "internal"
    """A defect of the notifier."""
    TEMPLATE = "template"
    """A template could not be rendered: the message is sent in the default words instead."""
    REMOVED = "removed"
    """The configuration no longer has the notifier."""


class DeliveryFailed(HeartbeatExporterError):
    """Not delivered. The text says why and holds no secret: it is logged, shown and kept."""

    def __init__(self, failure: Failure, text: str, *, retry: bool, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.failure = failure
        self.retry = retry
        """Whether trying again may help."""
        self.retry_after = retry_after
        """Seconds, when the other side said when."""


@runtime_checkable
class MayFail(Protocol):
    """An option that may fail when it is used: a template. What uses it has something else to send then."""

    def take_failure(self) -> str | None:
        """What went wrong since the last call; without secrets."""


class Notifier(ABC):
    """Base of all notifiers. Created again whenever its options change; used by one thread at a time."""

    Options: "ClassVar[type[NotifierOptions]]"
    """A pydantic model of its settings. Fields of type `SecretText` may be given as `…_file` and never print."""
    refresh_every: ClassVar[float | None] = None
    """Seconds between two calls of `refresh`; None for never."""

    def __init__(self, options: Any) -> None:
        self.options = options

    @abstractmethod
    def deliver(self, message: Message) -> str:
        """Hands the message over and returns what the other side said, in a few words and without secrets.

        Blocks, for as long as its timeouts allow. Raises DeliveryFailed.
        """

    def failed_templates(self) -> dict[str, str]:
        """The options whose templates could not be rendered since the last call, and why."""
        options = self.options
        values = {name: getattr(options, name) for name in type(options).model_fields} if options is not None else {}
        taken = {name: value.take_failure() for name, value in values.items() if isinstance(value, MayFail)}
        return {name: failure for name, failure in taken.items() if failure is not None}

    def endpoints(self) -> Sequence[Endpoint]:
        """Where it connects to, for `doctor`: of the option `url`, unless it says otherwise; empty when unknown."""
        url = getattr(self.options, "url", None)
        if url is None:
            return ()
        text = url.reveal() if isinstance(url, Secret) else str(url)
        return (endpoint_of(text, getattr(self.options, "ca_file", None)),)

    def refresh(self, firing: Sequence[AlertSnapshot], resolved: Sequence[AlertSnapshot], site: Site) -> None:  # noqa: B027
        """Sends the alerts again to a service that forgets them. `resolved` are those of the last few minutes.

        Raises DeliveryFailed; it is called again after `refresh_every` anyway.
        """


Registry = Mapping[str, type[Notifier]]
