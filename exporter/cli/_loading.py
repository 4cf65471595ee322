"""The process that reads the configuration for `exporter.app.loader`, and writes its monitors into the database."""

import fcntl
import gc
import os
import pickle
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from exporter import __version__
from exporter.app.loader import StartSettings
from exporter.app.log_setup import set_up_logging
from exporter.app.provisioning import provision, unresolved_problems
from exporter.cli._console import check_place, dialect_names, with_cli_overrides
from exporter.config.load import Loaded, load_config
from exporter.config.settings import Settings
from exporter.config.sources import Sources
from exporter.config.strength import warnings_of
from exporter.core.clock import SECOND, Clock
from exporter.core.errors import ConfigError, HeartbeatExporterError, InvalidValue, Problem, StorageUnavailable
from exporter.presentation.events import EventLog
from exporter.server.sockets import bind_or_explain
from exporter.storage.database import Database
from exporter.storage.repositories.monitors import Monitors
from exporter.storage.schema import migrate

LARGE = 1024 * 1024
"""Bytes of configuration files from which on the service listens before it reads all monitors, and does not read them
again while nothing has changed."""
Request = Mapping[str, Any]


class Answers:
    """Messages to the process that asked."""

    def __init__(self, descriptor: int) -> None:
        self._pipe = os.fdopen(descriptor, "wb")

    def give(self, kind: str, content: Any) -> None:
        pickle.dump((kind, content), self._pipe)
        self._pipe.flush()


class _At(Clock):
    """The moment that the service, which may not believe this machine's clock, says it is."""

    def __init__(self, moment: int) -> None:
        self._moment = moment

    def now(self) -> int:
        return self._moment

    def monotonic(self) -> int:
        return self._moment


def main() -> None:
    """Takes a request from standard input, and answers on standard output."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches it as well; the worker sees to the rest
    gc.disable()  # millions of values that all stay until the end: to look through them doubles the time
    answers = Answers(os.dup(1))
    os.dup2(2, 1)  # what anything else prints must not get between
    request = pickle.load(sys.stdin.buffer)  # noqa: S301 - of our own process
    try:
        (prepare if request["do"] == "prepare" else read)(request, answers)
    except HeartbeatExporterError as error:
        answers.give("error", error)
    except (BrokenPipeError, EOFError):
        os._exit(1)  # the process that asked has ended, or has changed its mind
    os._exit(0)  # at once: to give back a million objects one by one takes time that a reload would wait


def prepare(request: Request, answers: Answers) -> None:
    """For the supervisor."""
    file = Path(request["file"]) if request["file"] is not None else None
    loaded, complete = _first_look(file)
    settings = with_cli_overrides(loaded.settings, **request["options"])
    set_up_logging(settings.log.level, settings.log.format)
    for listening in bind_or_explain(settings.web.listen_address):  # before anything else is done
        listening.close()
    migrated = _check_storage(settings, request["workers"], file, answers)
    _check_parents(settings.storage.url, loaded.unresolved)
    answers.give(
        "prepared",
        StartSettings(
            listen_address=settings.web.listen_address,
            trusted_proxies=",".join(map(str, settings.web.trusted_proxies)),
            keepalive=settings.web.keepalive / SECOND,
            log_level=settings.log.level,
            log_format=settings.log.format,
            settings=pickle.dumps(settings),
            complete=complete,
            migrated=tuple(migrated),
        ),
    )


def read(request: Request, answers: Answers) -> None:
    """For a worker."""
    path = Path(request["file"]) if request["file"] is not None else None
    sources, key, options = Sources(), request["key"], request["options"]
    with _one_at_a_time(request):
        answers.give("stage", "reading files")
        head = _excerpt(path, sources)
        remember = sources.digest(key, __version__, os.environ) if sources.size > LARGE else ""
        if head is not None and remember and remember == _remembered(request["url"]):
            settings = with_cli_overrides(replace(head.settings, monitors=()), **options)
            answers.give("read", (True, settings, warnings_of(settings)))
            return
        loaded = _load(path, sources)
        settings = with_cli_overrides(loaded.settings, **options)
        set_up_logging(settings.log.level, settings.log.format)
        if not remember or not sources.can_be_skipped():
            remember = ""
        sources.release()
        _check_parents(request["url"], loaded.unresolved)
        warnings = warnings_of(settings)
        answers.give("read", (False, replace(settings, monitors=()), warnings))
        order = pickle.load(sys.stdin.buffer)  # noqa: S301 - of our own process
        if order["key"] != key:
            remember = ""
        answers.give("stage", f"writing what has changed of {len(settings.monitors):,} monitors")
        database, events = Database(order["url"]), EventLog()
        try:
            clock = _At(order["now"])
            monitors = Monitors(database, clock, request["replica"], events)
            answers.give("provisioned", provision(database, monitors, clock, settings.monitors, order["key"], remember))
        finally:
            events.close()
            database.close()


def _first_look(path: Path | None) -> tuple[Loaded, bool]:
    """The settings, and whether the monitors are among them."""
    sources = Sources()
    head = _excerpt(path, sources)
    if head is not None and path is not None and path.is_file() and sources.size > LARGE:
        return replace(head, settings=replace(head.settings, monitors=())), False
    return _load(path, sources), True


def _excerpt(path: Path | None, sources: Sources) -> Loaded | None:
    """What can be read without monitors; None if something is wrong with it, which the complete reading will report."""
    try:
        return _load(path, sources, excerpt=True)
    except ConfigError:
        return None


def _load(path: Path | None, sources: Sources, *, excerpt: bool = False) -> Loaded:
    if path is None:
        return Loaded(Settings())
    from exporter.notify.notifiers import OptionModels

    return load_config(path, os.environ, OptionModels(), dialect_names, sources=sources, excerpt=excerpt)


def _remembered(url: str) -> str:
    """The digest of what was provisioned last; empty when that is not known."""
    database = Database(url)
    try:
        return Monitors(database, _At(0), "").provisioned()
    except StorageUnavailable:
        return ""
    finally:
        database.close()


def _check_parents(url: str, unresolved: Sequence[tuple[str, Problem]]) -> None:
    """Raises ConfigError with the places that name parents which neither the configuration nor the database has. While
    the database is away, those are found when the monitors are written.
    """
    if not unresolved:
        return
    database = Database(url)
    try:
        problems = unresolved_problems(database, unresolved)
    except StorageUnavailable:
        return
    finally:
        database.close()
    if problems:
        raise ConfigError(problems)


@contextmanager
def _one_at_a_time(request: Request) -> Iterator[None]:
    """Of several workers one reads, and the others find that nothing has changed since."""
    if request["workers"] == 1 or request["file"] is None:
        yield
        return
    descriptor = os.open(request["file"], os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _check_storage(settings: Settings, workers: int, file: Path | None, answers: Answers) -> Sequence[str]:
    """Returns the migrations that were applied.

    A database of a newer version, or one that cannot exist, ends the start; one that is away is waited for.
    """
    database = Database(settings.storage.url)
    if workers > 1 and not database.locks_rows:
        raise InvalidValue(
            f"--workers {workers} requires PostgreSQL, as --storage.url postgresql://…: SQLite lets one process "
            "write at a time, so several workers would be slower than one"
        )
    check_place(database, file)
    try:
        return migrate(database)
    except StorageUnavailable as error:
        answers.give("say", f"Warning: {error}; the service starts without the database, and keeps trying to connect")
        return ()
    finally:
        database.close()
