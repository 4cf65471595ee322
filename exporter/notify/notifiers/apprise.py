"""Apprise: the many other services, by the URLs of that library. It is an extra, imported only where it is used.

The library knows whether a service took a message, and not why it did not; so every failure is tried again.
"""

import logging
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from exporter.config.alert_models import NotifierOptions
from exporter.config.settings import Secret
from exporter.core.alerts.alert_rule import Severity
from exporter.core.errors import InvalidValue
from exporter.notify.notifier import DeliveryFailed, Failure, Notifier
from exporter.notify.options import SecretLines
from exporter.notify.templates import TemplateText, worded
from exporter.presentation.describe import headline, icon, plain_text
from exporter.presentation.message import Event, Message
from exporter.presentation.text import one_line, readable

_KINDS = {Severity.CRITICAL: "failure", Severity.WARNING: "warning", Severity.INFO: "info"}
_LOGGER = "apprise"


@dataclass(frozen=True, slots=True)
class _Service:
    """One URL, by its parts that are not secret."""

    place: int
    """From 1, in the configuration."""
    scheme: str
    channel: Any

    def __str__(self) -> str:
        return f"urls[{self.place}] ({self.scheme})"


def _services(urls: list[Secret]) -> list[_Service]:
    """Raises InvalidValue, which quotes nothing, if the library or a URL cannot be used."""
    if find_spec("apprise") is None:
        raise InvalidValue("requires the package apprise: pip install 'heartbeat-exporter[apprise]'")
    apprise: Any = import_module("apprise")
    # It logs URLs, and at debug level what it sends; what matters is in the failure of a delivery.
    logging.getLogger(_LOGGER).disabled = True
    asset = apprise.AppriseAsset(app_id="Heartbeat Exporter", async_mode=False, secure_logging=True)
    services = []
    for place, url in enumerate(urls, start=1):
        text = url.reveal().strip()
        channel = apprise.Apprise(asset=asset)
        if "://" not in text or not channel.add(text):
            raise InvalidValue(f"number {place} is not a URL that Apprise supports")
        services.append(_Service(place, text.partition("://")[0], channel))
    return services


def _usable(urls: list[Secret]) -> list[Secret]:
    _services(urls)
    return urls


class AppriseOptions(NotifierOptions):
    """Apprise."""

    urls: Annotated[SecretLines, AfterValidator(_usable)] = Field(
        description="Apprise URLs of the services; `urls_file` contains one URL per line."
    )

    title: TemplateText | None = Field(None, description="Template of the title.")
    body: TemplateText | None = Field(None, description="Template of the body.")

    @model_validator(mode="after")
    def _anywhere(self) -> Self:
        if not self.allow_private_addresses:
            raise InvalidValue("allow_private_addresses cannot be false: Apprise opens its own connections")
        return self


class AppriseNotifier(Notifier):
    """One message to each service."""

    Options = AppriseOptions

    def __init__(self, options: AppriseOptions) -> None:
        super().__init__(options)
        self._services = _services(options.urls)
        self._key = ""
        self._taken: set[int] = set()
        """Places of those that have the message; the next try leaves them out."""

    def deliver(self, message: Message) -> str:
        if message.key != self._key:
            self._key, self._taken = message.key, set()
        missing = []
        for service in self._services:
            if service.place in self._taken:
                continue
            if self._send(service, message):
                self._taken.add(service.place)
            else:
                missing.append(str(service))
        if missing:
            text = f"Apprise could not deliver to {', '.join(missing)}"
            raise DeliveryFailed(Failure.SERVER_ERROR, text, retry=True)
        return f"Apprise: {len(self._services)} of {len(self._services)} services accepted it"

    def _send(self, service: _Service, message: Message) -> bool:
        kind = "success" if message.event is Event.RESOLVED else _KINDS[message.severity]
        taken = service.channel.notify(
            title=one_line(worded(self.options.title, message, f"{icon(message)} {headline(message)}")),
            body=readable(worded(self.options.body, message, plain_text(message))),
            notify_type=kind,
            body_format="text",
        )
        return bool(taken)
