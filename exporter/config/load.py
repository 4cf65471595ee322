"""From a file to settings: all of it, or every problem in it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from exporter.config.document import Document, Path_, plain_key, read_document
from exporter.config.models import (
    AuthSection,
    ConfigFile,
    LogSection,
    Model,
    MonitorEntry,
    StorageSection,
    WebSection,
    details,
    message_of,
    thresholds_message,
)
from exporter.config.settings import Settings
from exporter.config.substitution import read_files, substitute_environment
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
_MINUTES = ("degradedRemainingMinutes", "downRemainingMinutes")
FILES: Mapping[tuple[str, ...], tuple[str, ...]] = {
    (): ("secret_key",),
    ("storage",): ("url",),
    ("web", "auth"): ("token", "metrics_token"),
}
"""Which settings have a `_file` twin, besides a monitor's secret."""
MODELS: Mapping[tuple[str, ...], type[Model]] = {
    (): ConfigFile,
    ("storage",): StorageSection,
    ("web",): WebSection,
    ("web", "auth"): AuthSection,
    ("log",): LogSection,
    ("monitors",): MonitorEntry,
}
_CONTAINERS: tuple[tuple[str, ...], ...] = (
    ("storage",),
    ("web",),
    ("web", "auth"),
    ("web", "trusted_proxies"),
    ("log",),
    ("monitors",),
)
"""What may be a heading with everything under it commented out; besides a monitor's labels."""
_HIDDEN = ("secret", "secret_key", "token", "metrics_token")
_LONGEST_QUOTE = 60
_QUOTE = re.compile(r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*") """)
"""What core's messages begin with: the value, as repr writes it."""
_EMPTY = "is empty: give it a value or leave it out"
_NO_SECRET = "needs a secret: set secret, secret_file or ${ENV}; make one with `openssl rand -hex 24`"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be used, and what looks odd in it."""

    settings: Settings
    warnings: tuple[Problem, ...] = ()


def load_config(path: Path | None, environ: Mapping[str, str]) -> Loaded:
    """Reads `path`; None is the defaults. Raises ConfigError with every problem, in the order of lines."""
    if path is None:
        return Loaded(Settings())
    document = read_document(path)
    problems = list(document.problems)
    originals, found = substitute_environment(document, environ)
    problems += found
    problems += _resolve(document, originals)
    settings = None
    try:
        settings = ConfigFile.model_validate(document.values).settings()
    except ValidationError as error:
        told = {problem.path for problem in problems}
        found = [_explained(document, detail, originals) for detail in details(error) if not _is_thresholds(detail)]
        problems += [problem for problem in found if problem.path not in told]
    problems += _duplicates(document)
    problems += _thresholds(document)
    if problems or settings is None:
        raise ConfigError(sorted(set(problems), key=lambda problem: (problem.line, problem.path)))
    return Loaded(settings)


def _resolve(document: Document, originals: Mapping[Path_, str]) -> list[Problem]:
    """Turns aliases into our names and `_file` twins into what they hold."""
    problems: list[Problem] = []
    for path, names in FILES.items():
        section = _at(document.values, path)
        problems += read_files(document, section, path, names, originals)
        for name in names:
            # Nobody who writes `token:` and nothing behind it wants to do without one.
            if isinstance(section, dict) and section.get(name, "") is None and (*path, name) not in document.written:
                problems.append(document.problem((*path, name), _EMPTY))
    for path in _CONTAINERS:
        _drop_heading(_at(document.values, path[:-1]), path[-1])
    for index, entry in _entries(document):
        problems += _rename(document, entry, ("monitors", index))
        problems += read_files(document, entry, ("monitors", index), ("secret",), originals)
        _drop_heading(entry, "labels")
    return problems


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


def _entries(document: Document) -> list[tuple[int, dict[str, Any]]]:
    monitors = document.values.get("monitors")
    found = enumerate(monitors if isinstance(monitors, list) else ())
    return [(index, entry) for index, entry in found if isinstance(entry, dict)]


def _rename(document: Document, entry: dict[str, Any], path: Path_) -> list[Problem]:
    problems = []
    for alias, name in ALIASES.items():
        if alias not in entry:
            continue
        value, here = entry.pop(alias), (*path, alias)
        if name in entry:
            problems.append(document.problem(here, f"is another name of {name}: give one of them"))
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


def _explained(document: Document, detail: Mapping[str, Any], originals: Mapping[Path_, str]) -> Problem:
    path: Path_ = tuple(step for step in detail["loc"] if step != "[key]")
    message = message_of(detail)
    empty = path in document.lines and _at(document.values, path) is None
    if detail["type"] == "extra_forbidden":
        near = get_close_matches(plain_key(str(path[-1])), _known_keys(path[:-1]), n=1)
        message += f": did you mean {near[0]}?" if near else ""
    elif path and path[-1] == "secret" and (empty or detail["type"] == "missing"):
        message = _NO_SECRET
    elif empty:
        message = _EMPTY
    original = originals.get(document.written.get(path, path))
    quote = _QUOTE.match(message)
    if original is not None and path[-1] not in _HIDDEN:
        # A value from the environment is quoted as it is written in the file.
        rest = message[quote.end() :] if quote is not None else message
        message = f"what {original[:_LONGEST_QUOTE]!r} stands for cannot be used: {rest}"
    elif quote is not None and len(quote[1]) > _LONGEST_QUOTE:
        message = f"{quote[1][:_LONGEST_QUOTE]}…' {message[quote.end() :]}"
    return document.problem(path, message)


def _is_thresholds(detail: Mapping[str, Any]) -> bool:
    """A problem of a monitor as a whole, which `_thresholds` tells of with its line."""
    return len(detail["loc"]) == 2 and detail["loc"][0] == "monitors" and detail["type"] == "value_error"


def _thresholds(document: Document) -> list[Problem]:
    """Asked here as well, since pydantic compares only what is good otherwise."""
    problems = []
    for index, entry in _entries(document):
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


def _known_keys(path: Path_) -> list[str]:
    names = tuple(str(step) for step in path if not isinstance(step, int))
    model: type[BaseModel] | None = MODELS.get(names)
    if model is None:
        return []
    extra = [f"{name}_file" for name in FILES.get(names, ())]
    if model is MonitorEntry:
        extra = ["secret_file", *ALIASES]
    return [*model.model_fields, *extra]


def _duplicates(document: Document) -> list[Problem]:
    first: dict[str, int] = {}
    problems = []
    for index, entry in _entries(document):
        tag = entry.get("tag")
        if not isinstance(tag, str):
            continue
        if tag in first:
            line = document.lines[("monitors", first[tag])]
            problems.append(
                document.problem(("monitors", index, "tag"), f"this tag is taken by the monitor in line {line}")
            )
        first.setdefault(tag, index)
    return problems
