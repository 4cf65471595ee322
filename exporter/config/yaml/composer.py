"""Values and lines from YAML text, by the events of libyaml's parser: no tree of nodes is made in between.

Everything YAML could do and no configuration needs is a problem here: duplicate keys, merge keys, tags, and keys that
are not plain words. Every bound of `bounds` is checked at each event.
"""

from collections.abc import Callable
from dataclasses import dataclass
from sys import intern
from typing import Any, NoReturn

from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)

from exporter.config.yaml.bounds import (
    CHARACTERS_PER_VALUE,
    DEEPEST,
    MAX_KEYS,
    MAX_SCALAR,
    RECURSIVE,
    TOO_DEEP,
    TOO_LONG,
    TOO_MANY_KEYS,
    Allowance,
    OutOfBounds,
)
from exporter.config.yaml.lines import Leaf, Lines, Path_
from exporter.config.yaml.scalars import UnknownTag, is_kind, plain, tagged

TAGS = "YAML tags are not supported: a value that begins with ! needs quotes"
MERGE_KEYS = "merge keys (<<) are not supported: write the settings out"
NO_KEY = "a key must be a plain word"
NO_ANCHOR = "an alias without its anchor: a value that begins with * needs quotes"
SECOND_DOCUMENT = "a second document begins: the file may contain only one"

Report = Callable[[Path_, int, str], None]
"""Takes a path, its line, and what is wrong there."""


class NotYaml(Exception):
    """The text breaks a rule of YAML that libyaml's parser leaves to its caller; `line` is counted from 1."""

    def __init__(self, problem: str, line: int) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line


@dataclass(slots=True)
class _Anchored:
    """What an alias stands for."""

    value: Any
    leaf: Leaf
    size: int
    """Values in it."""
    height: int
    """Levels below it."""
    key: str | None
    """Its text, if it is a scalar."""


