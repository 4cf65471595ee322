"""Reads files that an operator names, with limits: no path makes the program wait or read without end."""

import errno
import os
import select
import stat
import time
from pathlib import Path

PIPE_PATIENCE = 5.0
"""Seconds within which a pipe must be complete: the writer of `<(…)` may need time to start."""
_CHUNK = 64 * 1024


def read_bounded(path: Path, most: int, *, pipe_patience: float | None = None) -> bytes:
    """Reads at most `most` + 1 bytes of `path`, so that the caller can detect a larger file.

    A pipe is read when `pipe_patience` (seconds) is given. Other files that are not regular are refused: a FIFO would
    wait for its writer, and a device may never end. Raises OSError, also for refused files.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if stat.S_ISFIFO(mode):
            if pipe_patience is None:
                raise OSError(errno.EINVAL, "it is a pipe, which can be read only once: use a file")
            return _read_pipe(descriptor, most, pipe_patience)
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is a device, not a file")
        return _read_regular(descriptor, most)
    finally:
        os.close(descriptor)


def _read_regular(descriptor: int, most: int) -> bytes:
    """Reads until the end instead of by size: files in /proc have size 0."""
    content = bytearray()
    while len(content) <= most:
        chunk = os.read(descriptor, min(most + 1 - len(content), 16 * _CHUNK))
        if not chunk:
            break
        content += chunk
    return bytes(content)


def _read_pipe(descriptor: int, most: int, patience: float) -> bytes:
    """Reads until every writer has closed the pipe. poll() waits for the first writer; read() would return the end."""
    content = bytearray()
    deadline = time.monotonic() + patience
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while len(content) <= most:
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError(errno.ETIMEDOUT, f"it is a pipe whose writer did not finish within {patience:g} s")
        try:
            chunk = os.read(descriptor, min(most + 1 - len(content), _CHUNK))
        except BlockingIOError:  # another process read it meanwhile
            continue
        if not chunk:
            break
        content += chunk
    return bytes(content)
