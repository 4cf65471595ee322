"""Loads a configuration file: returns its settings, or raises every problem in it."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ValidationError

from exporter.config.alert_models import AlertEntry, NotifierOptions, SelfHeartbeatSection
from exporter.config.checks.dependencies import NO_CHECK, check_dependencies
from exporter.config.credential_models import PingKeyEntry, Selection
from exporter.config.fields import secret_fields
from exporter.config.include import IncludedFiles, Includes
from exporter.config.maintenance_models import MaintenanceEntry
from exporter.config.model import Model, details, message_of
from exporter.config.models import (
    AuthSection,
    ConfigFile,
    LogSection,
    StorageSection,
    WebSection,
)
from exporter.config.monitor_models import (
    EXCLUSIVE,
    MonitorDefaults,
    MonitorEntry,
    runtimes_message,
    thresholds_message,
)
from exporter.config.settings import NotifierSettings, Settings, StorageSettings
from exporter.config.sources import Sources
from exporter.config.storage_url import based_on
from exporter.config.strength import MIN_LENGTH, is_short, short_tokens
from exporter.config.substitution import read_files, substitute_environment
from exporter.config.yaml.document import YamlDocument, plain_key
from exporter.config.yaml.lines import Path_
from exporter.core.credentials import comparable
from exporter.core.durations import parse_duration
from exporter.core.errors import ConfigError, InvalidValue, Problem
from exporter.core.monitor import DEGRADED_AFTER, DOWN_AFTER

ALIASES = {
    "degradedRemainingMinutes": "degraded_after",
    "downRemainingMinutes": "down_after",
    "secretString": "secret",
    "cron": "evaluation_cron",
}
"""Kener's names, in a monitor. The first two are minutes."""
ALERT_ALIASES = {
    "alert_value": "when",
    "alert_description": "description",
    "failureThreshold": "failure_threshold",
    "successThreshold": "success_threshold",
    "createIncident": "create_incident",
    "is_active": "enabled",
    "active": "enabled",
    "triggers": "notify",
}
"""Kener's names, in an alert rule."""
STORAGE_ALIASES = {"heartbeats_kept": "heartbeat_log_size", "transitions_kept": "history_retention"}
"""Earlier names, in `storage`."""
_MINUTES = ("degradedRemainingMinutes", "downRemainingMinutes")
FILES: Mapping[tuple[str, ...], tuple[str, ...]] = {
    (): ("secret_key",),
    ("storage",): ("url",),
    ("web", "auth"): ("token", "metrics_token"),
    ("self_heartbeat",): ("url",),
}
"""Which settings have a `_file` twin, besides a monitor's secret and those of notifiers."""
MODELS: Mapping[tuple[str, ...], type[Model]] = {
    (): ConfigFile,
    ("storage",): StorageSection,
    ("web",): WebSection,
    ("web", "auth"): AuthSection,
    ("log",): LogSection,
    ("monitors",): MonitorEntry,
    ("ping_keys",): PingKeyEntry,
    ("ping_keys", "monitors"): Selection,
    ("ping_keys", "create"): MonitorDefaults,
    ("maintenances",): MaintenanceEntry,
    ("alerts",): AlertEntry,
    ("self_heartbeat",): SelfHeartbeatSection,
}
_CONTAINERS: tuple[tuple[str, ...], ...] = (
    ("include",),
    ("storage",),
    ("web",),
    ("web", "auth"),
    ("web", "trusted_proxies"),
    ("web", "allowed_hosts"),
    ("log",),
    ("dialects",),
    ("ping_keys",),
    ("monitors",),
    ("maintenances",),
    ("alerts",),
    ("notifiers",),
    ("self_heartbeat",),
)
"""What may be a heading with everything under it commented out; besides a monitor's labels."""
_HIDDEN = frozenset(("secret", "secrets", "tokens", "key", "secret_key", "token", "metrics_token"))
MONITOR_FILES = ("secret", "secrets", "tokens")
"""Settings of a monitor that have a `_file` twin; lists have one entry a line there."""
_MAX_QUOTE = 60
_MAX_NAMED = 10
_QUOTE = re.compile(r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*") """)
"""What core's messages begin with: the value, as repr writes it."""
_EMPTY = "is empty: give it a value or remove the key"
_NO_SECRET = "needs a secret: set secret, secret_file or ${ENV}; generate one with `openssl rand -hex 24`"  # noqa: S105


