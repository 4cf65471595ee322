"""What the storage asks of an engine. Everything in which engines differ is behind this, and nowhere else."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Engine:
    """One database at one URL, not connected yet. Each thread has a connection of its own while it needs one."""

    database: Any
    """The peewee database."""
    errors: tuple[type[Exception], ...]
    """What it raises when it cannot do its work."""
    conflicts: tuple[type[Exception], ...] = ()
    """Of those: another transaction was in the way, and the same one may succeed at once."""
    refusals: tuple[type[Exception], ...] = ()
    """Of those: the database works, and does not take what it was given, however often it is asked."""
    gone: tuple[type[Exception], ...] = ()
    """Of those: what was opened is not there any more."""
    locks_rows = False
    """Whether writers of several processes run side by side; else one has the database to itself until it commits."""
    file: Path | None = None
    """The database, where it is a file of this machine."""
    name = ""
    """What people know the database by: an absolute path, or host and database; never a secret."""
    settles = 0
    """Milliseconds after which rows whose numbers were handed out earlier are there, or never will be."""

    def connect(self, *, writing: bool) -> None:
        """Sees that the calling thread has a connection."""
        raise NotImplementedError

    def cursor(self) -> Any:
        """A new one on the calling thread's connection, for statements that went through `prepared`."""
        return self.database.connection().cursor()

    def prepared(self, sql: str) -> str:
        """A statement that is run many times, as its driver can run it fastest."""
        return sql

    def rest(self) -> None:
        """The calling thread needs its connection no more for now."""

    def discard(self) -> None:
        """The calling thread's connection failed: the next try takes another."""
        raise NotImplementedError

    def close(self) -> None:
        """Closes the calling thread's connection, and unused ones."""
        raise NotImplementedError

    def place(self) -> object:
        """What is at the URL now: equal as long as it is the same database, None when there is none."""
        raise NotImplementedError

    def ours(self) -> bool:
        """Whether what is at the URL was made by this program, as far as that can be seen without changing it."""
        return True

    def intact(self) -> bool:
        """Right after `place`: whether all files that this thread's connection writes to still have their names."""
        return True

    def truncated(self) -> str | None:
        """Right after `place`: which file lost its end, for people; None when none did."""
        return None

    def rescue(self) -> bool:
        """They do not: puts what was committed where it lasts, and returns whether that succeeded. Raises `errors`."""
        return False

    def reason(self, error: BaseException) -> str:
        """One line without a secret, for people."""
        return " ".join(str(error).split())

    def begin_migration(self) -> None:
        """Inside a transaction: returns when no other process migrates, and from then on takes its time."""

    def now(self) -> int | None:
        """Inside a reading: the clock of the server, Unix time in milliseconds; None where it is this machine's."""
        return None

    # ── looking after it ─────────────────────────────────────────────────────────────────────────────────────

    def copy_to(self, file: Path) -> None:
        """Copies what is committed into `file`, which is there and empty, while others write; and reads it back.

        Needs no connection. Raises `errors`, OSError and StorageError.
        """
        raise NotImplementedError

    def size(self) -> int:
        """Inside a reading: bytes on the disk."""
        raise NotImplementedError

    def damage(self) -> Sequence[str] | None:
        """Inside a reading: what the engine itself finds to be damaged, which may read all there is; None when it does
        not look.
        """
        return None

    def risks(self) -> Sequence[str]:
        """Inside a reading: settings by which what was acknowledged could be lost, or nothing more be taken soon."""
        return ()
