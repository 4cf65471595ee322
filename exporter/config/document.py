"""A YAML file as plain values, with the line of everything in it, so that every problem can be told where it is."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from exporter.core.errors import ConfigError, Problem

Path_ = tuple[str | int, ...]
LARGEST_FILE = 64 * 1024 * 1024
MOST_NODES = 4_000_000
"""Values in a document, aliases counted each time: what a small file can blow up to is bounded."""
DEEPEST = 30


@dataclass(slots=True)
class Document:
    """`values` as YAML 1.2 reads them; `lines` by path, 1-based."""

    values: dict[str, Any]
    lines: dict[Path_, int]
    problems: list[Problem] = field(default_factory=list)
    file: str = ""

    def problem(self, path: Path_, message: str) -> Problem:
        """A problem at `path`, or at the nearest place above it that the file has."""
        at = path
        while at and at not in self.lines:
            at = at[:-1]
        return Problem(message, show_path(path), self.file, self.lines.get(at, 1))


def show_path(path: Path_) -> str:
    """`monitors[0].schedule`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def read_document(path: Path) -> Document:
    """Raises ConfigError when the file cannot be read or is not YAML; an empty file is an empty mapping."""
    file = str(path)
    root = _compose(_read(path), file)
    document = Document({}, {(): 1}, file=file)
    if root is None or (isinstance(root, ScalarNode) and str(root.tag).endswith(":null")):
        return document
    if not isinstance(root, MappingNode):
        raise ConfigError([Problem("the file must hold settings as `key: value`", "", file, _line(root))])
    document.values = _Reader(document).mapping(root, ())
    return document


def _read(path: Path) -> str:
    file = str(path)
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ConfigError([Problem("the file is larger than 64 MB", "", file)])
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([Problem(f"cannot be read: {(error.strerror or 'error').lower()}", "", file)]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Problem("is not UTF-8", "", file)]) from error


def _compose(text: str, file: str) -> Node | None:
    yaml = YAML(typ="safe", pure=True)
    try:
        node: Node | None = yaml.compose(text)
        return node
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        raise ConfigError([Problem(f"not YAML: {error.problem or error.context}", "", file, line)]) from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise ConfigError([Problem("not YAML, or nested too deeply", "", file, 1)]) from error


class _Reader:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._left = MOST_NODES

    def mapping(self, node: MappingNode, path: Path_) -> dict[str, Any]:
        self._enter(node, path)
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self._report(path, key_node, "a key must be a plain word")
                continue
            key = str(key_node.value)
            here = (*path, key)
            if key in found:
                first = self._document.lines[here]
                self._report(here, key_node, f"given twice: first in line {first}")
                continue
            self._document.lines[here] = _line(key_node)
            found[key] = self.value(value_node, here)
        return found

    def value(self, node: Node, path: Path_) -> Any:
        if isinstance(node, MappingNode):
            return self.mapping(node, path)
        self._enter(node, path)
        if isinstance(node, SequenceNode):
            items = []
            for index, item in enumerate(node.value):
                self._document.lines[(*path, index)] = _line(item)
                items.append(self.value(item, (*path, index)))
            return items
        return self._scalar(node, path)

    def _scalar(self, node: Node, path: Path_) -> Any:
        kind, text = str(node.tag).rpartition(":")[2], str(node.value)
        try:
            match kind:
                case "null":
                    return None
                case "bool":
                    return text.lower() == "true"
                case "int":
                    return int(text.replace("_", ""), 0) if text.lstrip("+-")[:2] in ("0x", "0o") else int(text)
                case "float":
                    return float(text.replace("_", ""))
                case "str" | "timestamp" | "merge" | "value":
                    return text
        except ValueError:
            return text
        self._report(path, node, f"the YAML tag {node.tag} is not used here")
        return None

    def _enter(self, node: Node, path: Path_) -> None:
        self._left -= 1
        if self._left < 0 or len(path) > DEEPEST:
            raise ConfigError([self._document.problem(path, "too much, or nested too deeply: are there aliases?")])

    def _report(self, path: Path_, node: Node, message: str) -> None:
        self._document.problems.append(Problem(message, show_path(path), self._document.file, _line(node)))


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1 if node.start_mark is not None else 1
