"""From a file to settings: all of it, or every problem in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from exporter.config.document import Document, Path_, read_document
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
)
from exporter.config.settings import Settings
from exporter.config.substitution import read_files, substitute_environment
from exporter.core.errors import ConfigError, Problem

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
_HIDDEN = ("secret", "secret_key", "token", "metrics_token")
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
    broken = {problem.path for problem in problems}
    problems += _resolve(document)
    settings = None
    try:
        settings = ConfigFile.model_validate(document.values).settings()
    except ValidationError as error:
        for detail in details(error):
            problem = _explained(document, detail, originals)
            if problem.path not in broken and not _told(problem, problems):
                problems.append(problem)
    problems += _duplicates(document)
    if problems or settings is None:
        raise ConfigError(sorted(set(problems), key=lambda problem: (problem.line, problem.path)))
    return Loaded(settings)


def _resolve(document: Document) -> list[Problem]:
    """Turns aliases into our names and `_file` twins into what they hold."""
    problems: list[Problem] = []
    for path, names in FILES.items():
        section: Any = document.values
        for step in path:
            section = section.get(step) if isinstance(section, dict) else None
        problems += read_files(document, section, path, names)
    monitors = document.values.get("monitors")
    if monitors is None:
        document.values.pop("monitors", None)
    for section_name in ("storage", "web", "log"):
        if section_name in document.values and document.values[section_name] is None:
            del document.values[section_name]  # a heading with everything under it commented out
    for index, entry in enumerate(monitors if isinstance(monitors, list) else ()):
        if isinstance(entry, dict):
            problems += _rename(document, entry, ("monitors", index))
            problems += read_files(document, entry, ("monitors", index), ("secret",))
    return problems


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
            if isinstance(minutes, bool) or not str(minutes).isascii() or not str(minutes).isdigit():
                problems.append(document.problem(here, "must be a whole number of minutes"))
                continue
            value = f"{minutes}m"
        entry[name] = value
        document.lines[(*path, name)] = document.lines[here]
    return problems


def _explained(document: Document, detail: Mapping[str, Any], originals: Mapping[Path_, str]) -> Problem:
    path: Path_ = tuple(step for step in detail["loc"] if step != "[key]")
    message = message_of(detail)
    if detail["type"] == "extra_forbidden":
        near = get_close_matches(str(path[-1]), _known_keys(path[:-1]), n=1)
        message += f": did you mean {near[0]}?" if near else ""
    elif path and path[-1] == "secret" and detail["type"] in ("missing", "string_type"):
        message = _NO_SECRET if detail["type"] == "missing" else message
    original = originals.get(path)
    if original is not None and path[-1] not in _HIDDEN:
        # A value from the environment is quoted as it is written in the file.
        message = f"what {original} stands for cannot be used: {_schematic(message)}"
    return document.problem(path, message)


def _schematic(message: str) -> str:
    """`message` without what it quotes."""
    return message.rpartition("' ")[2] if message.startswith("'") else message


def _known_keys(path: Path_) -> list[str]:
    names = tuple(str(step) for step in path if not isinstance(step, int))
    model: type[BaseModel] | None = MODELS.get(names)
    if model is None:
        return []
    extra = [f"{name}_file" for name in FILES.get(names, ())]
    if model is MonitorEntry:
        extra = ["secret_file", *ALIASES]
    return [*model.model_fields, *extra]


def _told(problem: Problem, problems: list[Problem]) -> bool:
    """Whether the same place is named already, for the reason behind this one."""
    return any(problem.path in (other.path, other.path.removesuffix("_file")) for other in problems)


def _duplicates(document: Document) -> list[Problem]:
    monitors = document.values.get("monitors")
    first: dict[str, int] = {}
    problems = []
    for index, entry in enumerate(monitors if isinstance(monitors, list) else ()):
        tag = entry.get("tag") if isinstance(entry, dict) else None
        if not isinstance(tag, str):
            continue
        if tag in first:
            line = document.lines[("monitors", first[tag])]
            problems.append(
                document.problem(("monitors", index, "tag"), f"{tag[:40]!r} is taken by the monitor in line {line}")
            )
        first.setdefault(tag, index)
    return problems
