"""PostgreSQL, for when one machine is not enough."""

import select
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import peewee
import psycopg
from psycopg.adapt import Dumper
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

from exporter.core.errors import InvalidValue
from exporter.storage.engines.connections import ConnectionPool, NoneFree
from exporter.storage.engines.engine import Engine

POOL_SIZE = 5
"""Connections for reading. One more is for writing."""
WAIT_SECONDS = 3.0
"""How long a thread waits for one of them; the sender of a heartbeat is answered within five seconds."""
STATEMENT_SECONDS = 8
"""How long the server works on one statement."""
ANSWER_SECONDS = 10.0
"""How long we wait for the answer to one: longer than the server may take, so it is not there any more."""
_CROWDED = 0.9
_OURS = {"pool_size", "prepare_threshold"}
"""Parameters of the URL that libpq does not know."""
_DEFAULTS = {
    "application_name": "heartbeat-exporter",
    "client_encoding": "utf8",
    "connect_timeout": "3",
    "keepalives_idle": "30",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
_TIMEOUTS = {
    "statement_timeout": f"{STATEMENT_SECONDS}s",
    # Rows that a process locked which was stopped or cut off are free again by then.
    "idle_in_transaction_session_timeout": "5s",
}
_ABOUT = (
    "SELECT pg_backend_pid(), "
    "(SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit'), "
    "(SELECT reset_val FROM pg_settings WHERE name = 'search_path')"
)
"""The server's process, and the settings that a new session of this role has, whatever was set in this one since."""
_UNPREPARED = (psycopg.errors.DuplicatePreparedStatement, psycopg.errors.InvalidSqlStatementName)
"""Of statements that were prepared in another session than the one they are run in."""
_MIGRATION_LOCK = 0x68656172746265
"""Number of the advisory lock that all migrating processes share."""


class PostgresqlEngine(Engine):
    """Connections are lent for one transaction or one reading at a time."""

    errors = (peewee.PeeweeException, psycopg.Error)
    refusals = (peewee.IntegrityError, peewee.DataError, psycopg.IntegrityError, psycopg.DataError)
    conflicts = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
    gone = (psycopg.errors.UndefinedTable,)
    locks_rows = True
    settles = 10_000

    def __init__(self, url: str) -> None:
        """Raises InvalidValue, which quotes nothing of the URL's values."""
        self._parameters, options = _parameters(url)
        self._prepare_threshold = _prepare_threshold(options)
        self._may_prepare = "prepare_threshold" in options
        """Whether the user says that statements may be prepared, also behind a pooler."""
        self.name = _name(self._parameters)
        self.database = _Peewee("postgresql", autoconnect=False)
        self._connections = ConnectionPool(self._open, _pool_size(options))

    def connect(self, *, writing: bool) -> None:
        if not self.database.is_closed():
            return
        try:
            connection = self._connections.take(WAIT_SECONDS, reserved=writing)
        except NoneFree:
            raise peewee.OperationalError(
                f"no connection was free for {WAIT_SECONDS:g} s: raise pool_size in storage.url"
            ) from None
        self.database.use(connection)
        if not writing:
            connection.begin_reading()

    def cursor(self) -> Any:
        return psycopg.RawCursor(self.database.connection())

    def prepared(self, sql: str) -> str:
        """With the server's own places. psycopg would look for its own at every call: half the time of a group."""
        first, *rest = sql.split("%s")
        return "".join((first, *(f"${number}{text}" for number, text in enumerate(rest, 1)))).replace("%%", "%")

    def rest(self) -> None:
        connection = self.database.release()
        if connection is not None:
            connection.patience = ANSWER_SECONDS
            try:
                connection.end_reading()
            except self.errors:  # what was read was read
                self._connections.drop(connection)
            else:
                self._connections.give_back(connection)

    def discard(self) -> None:
        connection = self.database.release()
        if connection is not None:
            self._connections.drop(connection)

    def close(self) -> None:
        self.rest()
        self._connections.close_idle()

    def place(self) -> object:
        """Always the same: a server that is away says so itself."""
        return self._parameters.get("dbname", "")

    def reason(self, error: BaseException) -> str:
        """Without the statement and its values, which other errors of psycopg quote."""
        if isinstance(error, psycopg.Error) and error.diag.message_primary:
            text = " ".join(error.diag.message_primary.split())
            return (
                f"{text}: a pooler is in the way, set prepare_threshold=none"
                if isinstance(error, _UNPREPARED)
                else text
            )
        return super().reason(error)

    def begin_migration(self) -> None:
        connection = self.database.connection()
        connection.patience = None
        connection.execute("SET LOCAL statement_timeout = 0")
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))

    def copy_to(self, file: Path) -> None:
        from exporter.storage.engines.pg_dump import dump_postgresql

        dump_postgresql(self._parameters, file)

    def now(self) -> int:
        return int(self._ask("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")[0][0])

    def size(self) -> int:
        return int(self._ask("SELECT pg_database_size(current_database())")[0][0])

    def risks(self) -> Sequence[str]:
        risks = [
            f"{name} is off on the server: what was acknowledged is lost, or worse, when its machine crashes"
            for name in ("fsync", "full_page_writes")
            if self._ask(f"SELECT current_setting('{name}')") == [("off",)]
        ]
        if self._ask("SELECT pg_is_in_recovery()") == [(True,)]:
            risks.append("the server is a standby, which takes no writes: name the primary, or several hosts")
        used, most = self._ask("SELECT (SELECT COUNT(*) FROM pg_stat_activity), current_setting('max_connections')")[0]
        if int(used) > _CROWDED * int(most):
            risks.append(f"{used} of the server's {most} connections are taken: raise max_connections")
        return risks

    def _ask(self, question: str) -> list[Any]:
        return self.database.connection().execute(question).fetchall()  # type: ignore[no-any-return]

    def _open(self) -> "_PostgresConnection":
        connection = _PostgresConnection.connect(
            **self._parameters, autocommit=True, prepare_threshold=self._prepare_threshold
        )
        try:
            connection.adapters.register_dumper(int, _Integer)
            connection.prepare_session()
        except BaseException:  # re-raised; without this the connection would leak
            connection.close()
            raise
        if connection.pooled and not self._may_prepare:
            connection.prepare_threshold = None
        return connection


