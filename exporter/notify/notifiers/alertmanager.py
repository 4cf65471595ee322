"""Alertmanager: alerts go to every member, are sent again while they fire, and their ends for a while.

An alert is known there by its labels, and by nothing else. So they stay as they were when it was first sent, even
if the monitor is renamed meanwhile.
"""

from base64 import b64encode
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from exporter.config.alert_models import NotifierOptions
from exporter.config.fields import Line, SecretText
from exporter.core.clock import MINUTE, Clock, SystemClock
from exporter.core.errors import InvalidValue
from exporter.notify.notifier import DeliveryFailed, Notifier
from exporter.notify.options import CaFile, Urls
from exporter.notify.transport.endpoints import Endpoint, endpoint_of
from exporter.notify.transport.http import HttpClient
from exporter.presentation.describe import description_of, headline, lines, name_of, output_of
from exporter.presentation.message import AlertSnapshot, Event, Message, Site
from exporter.presentation.moments import rfc3339
from exporter.presentation.text import one_line, shorten

_HOLDS = 5 * MINUTE
"""How long a firing alert lasts in Alertmanager without being sent again: longer than any delay of the exporter."""
_BATCH = 500
"""Alerts in one request."""
_MAX_LABEL = 1000
_Labels = dict[str, str]


class AlertmanagerOptions(NotifierOptions):
    """Alertmanager."""

    urls: Urls = Field(description="URLs of all members of the cluster, with their path prefixes if any.")
    username: Line | None = Field(None, description="User name for basic authentication.")
    password: SecretText | None = Field(None, description="Password of that user.")
    token: SecretText | None = Field(None, description="Bearer token, instead of user name and password.")
    ca_file: CaFile | None = Field(
        None, description="File of certificates to trust instead of the system's, in PEM format."
    )

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise InvalidValue("give username and password, or neither")
        if self.token is not None and self.username is not None:
            raise InvalidValue("give token or username, not both")
        return self


class AlertmanagerNotifier(Notifier):
    """Delivered when one member accepted it: members share what they notified."""

    Options = AlertmanagerOptions
    refresh_every: ClassVar[float | None] = 60.0

    def __init__(self, options: AlertmanagerOptions, clock: Clock | None = None) -> None:
        super().__init__(options)
        self._clock = clock or SystemClock()
        self._headers: dict[str, str] = {}
        secrets = []
        if options.token is not None:
            secrets = [options.token.reveal()]
            self._headers["Authorization"] = f"Bearer {options.token.reveal()}"
        if options.username is not None and options.password is not None:
            pair = f"{options.username}:{options.password.reveal()}"
            secrets = [options.password.reveal(), pair]
            self._headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        self._members = {url: HttpClient(options, secrets, options.ca_file) for url in options.urls}
        self._labels: dict[str, _Labels] = {}
        """Labels of alerts by their ids, as they were first sent."""
        self._firing: dict[str, _Labels] = {}
        """The part of those that fires."""

    def deliver(self, message: Message) -> str:
        # Alertmanager makes its own reminders; a REPEATED event would change the summary of the alert.
        event = Event.RESOLVED if message.is_resolved else Event.TRIGGERED
        if message.is_resolved:
            for facts in message.alerts:
                self._firing.pop(facts.alert_id, None)
        else:
            self._firing |= {facts.alert_id: self._labels_of(facts) for facts in message.alerts}
        return self._send(self._payloads(message.alerts, event, message.site), message.key)

    def endpoints(self) -> Sequence[Endpoint]:
        return [endpoint_of(url, self.options.ca_file) for url in self.options.urls]

    def refresh(self, firing: Sequence[AlertSnapshot], resolved: Sequence[AlertSnapshot], site: Site) -> None:
        current = {facts.alert_id for facts in (*firing, *resolved)}
        self._labels = {id: labels for id, labels in self._labels.items() if id in current}
        self._firing = {facts.alert_id: self._labels_of(facts) for facts in firing}
        alerts = [*self._payloads(resolved, Event.RESOLVED, site), *self._payloads(firing, Event.TRIGGERED, site)]
        if alerts:
            self._send(alerts, f"refresh-{self._clock.now()}")

    def _labels_of(self, facts: AlertSnapshot) -> _Labels:
        return self._labels.setdefault(facts.alert_id, labels_of(facts))

    def _payloads(self, alerts: Sequence[AlertSnapshot], event: Event, site: Site) -> list[dict[str, Any]]:
        """The alerts in the form of the API. An end is left out if its next episode fires, which it would end."""
        lives_on = list(self._firing.values()) if event is Event.RESOLVED else []
        entries = []
        for facts in alerts:
            labels = self._labels_of(facts)
            if labels in lives_on:
                continue
            ends = self._clock.now() + _HOLDS
            if event is Event.RESOLVED:
                ends = max(facts.triggered_at, facts.resolved_at or facts.at)
            entries.append(
                {
                    "labels": labels,
                    "annotations": annotations_of(facts, event, site),
                    "startsAt": rfc3339(facts.triggered_at),
                    "endsAt": rfc3339(ends),
                    "generatorURL": site.monitor_url(facts.tag),
                }
            )
        return entries

    def _send(self, alerts: Sequence[dict[str, Any]], key: str) -> str:
        """To all members at once: one that hangs delays no other."""
        if not alerts:
            return "nothing sent: the alert is firing again"

        def one(url: str) -> str | DeliveryFailed:
            try:
                for start in range(0, len(alerts), _BATCH):
                    self._members[url].send(
                        "POST",
                        f"{url}/api/v2/alerts",
                        key=f"{key}-{start}" if start else key,
                        json=alerts[start : start + _BATCH],
                        headers=self._headers,
                    )
            except DeliveryFailed as error:
                return error
            return urlsplit(url).netloc

        with ThreadPoolExecutor(len(self._members), "alertmanager") as threads:
            answers = list(threads.map(one, self._members))
        failed = [answer for answer in answers if isinstance(answer, DeliveryFailed)]
        if len(failed) == len(answers):
            raise _all(failed)
        taken = f"{len(answers) - len(failed)} of {len(answers)} members accepted it"
        return "; ".join([taken, *map(str, failed)])


def labels_of(facts: AlertSnapshot) -> _Labels:
    """What Alertmanager knows the alert by; an empty label is none."""
    labels = {
        "alertname": facts.rule,
        "tag": facts.tag,
        "group": facts.group,
        "severity": facts.severity.value,
        "status": facts.status.value,
        **{f"label_{key}": value for key, value in facts.labels.items()},
    }
    texts = {key: shorten(one_line(value), _MAX_LABEL) for key, value in labels.items()}
    return {key: value for key, value in texts.items() if value}


def annotations_of(facts: AlertSnapshot, event: Event, site: Site) -> dict[str, str]:
    message = Message(facts.alert_id, event, (facts,), site, facts.at)
    rows = [f"{line.label}: {line.value}" for line in lines(facts, message)]
    annotations = {
        "summary": headline(message),
        "description": "\n".join([description_of(facts, message), *rows]).strip(),
        "name": name_of(facts),
        "output": output_of(facts, message),
        "incident": site.incident_url(facts.incident_id) if facts.incident_id is not None else "",
    }
    return {key: value for key, value in annotations.items() if value}


def _all(failed: Sequence[DeliveryFailed]) -> DeliveryFailed:
    """The most hopeful of them, in the words of all."""
    best = min(failed, key=lambda error: (not error.retry, error.retry_after or 0.0))
    text = "; ".join(dict.fromkeys(map(str, failed)))
    return DeliveryFailed(best.failure, text, retry=best.retry, retry_after=best.retry_after)