NotifierModels = Mapping[str, type[NotifierOptions]]
"""What each type of notifier takes, by its name."""
NO_NOTIFIERS: NotifierModels = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid configuration, and warnings about it."""

    settings: Settings
    warnings: tuple[Problem, ...] = ()
    unresolved: tuple[tuple[str, Problem], ...] = ()
    """Parents that no monitor of the configuration is, each with the place that names it: the service starts only if
    its database has them. They are among the warnings.
    """


def load_config(
    path: Path | None,
    environ: Mapping[str, str],
    notifiers: NotifierModels = NO_NOTIFIERS,
    dialects: Callable[[], Collection[str]] | None = None,
    *,
    sources: Sources | None = None,
    excerpt: bool = False,
) -> Loaded:
    """Reads `path`; None is the defaults. Raises ConfigError with every problem, in the order of files and lines.

    `dialects` returns the names of those that there are, and is called only if the file names any. An `excerpt` leaves
    out the monitors of files in which they can be cut out: the settings have none of those.
    """
    if path is None:
        return Loaded(Settings())
    includes = Includes(
        sources or Sources(), lambda document: _from_outside(document, environ, notifiers), excerpt=excerpt
    )
    document = includes.read(path)
    problems = includes.problems
    errors: list[Mapping[str, Any]] = []
    settings = None
    try:
        settings = ConfigFile.model_validate(document.values).settings()
    except ValidationError as error:
        errors += details(error)
    channels = _read_notifiers(document, notifiers, errors)
    reported = {(problem.file, problem.path) for problem in problems}
    explained = [_explained(document, error, notifiers) for error in errors if not _is_thresholds(error)]
    problems += [problem for problem in explained if (problem.file, problem.path) not in reported]
    problems += _duplicates(document, "monitors", "tag", "this tag is already used by the monitor")
    problems += _duplicates(document, "maintenances", "name", "this name is already used by the maintenance window")
    problems += _duplicates(document, "ping_keys", "name", "this name is taken by the ping key")
    problems += _clashes(document)
    problems += _unknown_dialects(document, dialects)
    problems += _duplicates(document, "alerts", "name", "this name is already used by the rule")
    problems += _duplicates(document, "notifiers", "name", "this name is already used by the notifier")
    problems += [*_thresholds(document), *_conflicts(document)]
    dependencies = NO_CHECK if excerpt else check_dependencies(document)
    problems += dependencies.problems
    problems += _unknown_notifiers(document)
    if problems or settings is None:
        raise ConfigError(
            sorted(set(problems), key=lambda problem: (includes.order[problem.file], problem.line, problem.path))
        )
    settings = replace(settings, storage=_placed(settings.storage, document), notifiers=tuple(channels))
    if excerpt:
        return Loaded(settings, tuple(includes.warnings))
    warnings = (
        *includes.warnings,
        *_idle_rules(document, settings),
        *dependencies.warnings,
        *_short_secrets(document, settings),
    )
    return Loaded(settings, warnings, dependencies.unresolved)


def _from_outside(document: YamlDocument, environ: Mapping[str, str], notifiers: NotifierModels) -> list[Problem]:
    """Puts in what the environment and other files hold, for one file of the configuration."""
    return [*substitute_environment(document, environ), *_resolve(document, notifiers)]


def _short_secrets(document: IncludedFiles, settings: Settings) -> list[Problem]:
    """Returns a warning for each short secret with its place, up to a readable number."""
    message = f"has fewer than {MIN_LENGTH} characters and can be guessed: generate one with `openssl rand -hex 24`"
    warnings = [document.problem(("web", "auth", name), message) for name in short_tokens(settings)]
    # Every entry is one monitor: settings were read from all of them, in order.
    short = [index for index, entry in enumerate(settings.monitors) if is_short(entry.secret)]
    warnings += [document.problem(("monitors", index, "secret"), message) for index in short[:_MAX_NAMED]]
    for section, names in (("monitors", ("secrets", "tokens")), ("ping_keys", ("key",))):
        weak = [path for path, text in _texts(document, section, names) if len(text) < MIN_LENGTH]
        warnings += [document.problem(path, message) for path in weak[:_MAX_NAMED]]
    if len(short) > _MAX_NAMED:
        more = f"{len(short) - _MAX_NAMED:,} more monitors have a secret that {message.partition(':')[0]}"
        warnings.append(document.problem(("monitors",), more))
    return warnings


def _placed(storage: StorageSettings, document: IncludedFiles) -> StorageSettings:
    """With absolute paths: a relative one in the file belongs to the file's folder, wherever a command is run."""
    written, folder = document.values.get("storage"), Path(document.file).parent
    if not isinstance(written, dict):
        return storage
    url = based_on(storage.url, folder) if "url" in written else storage.url
    spool = str((folder / storage.spool).absolute()) if storage.spool is not None else None
    return replace(storage, url=url, spool=spool)


