"""Checks of the database: it exists, has this version's schema, is writable, undamaged and durable."""

import time
from collections.abc import Iterator
from contextlib import suppress

from exporter.core.errors import SchemaTooNew
from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Finding, counted, ok, problem, skipped, warning
from exporter.storage import schema as schemas

_MAX_QUERY = 0.02
_MAX_WRITE = 0.5
"""Seconds."""


def database(context: DoctorContext) -> Iterator[Finding]:
    """The database exists and answers."""
    opened = context.database
    name = opened.engine.name
    if opened.engine.place() is None:
        yield problem(
            f"there is no database {name}",
            "Start the service, which creates it, or give the --config.file or --storage.url of the service. A "
            "relative path starts at the folder of the configuration file or, on the command line, at the working "
            "directory.",
        )
        return
    with opened.read("open database"):
        list(opened.peewee.execute_sql("SELECT 1"))
        began = time.monotonic()
        list(opened.peewee.execute_sql("SELECT 1"))
        took = time.monotonic() - began
        size = opened.engine.size()
    text = f"{name}: {size / 1e6:.1f} MB, answers in {took * 1e3:.1f} ms"
    if took > _MAX_QUERY:
        yield warning(
            text, "Each heartbeat waits for the database: check the network to it, and the load of its machine."
        )
    else:
        yield ok(text)


def schema(context: DoctorContext) -> Iterator[Finding]:
    """The database has this version's schema."""
    try:
        missing = schemas.pending(context.database)
    except SchemaTooNew as error:
        yield problem(str(error), "Install the version of the service, and run its doctor.")
        return
    if missing:
        yield problem(
            f"the schema is of an older version: {counted(len(missing), 'migration')} pending, {', '.join(missing)}",
            "Make a backup, then start the service with this version, or run `heartbeat-exporter migrate`.",
        )
    else:
        yield ok("the schema is up to date")


class _Undo(Exception):
    """Rolls a transaction back."""


def writing(context: DoctorContext) -> Iterator[Finding]:
    """The database accepts a write, which is rolled back."""
    opened = context.database
    began = time.monotonic()
    with suppress(_Undo), opened.write("write"):
        opened.tables.settings.insert(**{"key": "doctor", "value": "looks"}).execute()
        raise _Undo
    took = time.monotonic() - began
    text = f"a write took {took * 1e3:.0f} ms, and was rolled back"
    if took > _MAX_WRITE:
        yield warning(text, "Find the program that holds the lock of the database, or that keeps the machine busy.")
    else:
        yield ok(text)


def integrity(context: DoctorContext) -> Iterator[Finding]:
    """The engine finds no damage."""
    with context.database.read("check integrity"):
        damage = context.database.engine.damage()
    if damage is None:
        yield skipped("the PostgreSQL server checks its own files")
    elif damage:
        yield problem(
            f"damaged: {'; '.join(damage)[:300]}",
            "Stop the service, keep a copy of the file, and restore the last good backup (docs/operations.md).",
        )
    else:
        yield ok("no damage")


def durability(context: DoctorContext) -> Iterator[Finding]:
    """Acknowledged data survives a crash, and the server accepts more connections."""
    with context.database.read("check settings"):
        risks = context.database.engine.risks()
    for risk in risks:
        yield problem(risk, "Change the configuration of the server (postgresql.conf).")
    if not risks:
        yield ok("committed data is on the disk")
