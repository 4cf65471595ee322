"""A YAML file as plain values, with the line of everything in it, so that every problem can be told where it is."""

import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from exporter.config.bounds import DEEPEST, MOST_NODES, OutOfBounds, compose_bounded
from exporter.config.files import PIPE_PATIENCE, read_bounded
from exporter.core.errors import ConfigError, Problem

Path_ = tuple[str | int, ...]
LARGEST_FILE = 64 * 1024 * 1024
LONGEST_NUMBER = 30
_PARSER_FAILURES = (YAMLError, ValueError, LookupError, AttributeError, TypeError, AssertionError, RecursionError)
"""What the parser raises on texts that are no YAML: not only its own errors."""
_KEY = re.compile(r"[\w.-]{1,60}")
_NULLS = ("", "~", "null", "Null", "NULL")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_HARMLESS = re.compile(r"'(.|\\.|<[a-z ]+>)'")


@dataclass(slots=True)
class Document:
    """`values` as YAML 1.2 reads them; `lines` by path, 1-based."""

    values: dict[str, Any]
    lines: dict[Path_, int]
    problems: list[Problem] = field(default_factory=list)
    file: str = ""
    written: dict[Path_, Path_] = field(default_factory=dict)
    """How a setting is called in the file where that is not its name: an alias, or its `_file` twin."""

    def problem(self, path: Path_, message: str) -> Problem:
        """A problem at `path`, or at the nearest place above it that the file has."""
        path = at = self.written.get(path, path)
        while at and at not in self.lines:
            at = at[:-1]
        return Problem(message, show_path(path), self.file, self.lines.get(at, 1))


def show_path(path: Path_) -> str:
    """`monitors[0].schedule`. A key is cut where it is none: what follows in `secret:abc` is a secret."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{plain_key(step)}" if text else plain_key(step)
    return text


def plain_key(key: str) -> str:
    """As much of `key` as looks like a key."""
    match = _KEY.match(key)
    found = match.group() if match is not None else ""
    return found if found == key and key else f"{found}…"


def read_document(path: Path) -> Document:
    """Raises ConfigError when the file cannot be read or is not YAML; an empty file is an empty mapping."""
    file = str(path)
    root = _compose(_read(path), file)
    document = Document({}, {(): 1}, file=file)
    if root is None or (isinstance(root, ScalarNode) and str(root.tag).endswith(":null")):
        return document
    if not isinstance(root, MappingNode):
        raise ConfigError([Problem("the file must contain settings as `key: value`", "", file, _line(root))])
    document.values = _Reader(document).mapping(root, ())
    return document


def _read(path: Path) -> str:
    file = str(path)
    raw = b""
    try:
        raw = read_bounded(path, LARGEST_FILE, pipe_patience=PIPE_PATIENCE)
        if len(raw) > LARGEST_FILE:
            raise ConfigError([Problem("the file is larger than 64 MB", "", file)])
        text = raw.decode("utf-8")
    except OSError as error:
        raise ConfigError([Problem(f"cannot be read: {(error.strerror or 'error').lower()}", "", file)]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([Problem("is not UTF-8", "", file, raw.count(b"\n", 0, error.start) + 1)]) from None
    return text


def _compose(text: str, file: str) -> Node | None:
    """Errors are raised `from None`: YAML's own quote the lines around them, secrets included."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)
            return compose_bounded(text)
    except OutOfBounds as error:
        raise ConfigError([Problem(str(error.problem), "", file, error.problem_mark.line + 1)]) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        raise ConfigError([Problem(f"not YAML: {_trouble(error)}", "", file, line)]) from None
    except ReaderError as error:
        message = f"not YAML: the character U+{error.character:04X} is not allowed"
        raise ConfigError([Problem(message, "", file, text.count("\n", 0, error.position) + 1)]) from None
    except _PARSER_FAILURES:
        raise ConfigError([Problem("not YAML, or nested too deeply", "", file, 1)]) from None


def _trouble(error: MarkedYAMLError) -> str:
    """What is wrong, in YAML's words but for what they quote: that may be a secret which nobody put in quotes."""
    text = str(error.problem or error.context)
    if "undefined alias" in text:
        return "an alias without its anchor: a value that begins with * needs quotes"
    if text == "but found another document":
        return "a second document begins: the file may contain only one"
    return _QUOTED.sub(lambda match: match.group() if _HARMLESS.fullmatch(match.group()) else "…", text)


class _Reader:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._left = MOST_NODES

    def mapping(self, node: MappingNode, path: Path_) -> dict[str, Any]:
        self._enter(node, path)
        self._check_tag(node, path, "map")
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self._report(path, key_node, "a key must be a plain word")
                continue
            key = str(key_node.value)
            here = (*path, key)
            if key == "<<":
                self._report(path, key_node, "merge keys (<<) are not supported: write the settings out")
                continue
            if key in found:
                first = self._document.lines[here]
                self._report(here, key_node, f"is set twice, first in line {first}")
                continue
            self._document.lines[here] = _line(key_node)
            found[key] = self.value(value_node, here)
        return found

    def value(self, node: Node, path: Path_) -> Any:
        if isinstance(node, MappingNode):
            return self.mapping(node, path)
        self._enter(node, path)
        if isinstance(node, SequenceNode):
            self._check_tag(node, path, "seq")
            items = []
            for index, item in enumerate(node.value):
                self._document.lines[(*path, index)] = _line(item)
                items.append(self.value(item, (*path, index)))
            return items
        return self._scalar(node, path)

    def _scalar(self, node: Node, path: Path_) -> Any:
        """What is not written as its kind is a text: YAML 1.1's `yes`, and numbers that no setting takes."""
        text = str(node.value)
        try:
            match self._kind(node):
                case "null":
                    return None if text in _NULLS else text
                case "bool":
                    return {"true": True, "false": False}.get(text.lower(), text)
                case "int" if len(text) <= LONGEST_NUMBER:
                    return int(text.replace("_", ""), 0) if text.lstrip("+-")[:2] in ("0x", "0o") else int(text)
                case "float":
                    return float(text.replace("_", ""))
                case "str" | "int" | "timestamp" | "merge" | "value":
                    return text
        except ValueError:
            return text
        self._check_tag(node, path, "str")
        return None

    def _kind(self, node: Node) -> str:
        start, _, kind = str(node.tag).rpartition(":")
        return kind if start == "tag:yaml.org,2002" else ""

    def _check_tag(self, node: Node, path: Path_, kind: str) -> None:
        if self._kind(node) != kind:
            self._report(path, node, "YAML tags are not supported: a value that begins with ! needs quotes")

    def _enter(self, node: Node, path: Path_) -> None:
        self._left -= 1
        if self._left < 0 or len(path) > DEEPEST:
            raise ConfigError(
                [self._document.problem(path, "too many values, or nested too deeply: check for aliases")]
            )

    def _report(self, path: Path_, node: Node, message: str) -> None:
        self._document.problems.append(Problem(message, show_path(path), self._document.file, _line(node)))


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1 if node.start_mark is not None else 1
