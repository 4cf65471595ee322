"""What a YAML text may ask of the parser: each bound is checked while it is read, before it costs time or memory.

Checked afterwards, a text of one kilobyte has already become millions of values.
"""

MAX_NODES = 4_000_000
"""Values in a document, aliases counted each time with everything they stand for."""
DEEPEST = 30
MAX_KEYS = 1000
"""Keys of one mapping: no section has a tenth of that."""
FREE_COPIES = 10_000
COPIES_PER_VALUE = 10
"""Aliases may add `FREE_COPIES` values, and `COPIES_PER_VALUE` for each value that is written out."""
CHARACTERS_PER_VALUE = 100
"""A long text counts as several values: a copy of it is looked through each time."""
MAX_SCALAR = 128 * 1024
"""Characters of one text in the file, twice what the file of a secret may hold."""

TOO_DEEP = f"nested too deeply: at most {DEEPEST} levels are allowed; check the brackets and the indentation"
RECURSIVE = "nested too deeply: an alias refers to a value that contains it; write the settings out"
TOO_MANY_KEYS = f"more than {MAX_KEYS:,} keys under one heading: check the indentation"
TOO_MANY_COPIES = "the aliases expand to too many values: write the settings out, without aliases (*name)"
TOO_MANY = f"more than {MAX_NODES:,} values: split the monitors over several services"
TOO_LONG = f"a string of more than {MAX_SCALAR:,} characters: check for a missing closing quote"


class OutOfBounds(Exception):
    """`problem` says which bound and what to do, `line` where, counted from 1."""

    def __init__(self, problem: str, line: int) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line


class Allowance:
    """How many values a document has asked for until now. Methods raise OutOfBounds."""

    __slots__ = ("copied", "written")

    def __init__(self) -> None:
        self.written = 0
        """Values that stand in the text, long ones counted several times."""
        self.copied = 0
        """Values that aliases add."""

    @property
    def total(self) -> int:
        return self.written + self.copied

    def write(self, values: int, line: int) -> None:
        self.written += values
        if self.written + self.copied > MAX_NODES:
            raise OutOfBounds(TOO_MANY, line)

    def copy(self, values: int, line: int) -> None:
        self.copied += values
        if self.written + self.copied > MAX_NODES:
            raise OutOfBounds(TOO_MANY, line)
        if self.copied > FREE_COPIES + COPIES_PER_VALUE * self.written:
            raise OutOfBounds(TOO_MANY_COPIES, line)
