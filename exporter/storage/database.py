"""One database: connections, transactions, and its errors in our words. Engines differ only in `engines`."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import peewee

from exporter.core.errors import StorageUnavailable
from exporter.core.telemetry import Silent, Telemetry
from exporter.storage.engines import Engine, open_engine
from exporter.storage.tables import Tables


class Reader:
    """What may be done inside `Database.read`, beside the query builder's own queries."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def query(self, statement: "Prepared", values: Sequence[Any]) -> Iterable[Any]:
        """Rows."""
        cursor = self._connection.cursor()
        cursor.execute(statement.sql, values)
        return cursor.fetchall()  # type: ignore[no-any-return]


class Transaction(Reader):
    """What may be done inside `Database.write`."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.after_commit: list[Callable[[], None]] = []
        """Called once the commit is durable, before any other writer of this process begins: this is where the
        fleet learns of it, so that two writers can never leave it with the older of two values."""

    def execute(self, statement: "Prepared", row: Sequence[Any]) -> int:
        """Rows changed."""
        cursor = self._connection.cursor()
        cursor.execute(statement.sql, row)
        return int(cursor.rowcount)

    def execute_many(self, statement: "Prepared", rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            self._connection.cursor().executemany(statement.sql, rows)


class Prepared:
    """A statement built once by the query builder and run many times.

    Building one costs ten times what running it does, and the commit path has microseconds. In the query given,
    the values are `param("…")`; `row` puts a row's values in the order in which the statement wants them.
    """

    __slots__ = ("_after", "_before", "_defaults", "_places", "sql")

    def __init__(self, database: "Database", query: Any) -> None:
        self.sql, values = database.sql(query)
        self._places = [(index, value.name) for index, value in enumerate(values) if isinstance(value, _Place)]
        self._defaults = [None if isinstance(value, _Place) else value for value in values]
        self._before: list[Any] = values[: self._places[0][0]]
        self._after: list[Any] = values[self._places[-1][0] + 1 :]

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters in the order in which the statement wants them."""
        return tuple(name for _, name in self._places)

    def row(self, values: Mapping[str, Any]) -> list[Any]:
        row = self._defaults.copy()
        for index, name in self._places:
            row[index] = values[name]
        return row

    def filled(self, values: list[Any]) -> list[Any]:
        """As `row`, from the values in the statement's order. Its own values must not stand between them."""
        return [*self._before, *values, *self._after]


class Bulk:
    """One statement for many rows, built once for each power of two.

    Every call into the database gives up the interpreter to the other threads and has to wait for it again: a group
    of 64 heartbeats in a call each costs more in waiting than in writing.
    """

    LARGEST = 128

    def __init__(self, database: "Database", build: Callable[[int], Any]) -> None:
        self._database = database
        self._build = build
        self._statements: dict[int, Prepared] = {}

    def statement(self, rows: int) -> Prepared:
        """For exactly so many rows, a power of two."""
        found = self._statements.get(rows)
        if found is None:
            found = self._statements[rows] = Prepared(self._database, self._build(rows))
        return found

    def read(self, reader: Reader, ids: Sequence[int]) -> Iterator[Any]:
        """Rows of a query by ids, for any number of them: the last id is repeated up to a power of two."""
        for start in range(0, len(ids), self.LARGEST):
            some = list(ids[start : start + self.LARGEST])
            statement = self.statement(1 << (len(some) - 1).bit_length())
            some += some[-1:] * (len(statement.names) - len(some))
            yield from reader.query(statement, statement.filled(some))

    def write(self, transaction: Transaction, values: list[Any], width: int) -> int:
        """`values` of all rows one after the other, `width` to a row, in the order of the statement's parameters.

        Returns how many rows of the table changed.
        """
        changed, start, left = 0, 0, len(values) // width
        while left:
            size = min(self.LARGEST, 1 << (left.bit_length() - 1))
            end = start + size * width
            statement = self.statement(size)
            changed += transaction.execute(statement, statement.filled(values[start:end]))
            start, left = end, left - size
        return changed


class _Place:
    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


def param(name: str) -> Any:
    """A place in a Prepared statement, filled by `row`."""
    return peewee.Value(_Place(name), converter=False)


class Database:
    """Threads share it; each gets a connection of its own."""

    def __init__(
        self, url: str, telemetry: Telemetry | None = None, replaced: Callable[[], None] = lambda: None
    ) -> None:
        """`replaced` is called, perhaps more than once, when what was opened is no longer what is at the URL."""
        self._engine: Engine = open_engine(url)
        self._peewee = self._engine.database
        self._telemetry = telemetry or Silent()
        self._replaced = replaced
        self._place: object = None
        """Where the first connection found the database."""
        # Our own threads queue here instead of in SQLite's busy handler, which sleeps up to 100 ms between tries.
        self._one_writer = threading.Lock()
        self.tables = Tables(self._peewee)
        self.trouble: str | None = None
        """Why the last transaction failed; None when it did not."""

    @property
    def peewee(self) -> Any:
        """For migrations only."""
        return self._peewee

    def sql(self, query: Any) -> tuple[str, list[Any]]:
        sql, values = self._peewee.get_sql_context().sql(query).query()
        return sql, values

    @contextmanager
    def write(self, operation: str) -> Iterator[Transaction]:
        """One transaction, durable when the block is left without an error.

        Raises StorageUnavailable, and nothing was written, when the database cannot take it now.
        """
        with self._one_writer, self._translated(operation):
            self._connect()
            with self._peewee.atomic():
                transaction = Transaction(self._peewee.connection())
                yield transaction
            self._still_there()  # else the commit went to a file that nobody will ever open again
            for action in transaction.after_commit:
                action()
            self._works(None)

    @contextmanager
    def read(self, operation: str) -> Iterator[Reader]:
        """Queries outside a transaction; raises StorageUnavailable."""
        with self._translated(operation):
            self._connect()
            yield Reader(self._peewee.connection())

    def close(self) -> None:
        """Closes the calling thread's connection."""
        self._peewee.close()

    def _connect(self) -> None:
        if self._place is not None:
            self._still_there()  # before SQLite makes an empty file of that name
        self._peewee.connect(reuse_if_open=True)
        if self._place is None:
            self._place = self._engine.place()

    def _still_there(self) -> None:
        if self._engine.place() != self._place:
            self._replaced()
            raise peewee.OperationalError("the database was removed or replaced")

    @contextmanager
    def _translated(self, operation: str) -> Iterator[None]:
        try:
            yield
        except peewee.IntegrityError:
            raise
        except self._engine.errors as error:
            reason = self._first(error)
            self._telemetry.storage_failed(operation)
            self._works(f"{operation}: {reason}")
            self._discard()
            raise StorageUnavailable(f"{operation}: {reason}") from error

    def _first(self, error: BaseException) -> BaseException:
        """What went wrong first: a full disk also makes the rollback fail, which tells nobody anything."""
        while isinstance(error.__context__, self._engine.errors):
            error = error.__context__
        return error

    def _works(self, trouble: str | None) -> None:
        if trouble is None or self.trouble is None:
            self._telemetry.storage_up(trouble is None)
        self.trouble = trouble

    def _discard(self) -> None:
        """Drops the connection, so that the next try opens the file as it is by then."""
        try:
            self._peewee.close()
        except self._engine.errors:
            self._peewee._state.reset()