class Composer:
    """Composes one document. Not used twice."""

    def __init__(self, parser: Any, report: Report) -> None:
        """`parser` is a yaml.cyaml.CParser."""
        self._next: Callable[[], Any] = parser.get_event
        self._report = report
        self._muted = 0
        self._path: list[str | int] = []
        self._allowance = Allowance()
        self._anchors: dict[str, _Anchored | None] = {}
        """None while the anchor's own value is being composed."""
        self._height = 0
        """The deepest level that any value composed until now has reached."""
        self.root_line = 1

    def document(self) -> tuple[Any, Lines]:
        """The values, None for an empty text. Raises NotYaml, OutOfBounds and what the parser raises."""
        self._next()  # the stream begins
        event = self._next()
        if type(event) is StreamEndEvent:
            return None, Lines()
        event = self._next()
        self.root_line = event.start_mark.line + 1
        value, leaf = self._value(event)
        self._next()  # the document ends
        event = self._next()
        if type(event) is DocumentStartEvent:
            raise NotYaml(SECOND_DOCUMENT, event.start_mark.line + 1)
        return value, Lines(leaf[1] if isinstance(leaf, tuple) else None)

    def _value(self, event: Any) -> tuple[Any, Leaf]:
        """What begins with `event`, and its line."""
        kind = type(event)
        if kind is AliasEvent:
            anchored = self._alias(event)
            return _copy(anchored.value), anchored.leaf
        anchor = event.anchor
        if anchor is not None:
            return self._anchored(event, anchor)
        if kind is ScalarEvent:
            return self._scalar(event), event.start_mark.line + 1
        return self._mapping(event) if kind is MappingStartEvent else self._sequence(event)

    def _anchored(self, event: Any, anchor: str) -> tuple[Any, Leaf]:
        if len(anchor) > MAX_SCALAR:
            self._out(TOO_LONG, event)
        self._anchors[anchor] = None
        event.anchor = None
        before, height = self._allowance.total, self._height
        self._height = len(self._path)
        value, leaf = self._value(event)
        text = event.value if type(event) is ScalarEvent else None
        size, own = self._allowance.total - before, self._height - len(self._path)
        self._anchors[anchor] = _Anchored(_copy(value), leaf, size, own, text)
        self._height = max(height, self._height)
        return value, leaf

    def _alias(self, event: Any) -> _Anchored:
        line = event.start_mark.line + 1
        if len(event.anchor) > MAX_SCALAR:
            self._out(TOO_LONG, event)
        if event.anchor not in self._anchors:
            raise NotYaml(NO_ANCHOR, line)
        anchored = self._anchors[event.anchor]
        if anchored is None:
            raise OutOfBounds(RECURSIVE, line)
        self._allowance.copy(anchored.size, line)
        reached = len(self._path) + anchored.height
        if reached > DEEPEST:
            raise OutOfBounds(TOO_DEEP, line)
        self._height = max(self._height, reached)
        return anchored

    def _scalar(self, event: Any) -> Any:
        text: str = event.value
        size = len(text)
        line = event.start_mark.line + 1
        if size > MAX_SCALAR:
            raise OutOfBounds(TOO_LONG, line)
        self._allowance.write(1 + size // CHARACTERS_PER_VALUE, line)
        tag = event.tag
        if tag is None or tag == "!":
            return plain(text) if event.implicit[0] else text
        if len(tag) > MAX_SCALAR:
            raise OutOfBounds(TOO_LONG, line)
        try:
            return tagged(text, tag)
        except UnknownTag:
            self._note(line, TAGS)
            return None

    def _mapping(self, event: Any) -> tuple[dict[str, Any], Leaf]:
        begun = self._enter(event, "map")
        values: dict[str, Any] = {}
        lines: dict[str, Leaf] = {}
        path, following = self._path, self._next
        pairs = 0
        while type(event := following()) is not MappingEndEvent:
            pairs += 1
            if pairs > MAX_KEYS:
                self._out(TOO_MANY_KEYS, event)
            line = event.start_mark.line + 1
            if type(event) is ScalarEvent and event.anchor is None and event.tag is None:  # nearly all are
                key, trouble = intern(event.value), None
                if len(key) > MAX_SCALAR:
                    raise OutOfBounds(TOO_LONG, line)
                if key == "<<":
                    trouble = MERGE_KEYS
            else:
                key, trouble = self._key(event)
            if trouble is not None or key in values:
                self._refuse(key, line, trouble, lines)
                continue
            event = following()
            if type(event) is ScalarEvent and event.anchor is None and event.tag is None:
                text = event.value
                if len(text) > CHARACTERS_PER_VALUE:
                    values[key] = self._scalar(event)
                else:
                    values[key] = plain(text) if event.implicit[0] else text
                lines[key] = line
                continue
            path.append(key)
            values[key], leaf = self._value(event)
            path.pop()
            lines[key] = (line, leaf[1]) if isinstance(leaf, tuple) else line
        self._allowance.write(2 * pairs, begun)
        return values, (begun, lines)

    def _refuse(self, key: str, line: int, trouble: str | None, lines: dict[str, Leaf]) -> None:
        """Notes what is wrong with a key, and composes its value, so that its bounds are checked all the same."""
        place = tuple(self._path)
        if trouble is None:
            trouble, place = f"is set twice, first in line {_line_of(lines[key])}", (*place, key)
        self._note(line, trouble, place)
        self._path.append(key)
        self._muted += 1
        self._value(self._next())
        self._muted -= 1
        self._path.pop()

    def _sequence(self, event: Any) -> tuple[list[Any], Leaf]:
        begun = self._enter(event, "seq")
        values: list[Any] = []
        lines: list[Leaf] = []
        path, following = self._path, self._next
        path.append(0)
        while type(event := following()) is not SequenceEndEvent:
            path[-1] = len(values)
            value, leaf = self._value(event)
            values.append(value)
            lines.append(leaf)
        path.pop()
        return values, (begun, lines)

    def _key(self, event: Any) -> tuple[str, str | None]:
        """A mapping's key, and what is wrong with it."""
        if type(event) is AliasEvent:
            text = self._alias(event).key
            return text or "", None if text is not None else NO_KEY
        if type(event) is ScalarEvent:
            self._value(event)
            return intern(event.value), MERGE_KEYS if event.value == "<<" else None
        self._path.append("")
        self._muted += 1
        self._value(event)
        self._muted -= 1
        self._path.pop()
        return "", NO_KEY

    def _enter(self, event: Any, kind: str) -> int:
        """The line where a mapping or a sequence begins."""
        line: int = event.start_mark.line + 1
        depth = len(self._path)
        if depth > DEEPEST:
            raise OutOfBounds(TOO_DEEP, line)
        self._height = max(self._height, depth)
        self._allowance.write(1, line)
        if not is_kind(event.tag, kind):
            if len(event.tag) > MAX_SCALAR:
                raise OutOfBounds(TOO_LONG, line)
            self._note(line, TAGS)
        return line

    def _note(self, line: int, message: str, path: Path_ | None = None) -> None:
        if not self._muted:
            self._report(tuple(self._path) if path is None else path, line, message)

    @staticmethod
    def _out(problem: str, event: Any) -> NoReturn:
        raise OutOfBounds(problem, event.start_mark.line + 1)


def _copy(value: Any) -> Any:
    """Aliases are written out: what is done with one place must not show at another."""
    if isinstance(value, dict):
        return {key: _copy(inner) for key, inner in value.items()}
    return [_copy(inner) for inner in value] if isinstance(value, list) else value


def _line_of(leaf: Leaf) -> int:
    return leaf[0] if isinstance(leaf, tuple) else leaf
