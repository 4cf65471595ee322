"""What an importer makes: the parts of a configuration, and what could not be taken over."""

import base64
import hashlib
import hmac
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from exporter.config.alert_models import AlertEntry, NotifierOptions
from exporter.config.credential_models import PingKeyEntry
from exporter.config.maintenance_models import MaintenanceEntry
from exporter.config.model import details, message_of, path_of
from exporter.config.monitor_models import MonitorEntry
from exporter.core.credentials import comparable
from exporter.core.durations import format_duration
from exporter.core.errors import HeartbeatExporterError

Entry = dict[str, Any]
"""An entry of the configuration file, as it is written there."""

MAX_NAME = 100
_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_TAG = 128
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_SHORTEST_DURATION = 1000


class FromEnvironment(str):
    """A text as the file has it: `${NAME}` is a variable of the exporter's environment, and `$$` a dollar sign. All
    other texts of an entry are what they mean.
    """


class ImportFailed(HeartbeatExporterError):
    """The source cannot be read; the text says what to do. Nothing was taken over."""


@dataclass(slots=True)
class Takeover:
    """Collects entries. Those that our configuration would refuse become remarks."""

    notifier_models: Mapping[str, type[NotifierOptions]] = field(default_factory=dict)
    monitors: list[Entry] = field(default_factory=list)
    alerts: list[Entry] = field(default_factory=list)
    notifiers: list[Entry] = field(default_factory=list)
    ping_keys: list[Entry] = field(default_factory=list)
    maintenances: list[Entry] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    """One line for each thing that was left out or changed."""
    _tags: set[str] = field(default_factory=set)
    _tokens: set[str] = field(default_factory=set)
    _names: dict[str, set[str]] = field(default_factory=dict)

    def remark(self, subject: str, text: str) -> None:
        self.remarks.append(f"{_line(subject)}: {text}")

    def tag(self, wanted: str, fallback: str = "monitor") -> str:
        """A tag like `wanted` that no monitor has yet; remarks on a difference."""
        plain = unicodedata.normalize("NFKD", wanted).encode("ascii", "ignore").decode()
        plain = _NOT_IN_TAGS.sub("-", plain).strip("-")[:_MAX_TAG]
        tag = base = plain if plain.strip(".") else fallback
        number = 1
        while tag in self._tags:
            number += 1
            tag = f"{base[: _MAX_TAG - 6]}-{number}"
        return tag

    def add_monitor(self, entry: Entry, subject: str) -> bool:
        """Whether the monitor was taken over."""
        tokens = {comparable(token) for token in entry.get("tokens", [])}
        if not self._is_valid(MonitorEntry, entry, subject):
            return False
        if entry["tag"] in self._tags:
            self.remark(subject, f"not taken over: another monitor has the tag {entry['tag']!r} already")
            return False
        # Monitors may share a secret, but a token names one monitor alone.
        if not self._tokens.isdisjoint(tokens):
            self.remark(subject, "not taken over: another monitor has the same token")
            return False
        self._tokens |= tokens
        self._tags.add(entry["tag"])
        self.monitors.append(entry)
        return True

    def add_alert(self, entry: Entry, subject: str) -> None:
        """Notifiers that were not taken over are left out of it."""
        names = {notifier["name"] for notifier in self.notifiers}
        notify = [name for name in entry.get("notify", []) if name in names]
        if notify or "notify" in entry:
            entry = {**entry, "notify": notify}
        if self._is_valid(AlertEntry, entry, subject):
            self.alerts.append(entry)

    def add_notifier(self, entry: Entry, subject: str) -> bool:
        """Whether the notifier was taken over."""
        model = self.notifier_models.get(entry["type"])
        if model is None:
            self.remark(subject, f"not taken over: there is no notifier of the type {entry['type']!r} here")
            return False
        valid = self._is_valid(model, entry, subject)
        if valid:
            self.notifiers.append(entry)
        return valid

    def add_ping_key(self, entry: Entry, subject: str) -> None:
        if self._is_valid(PingKeyEntry, entry, subject):
            self.ping_keys.append(entry)

    def add_maintenance(self, entry: Entry, subject: str) -> None:
        if self._is_valid(MaintenanceEntry, entry, subject):
            self.maintenances.append(entry)

    def name(self, kind: str, wanted: object, fallback: str) -> str:
        """A name for a rule, a notifier or a window (`kind`) that none of them has yet."""
        taken = self._names.setdefault(kind, set())
        name = base = _line(wanted)[:MAX_NAME].strip() or fallback
        number = 1
        while name in taken:
            number += 1
            name = f"{base[: MAX_NAME - 6]} {number}"
        taken.add(name)
        return name

    def _is_valid(self, model: type[BaseModel], entry: Entry, subject: str) -> bool:
        try:
            model.model_validate(_filled(entry))
        except ValidationError as error:
            problems = "; ".join(f"{path_of(one)}: {message_of(one)}" for one in details(error))
            self.remark(subject, f"not taken over: {problems}")
            return False
        return True


def variables(value: object) -> set[str]:
    """The names of the environment's variables in an entry."""
    if isinstance(value, FromEnvironment):
        return set(_VARIABLE.findall(value))
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set().union(*map(variables, items))


def _filled(value: Any) -> Any:
    """An entry to check, with something in the place of variables, which are not known here."""
    if isinstance(value, dict):
        return {key: _filled(each) for key, each in value.items()}
    if isinstance(value, list):
        return list(map(_filled, value))
    if isinstance(value, FromEnvironment):
        # A URL is often a variable as a whole.
        text = _VARIABLE.sub("variable", value).replace("$$", "$")
        return "https://variable.invalid/" if text == "variable" else text
    return value


def monitor(tag: str, secret: str, **settings: Any) -> Entry:
    """An entry of `monitors`, without the settings that are None, False or empty."""
    given = {name: value for name, value in settings.items() if value not in (None, "", False, [], {})}
    return {"tag": tag, **given, "secret": secret}


def duration(seconds: float, *, least: int = _SHORTEST_DURATION) -> str:
    """As the configuration writes it; `least` in milliseconds."""
    return format_duration(max(least, round(seconds * 1000)))


def secret_of(token: str) -> str:
    """A secret for a monitor that had a token alone: the same each time, so that an import can be repeated, and no
    easier to guess than the token.
    """
    digest = hmac.new(token.encode(), b"heartbeat-exporter: secret of an imported monitor", hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest[:18]).decode()


def one_line(text: object) -> str:
    """A text without control characters and line ends, for names."""
    return _line(text)


def _line(text: object) -> str:
    plain = "".join(char if char.isprintable() else " " for char in str(text or ""))
    return " ".join(plain.split())
