"""One database: connections, transactions, and its errors as StorageUnavailable. What differs is behind `engine`."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import peewee

from exporter.core.errors import StorageConflict, StorageUnavailable
from exporter.core.telemetry import Silent, Telemetry
from exporter.storage.engines import open_engine
from exporter.storage.engines.engine import Engine
from exporter.storage.tables import Tables

log = logging.getLogger(__name__)

AWAY = 1.0
"""Seconds. A transaction that took longer waited for a database that was locked, frozen or away."""
MAX_TRANSACTION_SECONDS = 8.0
"""Seconds that a transaction may last which writes to a log that others follow: see `fleet.log_feed`."""


class Reader:
    """What may be done inside `Database.read`, beside the query builder's own queries."""

    def __init__(self, cursor: Callable[[], Any]) -> None:
        """`cursor` makes one that takes what `Engine.prepared` gave."""
        self._cursor = cursor

    def query(self, statement: "Prepared", values: Sequence[Any]) -> Iterable[Any]:
        """Rows."""
        cursor = self._cursor()
        cursor.execute(statement.sql, values)
        return cursor.fetchall()  # type: ignore[no-any-return]


class Transaction(Reader):
    """What may be done inside `Database.write`."""

    def __init__(self, cursor: Callable[[], Any]) -> None:
        super().__init__(cursor)
        self.after_commit: list[Callable[[], None]] = []
        """Called once the commit is durable, before any other writer of this process begins: this is where the
        fleet learns of it, so that two writers can never leave it with the older of two values."""

    def execute(self, statement: "Prepared", row: Sequence[Any]) -> int:
        """Rows changed."""
        cursor = self._cursor()
        cursor.execute(statement.sql, row)
        return int(cursor.rowcount)

    def execute_many(self, statement: "Prepared", rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            self._cursor().executemany(statement.sql, rows)


class Prepared:
    """A statement built once by the query builder and run many times.

    Building one costs ten times what running it does, and the commit path has microseconds; a process that needs few
    statements, as a command does, builds few. In the query given, the values are `param("…")`; `row` puts a row's
    values in the order in which the statement wants them.
    """

    __slots__ = ("_after", "_before", "_database", "_defaults", "_places", "_query", "sql")
    sql: str

    def __init__(self, database: "Database", query: Any) -> None:
        self._database = database
        self._query = query

    def __getattr__(self, name: str) -> Any:
        """Called for what is not there yet: builds the statement when it is first used. Two threads may do so at once,
        with the same outcome.
        """
        if name not in Prepared.__slots__:
            raise AttributeError(name)
        sql, values = self._database.prepared(self._query)
        self._places = [(index, value.name) for index, value in enumerate(values) if isinstance(value, _Place)]
        self._defaults = [None if isinstance(value, _Place) else value for value in values]
        self._before: list[Any] = values[: self._places[0][0]]
        self._after: list[Any] = values[self._places[-1][0] + 1 :]
        self.sql = sql
        return object.__getattribute__(self, name)

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

    MAX_SIZE = 128

    def __init__(self, database: "Database", build: Callable[[int], Any]) -> None:
        self._database = database
        self._build = build
        self._statements: dict[int, Prepared] = {}

    def statement(self, rows: int) -> Prepared:
        """For exactly so many rows, a power of two."""
        statement = self._statements.get(rows)
        if statement is None:
            statement = self._statements[rows] = Prepared(self._database, self._build(rows))
        return statement

    def read(self, reader: Reader, ids: Sequence[int], others: Sequence[int] = ()) -> Iterator[Any]:
        """Rows of a query by ids, for any number of them: the last id is repeated up to a power of two. `others` are
        the values of the parameters that follow the ids.
        """
        for start in range(0, len(ids), self.MAX_SIZE):
            some = list(ids[start : start + self.MAX_SIZE])
            size = 1 << (len(some) - 1).bit_length()
            statement = self.statement(size)
            some += some[-1:] * (size - len(some))
            yield from reader.query(statement, statement.filled([*some, *others]))

    def write(self, transaction: Transaction, values: list[Any], width: int) -> int:
        """`values` of all rows one after the other, `width` to a row, in the order of the statement's parameters.

        Returns how many rows of the table changed.
        """
        changed, start, left = 0, 0, len(values) // width
        while left:
            size = min(self.MAX_SIZE, 1 << (left.bit_length() - 1))
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
    """Threads share it; each gets a connection of its own while it needs one."""

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
        # This process's threads queue here instead of in SQLite's busy handler, which sleeps up to 100 ms between
        # tries; and what one process commits becomes visible in the order of its numbers.
        self._one_writer = threading.Lock()
        self._in_vain = 0
        """How often the thread at the head of that queue waited for the database in vain."""
        self.tables = Tables(self._peewee)
        self.locks_rows: bool = self._engine.locks_rows
        """Whether writers of several processes run side by side; else one has the database to itself."""
        self.settles: int = self._engine.settles
        """Milliseconds after which rows whose numbers were handed out earlier are there, or never will be."""
        self.trouble: str | None = None
        """Why the last transaction failed; None when it did not."""
        self.absences = 0
        """Grows with every transaction that failed or was kept waiting for the database, and the first one that follows
        a failure. Conflicts of two transactions do not count."""
        self._failed = False
        """Whether the last transaction failed."""
        self._truncated = False
        """Whether a file of the database was found to be truncated."""
        self.doubts = 0
        """How many commits got no answer: they may have been made or not."""

    @property
    def peewee(self) -> Any:
        """For migrations only."""
        return self._peewee

    @property
    def engine(self) -> Engine:
        """For the operators of the database."""
        return self._engine

    def prepared(self, query: Any) -> tuple[str, list[Any]]:
        """The statement, in the engine's way of naming places, and the values in their order."""
        sql, values = self._peewee.get_sql_context().sql(query).query()
        return self._engine.prepared(sql), values

    def locking(self, query: Any) -> Any:
        """The query, made to lock the rows that it reads until the transaction ends, where `locks_rows`. Several rows
        are locked in the order of their numbers, so that no two transactions wait for each other.
        """
        return query.for_update() if self.locks_rows else query

    def lock(self, query: Any) -> None:
        """Inside a transaction: locks the rows of a query that is not prepared."""
        if self.locks_rows:
            list(query.for_update().tuples())

    def begin_migration(self) -> None:
        """Inside a transaction: returns when no other process migrates."""
        self._engine.begin_migration()

    @contextmanager
    def write(self, operation: str, within: float | None = None) -> Iterator[Transaction]:
        """One transaction, durable when the block is left without an error. If that takes more than `within` seconds,
        it is undone.

        Raises StorageUnavailable, and nothing was written that a caller may rely on, when the database cannot take it
        now; StorageConflict when another process was in the way.
        """
        before = self._in_vain
        with self._one_writer:
            if self._in_vain != before:  # else a thread behind one that waited in vain waits twice as long
                raise StorageUnavailable(f"{operation}: not tried after {self.trouble}")
            begun = committing = False
            started = time.monotonic()
            try:
                with self._session(operation, writing=True):
                    with self._peewee.atomic():
                        begun, at = True, time.monotonic()
                        transaction = Transaction(self._engine.cursor)
                        yield transaction
                        if within is not None and time.monotonic() - at > within:
                            raise peewee.OperationalError(f"the transaction took more than {within:g} s")
                        committing = True
                    committing = False
                    self._still_there()  # else the commit went to a file that will never be opened again
                    for action in transaction.after_commit:
                        action()
                    self._works(None)
                    self.absences += self._failed
                    self._failed = False
            finally:
                self._in_vain += not begun
                self.doubts += committing
                self.absences += time.monotonic() - started > AWAY

    @contextmanager
    def read(self, operation: str) -> Iterator[Reader]:
        """Queries outside a transaction; raises StorageUnavailable."""
        with self._session(operation, writing=False):
            yield Reader(self._engine.cursor)

    def is_refusal(self, error: Exception) -> bool:
        """Whether the database is there and does not take what it was given, so that another try is in vain."""
        return isinstance(error, self._engine.refusals) or not isinstance(error, self._engine.errors)

    def close(self) -> None:
        """Closes the calling thread's connection, and unused ones."""
        self._engine.close()

    @contextmanager
    def _session(self, operation: str, *, writing: bool) -> Iterator[None]:
        """A connection, with the engine's errors as StorageUnavailable."""
        inside = self._peewee.in_transaction()  # a reading within a writing, which will see to the connection
        leave = self._engine.rest
        try:
            self._connect(writing)
            yield
        except self._engine.refusals:
            raise
        except self._engine.errors as error:
            leave = self._engine.discard
            if (writing or inside) and not isinstance(error, self._engine.conflicts):
                self.absences, self._failed = self.absences + 1, True
            raise self._translate(operation, self._first(error)) from error
        except StorageUnavailable:
            leave = self._engine.discard
            raise
        finally:
            if not inside:
                leave()

    def _translate(self, operation: str, error: BaseException) -> StorageUnavailable:
        reason = f"{operation}: {self._engine.reason(error)}"
        self._telemetry.storage_failed(operation)
        self._works(reason)
        if self._place is not None and isinstance(error, self._engine.gone):
            self._replaced()
        return (StorageConflict if isinstance(error, self._engine.conflicts) else StorageUnavailable)(reason)

    def _connect(self, writing: bool) -> None:
        if self._place is not None:
            self._still_there()  # before SQLite makes an empty file of that name
        self._engine.connect(writing=writing)
        if self._place is None:
            self._place = self._engine.place()

    def _still_there(self) -> None:
        same = self._engine.place() == self._place
        if not same or not self._engine.intact():
            self._rescue()
            self._replaced()
            raise peewee.OperationalError("the database was removed or replaced")
        truncated = self._engine.truncated()
        if truncated is not None:
            if not self._truncated:
                self._truncated = True
                log.critical("another program truncated the database: %s", truncated)
            self._replaced()
            raise peewee.OperationalError(f"the database was truncated: {truncated}")

    def _rescue(self) -> None:
        """What was acknowledged must not be lost with the files."""
        try:
            saved = self._engine.rescue()
        except self._engine.errors as error:
            log.critical("the database lost a file, and its log could not be saved: %s", self._engine.reason(error))
        else:
            if saved:
                log.critical("the database lost a file: what its log held was saved into it")

    def _first(self, error: BaseException) -> BaseException:
        """The error that came first: a full disk also makes the rollback fail, and that error explains nothing."""
        while isinstance(error.__context__, self._engine.errors):
            error = error.__context__
        return error

    def _works(self, trouble: str | None) -> None:
        before, self.trouble = self.trouble, trouble
        if trouble is None or before is None:
            self._telemetry.storage_up(trouble is None)
