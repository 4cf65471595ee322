"""The notifiers. A new one is a module here and a line in NOTIFIERS; others' come in by entry point.

They are imported when a configuration first names them: unused ones cost no memory.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from exporter.core.errors import InvalidValue
from exporter.notify.notifier import Notifier

if TYPE_CHECKING:
    from exporter.config.alert_models import NotifierOptions

NOTIFIERS: Mapping[str, str] = {
    "alertmanager": "exporter.notify.notifiers.alertmanager:AlertmanagerNotifier",
    "apprise": "exporter.notify.notifiers.apprise:AppriseNotifier",
    "discord": "exporter.notify.notifiers.discord:DiscordNotifier",
    "email": "exporter.notify.notifiers.email:EmailNotifier",
    "msteams": "exporter.notify.notifiers.msteams:TeamsNotifier",
    "ntfy": "exporter.notify.notifiers.ntfy:NtfyNotifier",
    "opsgenie": "exporter.notify.notifiers.opsgenie:OpsgenieNotifier",
    "pagerduty": "exporter.notify.notifiers.pagerduty:PagerDutyNotifier",
    "slack": "exporter.notify.notifiers.slack:SlackNotifier",
    "telegram": "exporter.notify.notifiers.telegram:TelegramNotifier",
    "webhook": "exporter.notify.notifiers.webhook:WebhookNotifier",
}
"""By the name under which a configuration knows them."""
ENTRY_POINT = "heartbeat_exporter.notifiers"


def notifier_types() -> list[str]:
    """The names of all types, our own and those that installed packages bring."""
    return sorted({*NOTIFIERS, *(point.name for point in entry_points(group=ENTRY_POINT))})


def notifier_class(name: str) -> type[Notifier]:
    """Raises InvalidValue when there is no such notifier."""
    where = NOTIFIERS.get(name)
    if where is not None:
        module, _, attribute = where.partition(":")
        built_in: type[Notifier] = getattr(import_module(module), attribute)
        return built_in
    for point in entry_points(group=ENTRY_POINT, name=name):
        loaded: type[Notifier] = point.load()
        return loaded
    raise InvalidValue(f"there is no notifier of type {name!r}: use one of {', '.join(notifier_types())}")


class OptionModels(Mapping[str, "type[NotifierOptions]"]):
    """What each type takes, for the configuration's loader."""

    def __getitem__(self, name: str) -> "type[NotifierOptions]":
        try:
            return notifier_class(name).Options
        except InvalidValue:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(notifier_types())

    def __len__(self) -> int:
        return len(notifier_types())
