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
from exporter.ingest.body import Body, text_of
from exporter.ingest.credentials import Grant
from exporter.ingest.dialect import Dialect, ManagedDialect, Resource
from exporter.ingest.errors import Denied, IngestError, NotStored
from exporter.ingest.intake import Beat, Ingest
from exporter.ingest.management import Management
from exporter.ingest.request import Basic, Request
from exporter.ingest.response import JSON, TEXT, Response
from exporter.ingest.routes import Route

if TYPE_CHECKING:
    from exporter.alerting.http import HttpClient
    from exporter.alerting.message import Facts, Message, Site
    from exporter.alerting.notifier import DeliveryFailed, Failure, Notifier
    from exporter.alerting.rendering import JsonTemplateText, TemplateText, worded
    from exporter.alerting.text import shorten, tail
    from exporter.alerting.wording import headline, icon, plain_text
    from exporter.config.alert_models import NotifierOptions
    from exporter.config.fields import SecretText, SecretUrl, Url
    from exporter.config.settings import Secret
    from exporter.core.alert_rule import Severity

_OF_NOTIFIERS = {
    "DeliveryFailed": "exporter.alerting.notifier",
    "Facts": "exporter.alerting.message",
    "Failure": "exporter.alerting.notifier",
    "HttpClient": "exporter.alerting.http",
    "JsonTemplateText": "exporter.alerting.rendering",
    "Message": "exporter.alerting.message",
    "Notifier": "exporter.alerting.notifier",
    "NotifierOptions": "exporter.config.alert_models",
    "Secret": "exporter.config.settings",
    "SecretText": "exporter.config.fields",
    "SecretUrl": "exporter.config.fields",
    "Severity": "exporter.core.alert_rule",
    "Site": "exporter.alerting.message",
    "TemplateText": "exporter.alerting.rendering",
    "Url": "exporter.config.fields",
    "headline": "exporter.alerting.wording",
    "icon": "exporter.alerting.wording",
    "plain_text": "exporter.alerting.wording",
    "shorten": "exporter.alerting.text",
    "tail": "exporter.alerting.text",
    "worded": "exporter.alerting.rendering",
}
"""Imported when they are first asked for: a dialect must not cost the memory of what only notifiers use."""

__all__ = [
    "JSON",
    "TEXT",
    "Basic",
    "Beat",
    "Body",
    "Conflict",
    "DeliveryFailed",
    "Denied",
    "Dialect",
    "Facts",
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
    "plain_text",
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
