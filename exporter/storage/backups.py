"""Backups: a copy of the database made while it is in use, that is whole or not there at all."""

import os
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

from exporter.core.errors import Conflict, InvalidValue, StorageUnavailable
from exporter.storage.engines.engine import Engine

_STOPPING = (signal.SIGTERM, signal.SIGINT)
_LEFTOVERS = ("", "-wal", "-shm", "-journal")
"""What SQLite may have put beside a file."""


def back_up(engine: Engine, target: Path, *, replace: bool = False) -> int:
    """Copies the database to `target`, readable by its owner alone, and returns how many bytes that are.

    The copy is made in the same folder under another name, read back and synced; then it gets its name. Raises
    InvalidValue or Conflict when `target` cannot be it, and StorageUnavailable when the copy cannot be made; then
    nothing is left of it, and what was there before is still there.
    """
    _check(engine, target, replace)
    # A signal between the making of the file and the block that removes it would leave it behind.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", suffix=".partial", dir=target.parent)
    except OSError as error:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        raise InvalidValue(f"{target.parent}: {_said(error)}") from None
    made = Path(name)
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        engine.copy_to(made)
        os.fsync(handle)
        size = os.fstat(handle).st_size
        _give_name(made, target, replace)
    except engine.errors as error:
        raise StorageUnavailable(f"backup to {target}: {engine.reason(error)}") from error
    except OSError as error:
        raise StorageUnavailable(f"backup to {target}: {_said(error)}") from error
    finally:
        os.close(handle)
        for leftover in _LEFTOVERS:
            with suppress(FileNotFoundError):
                Path(f"{made}{leftover}").unlink()
    return size


def _check(engine: Engine, target: Path, replace: bool) -> None:
    """Before anything is copied, which may take minutes."""
    if target.is_dir():
        raise InvalidValue(f"{target} is a folder: name a file in it")
    if not target.parent.is_dir():
        raise InvalidValue(f"{target.parent}: there is no such folder")
    if engine.file is not None:
        for part in _LEFTOVERS:
            live = Path(f"{engine.file}{part}")
            if target.exists() and live.exists() and target.samefile(live):
                raise InvalidValue(f"{target} is the database itself: name another file")
    if target.exists() and not replace:
        raise _taken(target)


def _give_name(made: Path, target: Path, replace: bool) -> None:
    if replace:
        made.replace(target)
    else:
        try:
            os.link(made, target)  # unlike a renaming, it fails if the name was taken meanwhile
        except FileExistsError:
            raise _taken(target) from None
        except OSError:  # a file system without links
            made.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _taken(target: Path) -> Conflict:
    return Conflict(f"{target} is there already: name another file, or say --force")


def _said(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
