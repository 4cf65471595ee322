"""A YAML file as plain values, with the line of everything in it, so that every problem can name its place."""

import gc
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exporter.config.files import PIPE_PATIENCE, read_bounded
from exporter.config.yaml.bounds import MAX_SCALAR, TOO_DEEP, TOO_LONG, OutOfBounds
from exporter.config.yaml.lines import Lines, Path_
from exporter.core.errors import ConfigError, Problem

MAX_FILE = 64 * 1024 * 1024
_KEY = re.compile(r"[\w.-]{1,60}")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_HARMLESS = re.compile(r"'(.|\\.|<[a-z ]+>)'")
_NO_LIBRARY = (
    "cannot be read: this PyYAML was built without libyaml; install its wheel, with "
    "`pip install --force-reinstall --only-binary :all: PyYAML`, or your distribution's python3-yaml"
)


@dataclass(slots=True)
class YamlDocument:
    """`values` as YAML 1.2 reads them."""

    values: dict[str, Any]
    lines: Lines
    problems: list[Problem] = field(default_factory=list)
    file: str = ""
    written: dict[Path_, Path_] = field(default_factory=dict)
    """How a setting is called in the file where that is not its name: an alias, or its `_file` twin."""
    originals: dict[Path_, str] = field(default_factory=dict)
    """What stands in the file where the environment's values were put in."""

    def problem(self, path: Path_, message: str) -> Problem:
        """A problem at `path`, or at the nearest place above it that the file has."""
        path = self.written.get(path, path)
        return Problem(message, show_path(path), self.file, self.lines.nearest(path))

    def has(self, path: Path_) -> bool:
        """Whether the file itself has something at `path`."""
        return self.lines.at(path) is not None

    def original(self, path: Path_) -> str | None:
        """What stands in the file at `path`, if the environment's values were put in there."""
        return self.originals.get(self.written.get(path, path))

    def place(self, path: Path_, seen_from: Path_) -> str:
        """Where `path` is, for a message about something at `seen_from`."""
        return f"line {self.lines.nearest(path)}"


def show_path(path: Path_) -> str:
    """`monitors[0].schedule`. A key is cut where it is none: what follows in `secret:abc` is a secret."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{plain_key(step)}" if text else plain_key(step)
    return text


def plain_key(key: str) -> str:
    """As much of `key` as looks like a key."""
    match = _KEY.match(key)
    name = match.group() if match is not None else ""
    return name if name == key and key else f"{name}…"


def read_document(path: Path) -> YamlDocument:
    """Raises ConfigError when the file cannot be read or is not YAML; an empty file is an empty mapping."""
    return document_of(read_text(path), str(path))


def read_text(path: Path) -> bytes:
    """What is in a configuration file, not larger than MAX_FILE. Raises ConfigError."""
    file = str(path)
    try:
        raw = read_bounded(path, MAX_FILE, pipe_patience=PIPE_PATIENCE)
    except OSError as error:
        raise ConfigError([Problem(f"cannot be read: {(error.strerror or 'error').lower()}", "", file)]) from None
    if len(raw) > MAX_FILE:
        raise ConfigError([Problem("the file is larger than 64 MB", "", file)])
    return raw


def document_of(raw: bytes, file: str) -> YamlDocument:
    """Raises ConfigError when this is not YAML, or no mapping."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError([Problem("is not UTF-8", "", file, raw.count(b"\n", 0, error.start) + 1)]) from None
    document = YamlDocument({}, Lines(), file=file)

    def report(path: Path_, line: int, message: str) -> None:
        document.problems.append(Problem(message, show_path(path), file, line))

    values, document.lines, line = _compose(text, file, report)
    if isinstance(values, dict):
        document.values = values
    elif values is not None or document.problems:
        raise ConfigError([Problem("the file must contain settings as `key: value`", "", file, line)])
    return document


def _compose(text: str, file: str, report: Callable[[Path_, int, str], None]) -> tuple[Any, Lines, int]:
    """Errors are raised `from None`: YAML's own quote the lines around them, secrets included."""
    try:
        from yaml.cyaml import CParser
    except ImportError:
        raise ConfigError([Problem(_NO_LIBRARY, "", file)]) from None
    from yaml.error import MarkedYAMLError
    from yaml.reader import ReaderError

    from exporter.config.yaml.composer import Composer, NotYaml

    collects = gc.isenabled()
    gc.disable()  # a million values that all stay: to look through them again and again would double the time
    try:
        composer = Composer(CParser(text), report)
        values, lines = composer.document()
    except OutOfBounds as error:
        raise ConfigError([Problem(error.problem, "", file, error.line)]) from None
    except NotYaml as error:
        raise ConfigError([Problem(f"not YAML: {error.problem}", "", file, error.line)]) from None
    except MarkedYAMLError as error:
        raise ConfigError([_syntax_problem(error, text, file)]) from None
    except ReaderError as error:
        message = f"not YAML: the character U+{ord_of(error):04X} is not allowed"
        line = text.encode().count(b"\n", 0, error.position) + 1
        raise ConfigError([Problem(message, "", file, line)]) from None
    finally:
        if collects:
            gc.enable()
    return values, lines, composer.root_line


def ord_of(error: Any) -> int:
    """The character that a ReaderError is about; libyaml gives its number."""
    return error.character if isinstance(error.character, int) else ord(error.character)


def _syntax_problem(error: Any, text: str, file: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    lines = text.split("\n")
    line = min(mark.line + 1 if mark is not None else 1, len(lines))
    if error.problem == "exceeded maximum nesting depth":  # of libyaml, which reads ahead of the events
        return Problem(TOO_DEEP, "", file, line)
    if len(lines[line - 1]) > MAX_SCALAR:
        return Problem(TOO_LONG, "", file, line)
    return Problem(f"not YAML: {_trouble(error)}", "", file, line)


def _trouble(error: Any) -> str:
    """What is wrong, in YAML's words but for what they quote: that may be a secret without quotes."""
    text = str(error.problem or error.context)
    if text == "found invalid Unicode character escape code":
        return "an escape such as \\ud800 stands for half of a surrogate pair, or for no character at all"
    return _QUOTED.sub(lambda match: match.group() if _HARMLESS.fullmatch(match.group()) else "…", text)