class _PostgresConnection(psycopg.Connection[Any]):
    """One that does not wait forever: libpq has a timeout for connecting only, and a server that is stopped or behind
    a cut line never answers.

    Behind a pooler, each transaction may have another server's session, with what others have set in it. So what we
    rely on is set in the transaction itself, in one message with its BEGIN.
    """

    pooled = False
    """Whether a pooler is between us and the server."""
    begin = "BEGIN"
    patience: float | None = ANSWER_SECONDS

    def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
        return super().wait(gen if self.patience is None else self._answered(gen, self.patience), *args, **options)

    def prepare_session(self) -> None:
        """Once, when it is new."""
        ((process, durability, path),) = self.execute(_ABOUT, prepare=False).fetchall()
        # A heartbeat is acknowledged when it is on a disk, whatever the server's default is; more than that may be.
        settings = {"synchronous_commit": "on" if durability == "off" else durability, **_TIMEOUTS}
        self.pooled = process != self.info.backend_pid  # a pooler reports its own number
        if self.pooled:
            settings["search_path"] = path
        else:
            self.execute(_set("SET", settings), prepare=False)
        self.begin = f"BEGIN;{_set('SET LOCAL', settings)}"

    def begin_reading(self) -> None:
        if self.pooled:
            self.execute(self.begin, prepare=False)

    def end_reading(self) -> None:
        if self.pgconn.transaction_status != TransactionStatus.IDLE:
            self.execute("COMMIT", prepare=False)

    def usable(self) -> bool:
        """A connection at rest has nothing to say; when there is something to read, it is that the server has gone."""
        if self.closed or self.pgconn.transaction_status != TransactionStatus.IDLE:
            return False
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        return not poll.poll(0)

    def _answered(self, gen: Any, seconds: float) -> Generator[Any, Any, Any]:
        deadline = time.monotonic() + seconds
        try:
            event = next(gen)
            while True:
                ready = yield event
                if not ready and time.monotonic() > deadline:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"no answer within {seconds:g} s")
                event = gen.send(ready)
        except StopIteration as end:
            return end.value