def _read_notifiers(
    document: IncludedFiles, models: NotifierModels, errors: list[Mapping[str, Any]]
) -> list[NotifierSettings]:
    """Reads each notifier with the model of its type. Appends problems to `errors`, with their place in the file."""
    channels = []
    for index, entry in _entries(document, "notifiers"):
        type = entry.get("type")
        model = models.get(type) if isinstance(type, str) else None
        if model is None:
            text = (
                f"is not a type of notifier: use one of {', '.join(sorted(models))}"
                if type is not None
                else "is missing"
            )
            errors.append({"loc": ("notifiers", index, "type"), "type": "unknown_notifier", "msg": text})
            continue
        try:
            options = model.model_validate(entry)
        except ValidationError as error:
            errors += [{**detail, "loc": ("notifiers", index, *detail["loc"])} for detail in details(error)]
        else:
            channels.append(
                NotifierSettings(options.name, options.type, options, options.group_wait, options.give_up_after)
            )
    return channels


def _unknown_notifiers(document: IncludedFiles) -> list[Problem]:
    defined = [entry.get("name") for _, entry in _entries(document, "notifiers")]
    problems = []
    for index, entry in _entries(document, "alerts"):
        named = entry.get("notify")
        for place, name in enumerate(named if isinstance(named, list) else [named] if named else []):
            if isinstance(name, str) and name not in defined:
                near = get_close_matches(name, [str(other) for other in defined], n=1)
                hint = f": did you mean {near[0]!r}?" if near else ": define it under notifiers"
                path: Path_ = (
                    ("alerts", index, "notify", place) if isinstance(named, list) else ("alerts", index, "notify")
                )
                problems.append(document.problem(path, f"there is no notifier {name[:_MAX_QUOTE]!r}{hint}"))
    return problems


def _idle_rules(document: IncludedFiles, settings: Settings) -> list[Problem]:
    """Returns a warning for each rule that selects no monitor of the file: its monitors may be added by hand."""
    rules = {rule.name: rule for rule in settings.alerts}
    warnings = []
    for index, entry in _entries(document, "alerts"):
        rule = rules.get(entry["name"])
        if rule is not None and not any(rule.selector.matches(member.monitor) for member in settings.monitors):
            warnings.append(
                document.problem(("alerts", index), f"the rule {rule.name!r} matches no monitor of this file")
            )
    return warnings


def _resolve(document: YamlDocument, notifiers: NotifierModels) -> list[Problem]:
    """Turns aliases into our names and `_file` twins into what they hold."""
    problems: list[Problem] = []
    for path, names in FILES.items():
        section = _at(document.values, path)
        problems += read_files(document, section, path, names)
        for name in names:
            # `token:` without a value is a mistake, not a wish to have no token.
            if isinstance(section, dict) and section.get(name, "") is None and (*path, name) not in document.written:
                problems.append(document.problem((*path, name), _EMPTY))
    for path in _CONTAINERS:
        _drop_heading(_at(document.values, path[:-1]), path[-1])
    storage = _at(document.values, ("storage",))
    if isinstance(storage, dict):
        problems += _rename(document, storage, ("storage",), STORAGE_ALIASES)
    for index, entry in _entries(document, "monitors"):
        problems += _rename(document, entry, ("monitors", index), ALIASES)
        problems += read_files(document, entry, ("monitors", index), MONITOR_FILES)
        for name in ("labels", "secrets", "tokens", "depends_on"):
            _drop_heading(entry, name)
    for index, entry in _entries(document, "ping_keys"):
        problems += read_files(document, entry, ("ping_keys", index), ("key",))
        _drop_heading(entry, "monitors")
        if entry.get("create", ()) is None:  # `create:` with nothing under it: with the defaults
            entry["create"] = {}
    for index, entry in _entries(document, "alerts"):
        problems += _rename(document, entry, ("alerts", index), ALERT_ALIASES)
        problems += _measure(document, entry, ("alerts", index))
        for name in ("monitors", "groups", "labels", "notify"):
            _drop_heading(entry, name)
    for _, entry in _entries(document, "maintenances"):
        for name in ("monitors", "groups", "labels"):
            _drop_heading(entry, name)
    for index, entry in _entries(document, "notifiers"):
        model = notifiers.get(str(entry.get("type")))
        if model is not None:
            problems += read_files(document, entry, ("notifiers", index), secret_fields(model))
    return problems


