"""The database: there, of this version, writable, undamaged, and keeping what it takes."""

import time
from collections.abc import Iterator
from contextlib import suppress

from exporter.core.errors import SchemaTooNew
from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Finding, counted, ok, problem, skipped, warning
from exporter.storage import schema as schemas

_SLOW_ANSWER = 0.02
_SLOW_WRITE = 0.5
"""Seconds."""


def database(patient: DoctorContext) -> Iterator[Finding]:
    """It is there and answers."""
    opened = patient.database
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
    found = f"{name}: {size / 1e6:.1f} MB, answers in {took * 1e3:.1f} ms"
    if took > _SLOW_ANSWER:
        yield warning(
            found, "Each heartbeat waits for the database: check the network to it, and the load of its machine."
        )
    else:
        yield ok(found)


def schema(patient: DoctorContext) -> Iterator[Finding]:
    """It has this version's schema."""
    try:
        missing = schemas.pending(patient.database)
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
    """Ends a transaction that nobody shall see."""


def writing(patient: DoctorContext) -> Iterator[Finding]:
    """It takes a write, which is taken back."""
    opened = patient.database
    began = time.monotonic()
    with suppress(_Undo), opened.write("write"):
        opened.tables.settings.insert(**{"key": "doctor", "value": "looks"}).execute()
        raise _Undo
    took = time.monotonic() - began
    found = f"a write took {took * 1e3:.0f} ms, and was rolled back"
    if took > _SLOW_WRITE:
        yield warning(found, "Find the program that holds the lock of the database, or that keeps the machine busy.")
    else:
        yield ok(found)


def integrity(patient: DoctorContext) -> Iterator[Finding]:
    """The engine finds nothing damaged."""
    with patient.database.read("check integrity"):
        damage = patient.database.engine.damage()
    if damage is None:
        yield skipped("the PostgreSQL server checks its own files")
    elif damage:
        yield problem(
            f"damaged: {'; '.join(damage)[:300]}",
            "Stop the service, keep a copy of the file, and restore the last good backup (docs/operations.md).",
        )
    else:
        yield ok("no damage")


def durability(patient: DoctorContext) -> Iterator[Finding]:
    """What is acknowledged stays, and more can be taken."""
    with patient.database.read("check settings"):
        risks = patient.database.engine.risks()
    for risk in risks:
        yield problem(risk, "Change the configuration of the server (postgresql.conf).")
    if not risks:
        yield ok("committed data is on the disk")
