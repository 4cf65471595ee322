"""Digests of further secrets and of tokens, as they are read with monitors; and that none opens two things."""

from collections.abc import Iterable, Sequence

from exporter.core.errors import Conflict
from exporter.storage.database import Database

TAKEN = "is in use elsewhere already: make another one, with `openssl rand -hex 24` or `uuidgen`"


def check_unused(database: Database, digests: Iterable[bytes], what: str, *, beside_secrets: bool = False) -> None:
    """Inside a transaction: raises Conflict when one of these opens something already. What it is is not said.

    `beside_secrets`: it may be the secret of other monitors, since those are identified by their tags.
    """
    tables = database.tables
    searched = [tables.monitor_tokens, tables.ping_keys]
    searched += [] if beside_secrets else [tables.monitors, tables.monitor_secrets]
    for digest in digests:
        for table in searched:
            where = table.digest == digest
            if table is tables.monitors:
                where &= table.removed_at.is_null()
            if next(iter(table.select(table.digest).where(where).limit(1).tuples()), None) is not None:
                raise Conflict(f"{what} {TAKEN}")


def digests_in_use(database: Database) -> set[bytes]:
    """Every digest that opens something, inside a transaction: for many checks at once."""
    tables = database.tables
    digests: set[bytes] = set()
    for table in (tables.monitors, tables.monitor_secrets, tables.monitor_tokens, tables.ping_keys):
        query = table.select(table.digest)
        if table is tables.monitors:
            query = query.where(table.removed_at.is_null())
        digests.update(bytes(row[0]) for row in query.tuples())
    return digests


def gathered_digests(
    database: Database, ids: Sequence[int] | None = None, provisioned: bool | None = None
) -> dict[int, tuple[list[bytes], list[bytes]]]:
    """(further secrets, tokens) by monitor, of those monitors that have any. Inside a reading or a transaction."""
    digests: dict[int, tuple[list[bytes], list[bytes]]] = {}
    for place, table in enumerate((database.tables.monitor_secrets, database.tables.monitor_tokens)):
        query = table.select(table.monitor_id, table.digest).order_by(table.id)
        if ids is not None:
            query = query.where(table.monitor_id.in_(ids))
        if provisioned is not None:
            query = query.where(table.provisioned == provisioned)
        for monitor_id, digest in query.tuples():
            digests.setdefault(monitor_id, ([], []))[place].append(bytes(digest))
    return digests
