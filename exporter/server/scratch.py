"""The folder of temporary files: in memory if there is room, so that they never wait for a disk."""

import contextlib
import os
import tempfile

from exporter.core.errors import InvalidValue

MEMORY = "/dev/shm"  # noqa: S108


def scratch_folder(room: int = 4096) -> str:
    """Returns a folder in which `room` bytes can be written. Raises InvalidValue."""
    if _has_room(MEMORY, room):
        return MEMORY
    with contextlib.suppress(FileNotFoundError):
        folder = tempfile.gettempdir()
        if _has_room(folder, room):
            return folder
    raise InvalidValue(
        f"cannot write a temporary file of {room // 1024} kB in {MEMORY}, TMPDIR, /tmp or /var/tmp: "
        "make one of them writable, or set TMPDIR to a folder that is"
    )


def _has_room(folder: str, room: int) -> bool:
    """Tries to write, because a read-only mount, a full disk and a quota are all reported differently."""
    try:
        with tempfile.NamedTemporaryFile(prefix="heartbeat-exporter-", dir=folder) as probe:
            os.posix_fallocate(probe.fileno(), 0, room)
    except OSError:
        return False
    return True
