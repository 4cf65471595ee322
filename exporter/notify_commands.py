"""`heartbeat-exporter notify test NAME`: does the message arrive?"""

import sys
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exporter.config.settings import NotifierSettings, Settings
from exporter.console import CONFIG_HELP, Group, read_config, told_plainly
from exporter.core.clock import MINUTE, SystemClock
from exporter.core.errors import InvalidValue

if TYPE_CHECKING:
    from exporter.alerting.message import Message

TEST_RULE = "notify-test"
TEST_NAME = "Only a test"
TEST_DESCRIPTION = "Nothing is wrong, and there is nothing to do: somebody ran `heartbeat-exporter notify test`."


@click.group(cls=Group)
def notify() -> None:
    """Tries notifiers."""


@notify.command()
@click.argument("name")
@click.option(
    "--config.file",
    "config_file",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help=CONFIG_HELP.partition(".")[0] + ".",
)
def test(name: str, config_file: Path) -> None:
    """Sends a real alarm and its recovery through the notifier NAME of the configuration.

    Prints what the other side said. The messages say that they are a test. When one of them cannot be delivered, the
    reason is printed and the exit status is 1. Nothing is tried twice, and no running service is needed.

    \b
    Examples:
      heartbeat-exporter notify test ops --config.file heartbeats.yml
    """
    from exporter.alerting.message import Event
    from exporter.alerting.notifier import DeliveryFailed
    from exporter.alerting.notifiers import notifier_class

    with told_plainly():
        settings = read_config(config_file).settings
        chosen = _find(settings, name)
        notifier = notifier_class(chosen.type)(chosen.options)
    key = f"test-{uuid.uuid4().hex}"
    for event in (Event.TRIGGERED, Event.RESOLVED):
        try:
            said = notifier.deliver(_message(event, settings, key))
        except DeliveryFailed as error:
            click.echo(f"{event}: not delivered to {name} ({chosen.type}): {error}", err=True)
            sys.exit(1)
        click.echo(f"{event}: delivered to {name} ({chosen.type}): {said or 'no answer, and none is needed'}")


def _find(settings: Settings, name: str) -> NotifierSettings:
    for one in settings.notifiers:
        if one.name == name:
            return one
    known = ", ".join(one.name for one in settings.notifiers)
    hint = f"it has {known}" if known else "it has none: describe them under notifiers"
    raise InvalidValue(f"the configuration has no notifier {name[:100]!r}: {hint}")


def _message(event: str, settings: Settings, key: str) -> "Message":
    """The sample, marked as what it is: whoever gets it must not begin to repair a backup."""
    from exporter.alerting.message import Event, Site
    from exporter.alerting.samples import sample

    # The sample's recovery comes 47 minutes after its alarm: both lie in the past.
    message = sample(Event(event), Site(settings.web.url), SystemClock().now() - 48 * MINUTE, key=key)
    marks = {"rule": TEST_RULE, "name": TEST_NAME, "description": TEST_DESCRIPTION, "incident_id": None}
    return replace(message, alerts=tuple(facts.model_copy(update=marks) for facts in message.alerts))
