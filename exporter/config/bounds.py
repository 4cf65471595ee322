"""What a YAML text may ask of the parser: each bound is checked while it is read, before it costs time or memory.

Checked afterwards, a text of one kilobyte has already become millions of values, or has used up the stack.
"""

from collections.abc import Callable
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import AliasEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode
from ruamel.yaml.reader import Reader
from ruamel.yaml.scanner import Scanner

MOST_NODES = 4_000_000
"""Values in a document, aliases counted each time with everything they stand for."""
DEEPEST = 30
MOST_KEYS = 1000
"""Keys of one mapping: no section has a tenth of that."""
FREE_COPIES = 10_000
COPIES_PER_VALUE = 10
"""Aliases may add `FREE_COPIES` values, and `COPIES_PER_VALUE` for each value that is written out."""
_CHARACTERS_PER_VALUE = 100
"""A long text counts as several values: a copy of it is looked through each time."""
LONGEST_SCALAR = 128 * 1024
"""Characters of one text in the file, twice what the file of a secret may hold."""

TOO_DEEP = f"nested too deeply: at most {DEEPEST} levels are allowed; check the brackets and the indentation"
RECURSIVE = "nested too deeply: an alias refers to a value that contains it; write the settings out"
TOO_MANY_KEYS = f"more than {MOST_KEYS:,} keys under one heading: check the indentation"
TOO_MANY_COPIES = "the aliases expand to too many values: write the settings out, without aliases (*name)"
TOO_MANY = f"more than {MOST_NODES:,} values: split the monitors over several services"
TOO_LONG = f"a string of more than {LONGEST_SCALAR:,} characters: check for a missing closing quote"


class OutOfBounds(MarkedYAMLError):
    """`problem` says which bound and what to do, `problem_mark` where."""


class BoundedReader(Reader):
    """Reads a stream in small pieces, and no further while one text is longer than any setting. Raises OutOfBounds."""

    start: Any = None
    """The mark where the text began that is being scanned."""

    def update(self, length: int) -> None:
        if self.start is not None and self.index + len(self.buffer) - self.pointer - self.start.index > LONGEST_SCALAR:
            raise OutOfBounds(problem=TOO_LONG, problem_mark=self.start)
        super().update(length)


class BoundedScanner(Scanner):
    """Tells the BoundedReader when a text begins and ends."""

    def fetch_plain(self) -> None:
        self._fetch_bounded(super().fetch_plain)

    def fetch_flow_scalar(self, style: Any) -> None:
        self._fetch_bounded(super().fetch_flow_scalar, style)

    def fetch_block_scalar(self, style: Any) -> None:
        self._fetch_bounded(super().fetch_block_scalar, style)

    def fetch_alias(self) -> None:
        self._fetch_bounded(super().fetch_alias)

    def fetch_anchor(self) -> None:
        self._fetch_bounded(super().fetch_anchor)

    def fetch_tag(self) -> None:
        self._fetch_bounded(super().fetch_tag)

    def fetch_directive(self) -> None:
        self._fetch_bounded(super().fetch_directive)

    def _fetch_bounded(self, fetch: Callable[..., Any], *arguments: Any) -> None:
        self.reader.start = self.reader.get_mark()
        fetch(*arguments)
        self.reader.start = None


class BoundedComposer(Composer):
    """Composes nodes until a bound is reached. Raises OutOfBounds then."""

    def __init__(self, loader: Any = None) -> None:
        super().__init__(loader)
        self._level = 0
        self._written = 0
        self._copied = 0
        self._sizes: dict[int, int] = {}
        """How many values each finished node with an anchor stands for, by its id: `anchors` keeps them alive."""
        self._kept: list[Node] = []

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.parser.peek_event()
        if type(parent) is MappingNode and len(parent.value) > MOST_KEYS:
            raise _out(TOO_MANY_KEYS, event)
        if isinstance(event, AliasEvent):
            node = super().compose_node(parent, index)
            self._count_copy(node, event)
            return node
        if self._level > DEEPEST:
            raise _out(TOO_DEEP, event)
        before = self._written + self._copied
        self._level += 1
        self._written += 1
        node = super().compose_node(parent, index)
        self._level -= 1
        if type(node) is ScalarNode:
            self._written += len(node.value) // _CHARACTERS_PER_VALUE
        if self._written + self._copied > MOST_NODES:
            raise _out(TOO_MANY, event)
        if event.anchor is not None:
            self._sizes[id(node)] = self._written + self._copied - before
            self._kept.append(node)  # an anchor may be given again: no other node may get this id
        return node

    def _count_copy(self, node: Any, event: Any) -> None:
        size = self._sizes.get(id(node))
        if size is None:
            raise _out(RECURSIVE, event)
        self._copied += size
        if self._copied > FREE_COPIES + COPIES_PER_VALUE * self._written:
            raise _out(TOO_MANY_COPIES, event)


def compose_bounded(text: str) -> Node | None:
    """The only document in `text`. Raises OutOfBounds, and what the parser raises."""
    parser = YAML(typ="safe", pure=True)
    parser.Reader, parser.Scanner, parser.Composer = BoundedReader, BoundedScanner, BoundedComposer
    node: Node | None = parser.compose(StringIO(text))
    return node


def _out(problem: str, event: Any) -> OutOfBounds:
    return OutOfBounds(problem=problem, problem_mark=event.start_mark)