class _Integer(Dumper):
    """Leaves it to the server which integer it is. psycopg names the smallest type that fits, so that a statement of
    many values would be prepared again for nearly every call.
    """

    oid = 0

    def dump(self, obj: int) -> bytes:
        return b"%d" % obj


class _Adapter(peewee.Psycopg3Adapter):
    def check_driver(self) -> None:
        """It is there: this module has imported it."""

    def get_binary_type(self) -> Any:
        return psycopg.Binary


class _Peewee(peewee.PostgresqlDatabase):
    """Builds and runs queries on the connection that the thread has been given."""

    _state: Any
    psycopg2_adapter = psycopg3_adapter = _Adapter  # peewee itself may not have been let see the driver
    index_value_literals = True

    def use(self, connection: _PostgresConnection) -> None:
        self._state.reset()
        self._state.set_connection(connection)
        self.server_version = connection.info.server_version

    def begin(self, isolation_level: str | None = None) -> None:
        connection: _PostgresConnection = self._state.conn
        connection.execute(connection.begin, prepare=False)

    def release(self) -> _PostgresConnection | None:
        connection: _PostgresConnection | None = self._state.conn
        self._state.reset()
        return connection


def _set(command: str, settings: Mapping[str, str]) -> str:
    """One statement for each; a search path is a list already, with its own quotes."""
    values = {name: value if name == "search_path" else f"'{value}'" for name, value in settings.items()}
    return ";".join(f"{command} {name} = {value or chr(39) * 2}" for name, value in values.items())


def _parameters(url: str) -> tuple[dict[str, Any], dict[str, str]]:
    """For libpq, and the exporter's own."""
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
        rest = urlencode([(name, value) for name, value in query if name not in _OURS])
        parameters = conninfo_to_dict(urlunsplit(parts._replace(query=rest)))
    except (ValueError, psycopg.Error) as error:
        unknown = "parameter" in str(error) and not isinstance(error, ValueError)
        what = "it has a parameter that libpq does not know" if unknown else "percent-encode what is special in it"
        raise InvalidValue(
            f"storage.url: {what}; write postgresql://user:password@host:5432/database?sslmode=verify-full"
        ) from None
    if "," in str(parameters.get("host", "")):  # of several servers, the one that takes heartbeats
        parameters.setdefault("target_session_attrs", "read-write")
    return {**_DEFAULTS, **parameters}, {name: value for name, value in query if name in _OURS}


def _name(parameters: dict[str, Any]) -> str:
    """`postgresql://host:5432/database`, without user and password."""
    hosts = str(parameters.get("host", "")).split(",")
    ports = str(parameters.get("port", "")).split(",")
    pairs = zip(hosts, ports if len(ports) == len(hosts) else ports[:1] * len(hosts), strict=True)
    places = ",".join(f"{host}:{port}" if port else host for host, port in pairs)
    return f"postgresql://{places}/{parameters.get('dbname', '')}"


def _pool_size(options: dict[str, str]) -> int:
    text = options.get("pool_size", str(POOL_SIZE))
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise InvalidValue("storage.url: pool_size is a number from 1 to 100")
    return int(text)


def _prepare_threshold(options: dict[str, str]) -> int | None:
    text = options.get("prepare_threshold", "5")
    if text == "none":
        return None
    if not text.isdecimal():
        raise InvalidValue("storage.url: prepare_threshold is a number, or none for a pooler that cannot prepare")
    return int(text)
