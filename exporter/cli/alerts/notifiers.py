"""`heartbeat-exporter notify test NAME`: sends a test alert."""

import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exporter.cli._console import CONFIG_HELP, Group, read_config, report_errors
from exporter.config.settings import NotifierSettings, Settings
from exporter.core.clock import MINUTE, SystemClock
from exporter.core.errors import InvalidValue

if TYPE_CHECKING:
    from exporter.presentation.message import Event, Message

TEST_RULE = "notify-test"
TEST_NAME = "Test alert"
TEST_DESCRIPTION = "This is only a test of the notifier (`heartbeat-exporter notify test`): no action is needed."


@click.group(cls=Group)
def notify() -> None:
    """Tests notifiers."""


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
    """Sends a test alert through the notifier NAME.

    The command sends an alert and its resolution, and prints the receiver's response to each. Both messages say that
    they are a test. If one cannot be delivered, the command prints the reason and exits with status 1. It does not
    retry, and needs no running service.

    \b
    Examples:
      heartbeat-exporter notify test ops --config.file heartbeats.yml
    """
    from exporter.notify.notifier import DeliveryFailed
    from exporter.notify.notifiers import notifier_class
    from exporter.presentation.message import Event

    with report_errors():
        settings = read_config(config_file).settings
        chosen = _find(settings, name)
        notifier = notifier_class(chosen.type)(chosen.options)
    key, began = f"test-{uuid.uuid4().hex}", SystemClock().now()
    for event in (Event.TRIGGERED, Event.RESOLVED):
        try:
            answer = notifier.deliver(_message(event, settings, key, began))
        except DeliveryFailed as error:
            click.echo(f"{event}: not delivered to {name} ({chosen.type}): {error}", err=True)
            sys.exit(1)
        click.echo(f"{event}: delivered to {name} ({chosen.type}): {answer or 'the receiver returned no text'}")


def _find(settings: Settings, name: str) -> NotifierSettings:
    for notifier in settings.notifiers:
        if notifier.name == name:
            return notifier
    names = ", ".join(notifier.name for notifier in settings.notifiers)
    hint = f"it has {names}" if names else "it has none: define them under notifiers"
    raise InvalidValue(f"the configuration has no notifier {name[:100]!r}: {hint}")


def _message(event: "Event", settings: Settings, key: str, began: int) -> "Message":
    """Returns a message that is marked as a test, so that its reader repairs nothing. Its links lead to the page."""
    from exporter.core.alerts.alert import ResolveReason
    from exporter.core.alerts.alert_rule import Severity
    from exporter.core.status import Reason, Status
    from exporter.presentation.message import AlertSnapshot, Event, Message, Site

    class SampleSite(Site):
        """Links to the status page: a test has no monitor and no incident."""

        def monitor_url(self, tag: str) -> str:
            return f"{self.url}/"

        def incident_url(self, id: int) -> str:
            return f"{self.url}/"

    now, resolved = SystemClock().now(), event is Event.RESOLVED
    facts = AlertSnapshot(
        alert_id=f"{key}-0",
        rule=TEST_RULE,
        severity=Severity.CRITICAL,
        description=TEST_DESCRIPTION,
        tag=TEST_RULE,
        name=TEST_NAME,
        status=Status.DOWN,
        reason=Reason.MISSED,
        at=now,
        triggered_at=began,
        resolved_at=now if resolved else None,
        ending=ResolveReason.RECOVERED if resolved else None,
        last_success_at=began - 12 * MINUTE,
        due_at=began - 12 * MINUTE,
        since=began - 2 * MINUTE,
        output="The end of the job's output appears here.\n",
    )
    answers = (f"{key}-{Event.TRIGGERED.lower()}",) if resolved else ()
    site = SampleSite(settings.web.url)
    return Message(f"{key}-{event.lower()}", event, (facts,), site, now, answers=answers, is_test=True)
