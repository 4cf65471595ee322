"""The base of notifiers that post to a chat by the URL of a webhook: a title, and sections about the alerts below it.

The base decides what a message shows: the user's own text, a few alerts in full, or a list of many. The notifier writes
each of these in the markup of its service, within the limits of the service.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from exporter.config.alert_models import NotifierOptions
from exporter.config.fields import SecretUrl
from exporter.notify.notifier import Notifier
from exporter.notify.templates import TemplateText, worded
from exporter.notify.transport.http import HttpClient, HttpResponse
from exporter.presentation.describe import (
    Line,
    description_of,
    is_detailed,
    lines,
    links,
    name_of,
    output_of,
    particulars,
)
from exporter.presentation.message import AlertSnapshot, Message

Section = dict[str, Any]
"""A part of the body in the JSON of the service: a block, an attachment, an embed."""


class ChatOptions(NotifierOptions):
    """Options of every chat notifier. A notifier with a markup of its own replaces the types of the templates."""

    url: SecretUrl = Field(description="URL of the webhook.")
    title: TemplateText | None = Field(None, description="Plain-text template, instead of the headline.")
    text: TemplateText | None = Field(None, description="Plain-text template, instead of the details.")


@dataclass(frozen=True, slots=True)
class AlertDetails:
    """The parts of one alert that is shown in full; they are plain text of any length."""

    alert: AlertSnapshot
    heading: str
    """The name of the monitor; empty if the title of the message contains it."""
    description: str
    lines: list[Line]
    output: str
    links: list[Line]


class ChatNotifier(Notifier):
    """Posts each message as one JSON object."""

    Options = ChatOptions

    def __init__(self, options: ChatOptions) -> None:
        super().__init__(options)
        url = options.url.reveal()
        self._url = self.address(url)
        self._http = HttpClient(options, [url, self._url])

    def deliver(self, message: Message) -> str:
        return self.confirm(self._http.send("POST", self._url, key=message.key, json=self.payload(message)))

    def payload(self, message: Message) -> dict[str, Any]:
        """The whole request body."""
        title = worded(self.options.title, message, self.title(message))
        if self.options.text is not None:
            sections = self.custom(worded(self.options.text, message, ""), message)
        elif is_detailed(message):
            sections = [part for alert in message.alerts for part in self.detail(_details_of(alert, message), message)]
        else:
            sections = self.listing(message)
        return self.compose(title, sections, message)

    def address(self, url: str) -> str:
        """The URL to post to, made from the option `url`."""
        return url

    def confirm(self, answer: HttpResponse) -> str:
        """A short text about a successful delivery, for the log."""
        return f"{answer.status} {answer.text}".strip()

    @abstractmethod
    def title(self, message: Message) -> str:
        """The default title: icon and headline."""

    @abstractmethod
    def custom(self, text: str, message: Message) -> list[Section]:
        """Shows the text that the user's template rendered; it is in the markup of the service already."""

    @abstractmethod
    def detail(self, details: AlertDetails, message: Message) -> list[Section]:
        """Shows one of a few alerts in full."""

    @abstractmethod
    def listing(self, message: Message) -> list[Section]:
        """Shows many alerts, one line each."""

    @abstractmethod
    def compose(self, title: str, sections: list[Section], message: Message) -> dict[str, Any]:
        """Builds the request body. The title may be longer than the service allows."""


def _details_of(alert: AlertSnapshot, message: Message) -> AlertDetails:
    alone = len(message.alerts) == 1
    return AlertDetails(
        alert,
        "" if alone else name_of(alert),
        description_of(alert, message),
        (particulars if alone else lines)(alert, message),
        output_of(alert, message),
        links(alert, message.site),
    )
