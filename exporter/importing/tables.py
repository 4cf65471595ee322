"""ForeignTables of another system's database, read and never written: SQLite files, plain dumps of PostgreSQL."""

import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from exporter.importing.takeover import ImportFailed

Row = Mapping[str, Any]

_SQLITE = b"SQLite format 3\x00"
_COPY = re.compile(r'^COPY (?:"?\w+"?\.)?"?(\w+)"? \((.*)\) FROM stdin;$')
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class ForeignTables(Protocol):
    """The rows of a database's tables."""

    def has(self, table: str) -> bool: ...

    def rows(self, table: str) -> list[Row]:
        """All rows, in the order of their ids where they have one. A table that is not there has none."""
        ...


class SqliteTables:
    """Those of an SQLite file, which may be in use: its log is read too."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names = {str(row["name"]) for row in self._read("SELECT name FROM sqlite_master WHERE type = 'table'")}

    def has(self, table: str) -> bool:
        return table in self._names

    def rows(self, table: str) -> list[Row]:
        if table not in self._names:
            return []
        columns = {str(row["name"]) for row in self._read(f'PRAGMA table_info("{table}")')}
        order = " ORDER BY id" if "id" in columns else ""
        return self._read(f'SELECT * FROM "{table}"{order}')  # noqa: S608 - a name from this module's callers

    def _read(self, sql: str) -> list[Row]:
        try:
            with closing(sqlite3.connect(f"file:{quote(str(self._path))}?mode=ro", uri=True)) as connection:
                connection.row_factory = sqlite3.Row
                connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
                return [dict(row) for row in connection.execute(sql)]
        except sqlite3.Error as error:
            raise ImportFailed(f"{self._path}: cannot be read as an SQLite database ({error})") from None


class FixtureTables:
    """Those of a list that Django's `dumpdata` wrote: `{"model": "api.check", "pk": 1, "fields": {…}}`."""

    def __init__(self, objects: list[Any]) -> None:
        self._rows: defaultdict[str, list[Row]] = defaultdict(list)
        for each in objects:
            if not (isinstance(each, dict) and isinstance(each.get("fields"), dict) and "model" in each):
                raise ImportFailed("this is no list of objects as `manage.py dumpdata` writes it")
            table, fields = str(each["model"]).replace(".", "_"), each["fields"]
            row = {"id": each.get("pk")}
            for name, value in fields.items():
                row[name] = row[f"{name}_id"] = value
                if isinstance(value, list):  # a relation of many to many is a table of its own
                    own = table.rpartition("_")[2]
                    self._rows[f"{table}_{name}"] += [
                        {f"{own}_id": each.get("pk"), f"{name.removesuffix('s')}_id": other} for other in value
                    ]
            self._rows[table].append(row)

    def has(self, table: str) -> bool:
        return table in self._rows

    def rows(self, table: str) -> list[Row]:
        return self._rows.get(table, [])


class DumpTables:
    """Those of a plain dump that `pg_dump` wrote. Values are texts; NULL is None."""

    def __init__(self, path: Path) -> None:
        self._rows: dict[str, list[Row]] = {}
        with path.open(encoding="utf-8", errors="replace", newline="\n") as lines:
            for line in lines:
                match = _COPY.match(line.rstrip("\n"))
                if match is not None:
                    columns = [name.strip().strip('"') for name in match[2].split(",")]
                    self._rows[match[1]] = list(_copied(columns, lines, f"{path}, table {match[1]}"))
        if not self._rows:
            raise ImportFailed(
                f"{path}: has no rows that can be read. A dump must be plain text with COPY, as pg_dump writes it "
                "without --format and without --inserts"
            )

    def has(self, table: str) -> bool:
        return table in self._rows

    def rows(self, table: str) -> list[Row]:
        return self._rows.get(table, [])


def open_tables(path: Path) -> ForeignTables:
    """By what the file is. Raises ImportFailed."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_SQLITE))
    except OSError as error:
        raise ImportFailed(f"{path}: cannot be read ({error.strerror})") from None
    if not start:
        raise ImportFailed(f"{path}: is empty")
    return SqliteTables(path) if start == _SQLITE else DumpTables(path)


def need(tables: ForeignTables, product: str, *names: str) -> None:
    """Raises ImportFailed for the database of something else."""
    missing = [name for name in names if not tables.has(name)]
    if missing:
        raise ImportFailed(f"this is no database of {product}: it has no table {', '.join(missing)}")


def integer(value: object, otherwise: int) -> int:
    """A number from a column that may hold text, or nothing."""
    try:
        return int(str(value))
    except ValueError:
        return otherwise


def true(value: object) -> bool:
    """Of SQLite's 1, PostgreSQL's t, and YES."""
    return str(value).lower() in ("1", "t", "true", "yes")


def _copied(columns: list[str], lines: Iterator[str], place: str) -> Iterator[Row]:
    for line in lines:
        text = line.removesuffix("\n")
        if text == r"\.":
            return
        values = text.split("\t")
        if len(values) != len(columns):
            raise ImportFailed(f"{place}: a row has {len(values)} values instead of {len(columns)}; is it cut off?")
        yield {
            name: None if value == r"\N" else _ESCAPE.sub(lambda match: _ESCAPES.get(match[1], match[1]), value)
            for name, value in zip(columns, values, strict=True)
        }
    raise ImportFailed(f"{place}: ends in the middle; the dump is cut off")
