"""All that dialects and notifiers of other packages need. No other import path is promised to stay.

A dialect comes in by the entry point `heartbeat_exporter.dialects` (docs/dialects.md), a notifier by
`heartbeat_exporter.notifiers` (docs/notifications.md).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from exporter.core.errors import Conflict, InvalidValue, NotFound, StorageUnavailable
from exporter.core.heartbeat import Kind
from exporter.core.monitor import Monitor
from exporter.core.telemetry import RejectReason
from exporter.ingest.body import Body, output_of, text_of
from exporter.ingest.credentials import Grant
from exporter.ingest.dialect import Dialect, ManagedDialect, Management, Resource
from exporter.ingest.errors import Denied, IngestError, NotStored
from exporter.ingest.intake import Beat, Ingest
from exporter.ingest.request import Basic, Request
from exporter.ingest.response import JSON, TEXT, Response
from exporter.ingest.routes import Route
from exporter.presentation.sent_moments import read_moment

if TYPE_CHECKING:
    from exporter.config.alert_models import NotifierOptions
    from exporter.config.fields import SecretText, SecretUrl, Url
    from exporter.config.settings import Secret
    from exporter.core.alerts.alert_rule import Severity
    from exporter.notify.chat import AlertDetails, ChatNotifier, ChatOptions
    from exporter.notify.notifier import DeliveryFailed, Failure, Notifier
    from exporter.notify.templates import JsonTemplateText, TemplateText, worded
    from exporter.notify.transport.http import HttpClient
    from exporter.presentation.describe import headline, icon, plain_text
    from exporter.presentation.message import AlertSnapshot, Message, Site
    from exporter.presentation.text import shorten, tail

_OF_NOTIFIERS = {
    "AlertDetails": "exporter.notify.chat",
    "AlertSnapshot": "exporter.presentation.message",
    "ChatNotifier": "exporter.notify.chat",
    "ChatOptions": "exporter.notify.chat",
    "DeliveryFailed": "exporter.notify.notifier",
    "Failure": "exporter.notify.notifier",
    "HttpClient": "exporter.notify.transport.http",
    "JsonTemplateText": "exporter.notify.templates",
    "Message": "exporter.presentation.message",
    "Notifier": "exporter.notify.notifier",
    "NotifierOptions": "exporter.config.alert_models",
    "Secret": "exporter.config.settings",
    "SecretText": "exporter.config.fields",
    "SecretUrl": "exporter.config.fields",
    "Severity": "exporter.core.alerts.alert_rule",
    "Site": "exporter.presentation.message",
    "TemplateText": "exporter.notify.templates",
    "Url": "exporter.config.fields",
    "headline": "exporter.presentation.describe",
    "icon": "exporter.presentation.describe",
    "plain_text": "exporter.presentation.describe",
    "shorten": "exporter.presentation.text",
    "tail": "exporter.presentation.text",
    "worded": "exporter.notify.templates",
}
"""Imported when they are first asked for: a dialect must not cost the memory of what only notifiers use."""

__all__ = [
    "JSON",
    "TEXT",
    "AlertDetails",
    "AlertSnapshot",
    "Basic",
    "Beat",
    "Body",
    "ChatNotifier",
    "ChatOptions",
    "Conflict",
    "DeliveryFailed",
    "Denied",
    "Dialect",
    "Failure",
    "Grant",
    "HttpClient",
    "Ingest",
    "IngestError",
    "InvalidValue",
    "JsonTemplateText",
    "Kind",
    "ManagedDialect",
    "Management",
    "Message",
    "Monitor",
    "NotFound",
    "NotStored",
    "Notifier",
    "NotifierOptions",
    "RejectReason",
    "Request",
    "Resource",
    "Response",
    "Route",
    "Secret",
    "SecretText",
    "SecretUrl",
    "Severity",
    "Site",
    "StorageUnavailable",
    "TemplateText",
    "Url",
    "headline",
    "icon",
    "output_of",
    "plain_text",
    "read_moment",
    "shorten",
    "tail",
    "text_of",
    "worded",
]


def __getattr__(name: str) -> Any:
    module = _OF_NOTIFIERS.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(module), name)