def _measure(document: YamlDocument, entry: dict[str, Any], path: Path_) -> list[Problem]:
    """Checks Kener's `alert_for`: a heartbeat monitor supports only STATUS."""
    if entry.pop("alert_for", "STATUS") != "STATUS":
        return [
            document.problem((*path, "alert_for"), "must be STATUS: a heartbeat monitor has no latency and no uptime")
        ]
    return []


def _at(values: Any, path: Path_) -> Any:
    for step in path:
        if not isinstance(values, dict | list):
            return None
        try:
            values = values[step]  # type: ignore[index]
        except (LookupError, TypeError):
            return None
    return values


def _drop_heading(section: Any, key: str) -> None:
    if isinstance(section, dict) and section.get(key, ()) is None:
        del section[key]


def _entries(document: YamlDocument | IncludedFiles, section: str) -> list[tuple[int, dict[str, Any]]]:
    entries = document.values.get(section)
    numbered = enumerate(entries if isinstance(entries, list) else ())
    return [(index, entry) for index, entry in numbered if isinstance(entry, dict)]


def _rename(document: YamlDocument, entry: dict[str, Any], path: Path_, aliases: Mapping[str, str]) -> list[Problem]:
    problems = []
    for alias, name in aliases.items():
        if alias not in entry:
            continue
        value, here = entry.pop(alias), (*path, alias)
        if name in entry:
            problems.append(document.problem(here, f"is another name for {name}: give only one of them"))
            continue
        if alias in _MINUTES:
            minutes = value.strip() if isinstance(value, str) else value
            if isinstance(minutes, bool) or not re.fullmatch("[0-9]{1,9}", str(minutes)):
                problems.append(document.problem(here, "must be a whole number of minutes"))
                continue
            value = f"{minutes}m"
        entry[name] = value
        document.written[(*path, name)] = here
    return problems


def _explained(document: IncludedFiles, detail: Mapping[str, Any], notifiers: NotifierModels) -> Problem:
    path: Path_ = tuple(step for step in detail["loc"] if step != "[key]")
    message = message_of(detail)
    empty = document.has(path) and _at(document.values, path) is None
    if detail["type"] == "extra_forbidden":
        near = get_close_matches(plain_key(str(path[-1])), _known_keys(document, path[:-1], notifiers), n=1)
        message += f": did you mean {near[0]}?" if near else ""
    elif path and path[-1] == "secret" and (empty or detail["type"] == "missing"):
        message = _NO_SECRET
    elif empty:
        message = _EMPTY
    original = document.original(path)
    quote = _QUOTE.match(message)
    if original is not None and not _HIDDEN.intersection(str(step) for step in path):
        # A value from the environment is quoted as it is written in the file.
        rest = message[quote.end() :] if quote is not None else message
        message = f"the value of {original[:_MAX_QUOTE]!r} is invalid: {rest}"
    elif quote is not None and len(quote[1]) > _MAX_QUOTE:
        message = f"{quote[1][:_MAX_QUOTE]}…' {message[quote.end() :]}"
    return document.problem(path, message)


def _is_thresholds(detail: Mapping[str, Any]) -> bool:
    """Whether it is a problem of a monitor as a whole, which `_thresholds` reports with its line."""
    return len(detail["loc"]) == 2 and detail["loc"][0] == "monitors" and detail["type"] == "value_error"


def _thresholds(document: IncludedFiles) -> list[Problem]:
    """Compares the thresholds even if another setting is invalid, when pydantic does not compare them."""
    problems = []
    for index, entry in _entries(document, "monitors"):
        path = ("monitors", index, "down_after" if "down_after" in entry else "degraded_after")
        try:
            degraded, down = (
                parse_duration(entry[name]) if name in entry else default
                for name, default in (("degraded_after", DEGRADED_AFTER), ("down_after", DOWN_AFTER))
            )
        except InvalidValue:
            continue
        if 0 < down <= degraded:
            problems.append(document.problem(path, thresholds_message(degraded, down)))
    return problems


def _conflicts(document: IncludedFiles) -> list[Problem]:
    """Other settings of a monitor that exclude each other, compared like the thresholds."""
    problems = []
    for index, entry in _entries(document, "monitors"):
        if entry.get("every") is not None and entry.get("schedule") is not None:
            problems.append(document.problem(("monitors", index, "every"), EXCLUSIVE))
        limits = [entry.get(name) for name in ("min_runtime", "max_runtime")]
        try:
            message = runtimes_message(*(None if limit is None else parse_duration(limit) for limit in limits))
        except InvalidValue:
            continue
        if message is not None:
            problems.append(document.problem(("monitors", index, "min_runtime"), message))
    return problems


def _known_keys(document: IncludedFiles, path: Path_, notifiers: NotifierModels) -> list[str]:
    names = tuple(str(step) for step in path if not isinstance(step, int))
    model: type[BaseModel] | None = MODELS.get(names)
    extra = [f"{name}_file" for name in FILES.get(names, ())]
    if names == ("notifiers",):
        model = notifiers.get(str(_at(document.values, (*path, "type"))))
        extra = [f"{name}_file" for name in secret_fields(model)] if model is not None else []
    if model is None:
        return []
    if model is MonitorEntry:
        extra = [*(f"{name}_file" for name in MONITOR_FILES), *ALIASES]
    elif model is PingKeyEntry:
        extra = ["key_file"]
    elif model is AlertEntry:
        extra = [*ALERT_ALIASES]
    elif model is StorageSection:
        extra += STORAGE_ALIASES
    return [*(field.alias or name for name, field in model.model_fields.items()), *extra]


def _unknown_dialects(document: IncludedFiles, dialects: Callable[[], Collection[str]] | None) -> list[Problem]:
    named = document.values.get("dialects")
    if not isinstance(named, dict) or not named or dialects is None:
        return []
    names = sorted(dialects())
    problems = []
    for name in named:
        if name not in names:
            near = get_close_matches(str(name), names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
            problems.append(document.problem(("dialects", name), f"is no dialect: {hint}"))
    return problems


def _clashes(document: IncludedFiles) -> list[Problem]:
    """A token or a ping key must open one thing only. What else it opens is not said. Secrets may be shared: their
    monitors differ by their tags.
    """
    secrets = {text for _, text in _texts(document, "monitors", ("secret", "secrets"))}
    seen: set[str] = set()
    problems = []
    for section, names in (("monitors", ("tokens",)), ("ping_keys", ("key",))):
        for path, text in _texts(document, section, names):
            if comparable(text) in seen or text in secrets:
                problems.append(document.problem(path, "is used more than once in this file: make another one"))
            seen.add(comparable(text))
    return problems


def _texts(document: IncludedFiles, section: str, names: tuple[str, ...]) -> Iterator[tuple[Path_, str]]:
    """(path, text) of settings that are a text or a list of them."""
    for index, entry in _entries(document, section):
        for name in names:
            value = entry.get(name)
            if isinstance(value, str):
                for line in value.splitlines():
                    yield (section, index, name), line.strip()
            for place, text in enumerate(value if isinstance(value, list) else ()):
                if isinstance(text, str):
                    yield (section, index, name, place), text


def _duplicates(document: IncludedFiles, section: str, key: str, message: str) -> list[Problem]:
    first: dict[str, int] = {}
    problems = []
    for index, entry in _entries(document, section):
        name = entry.get(key)
        if not isinstance(name, str):
            continue
        if name in first:
            place = document.place((section, first[name]), (section, index))
            problems.append(document.problem((section, index, key), f"{message} in {place}"))
        first.setdefault(name, index)
    return problems
