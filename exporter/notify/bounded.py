"""Work that must end: done in a child process with a bound on its processor time and its memory.

A template of a user's can ask for anything, and what a single call into C takes nothing in this process can stop: it
would hold the interpreter, and with it every heartbeat. So a child does it, and the kernel ends the child.
"""

import gc
import os
import resource
import select
import signal
import threading
import time
import warnings
from collections.abc import Callable

from exporter.core.errors import InvalidValue

CPU = 0.6
"""Seconds of processor time; what else the machine does is not counted."""
WALL = 10.0
"""Seconds after which a child that does nothing is ended."""
MEMORY = 256 * 1024 * 1024
"""Bytes beyond those that the process has already."""
_GOOD, _BAD, _FULL = b"+", b"-", b"!"
_forking = threading.Lock()
"""The filters of warnings are the whole process's: one thread at a time changes them."""
TOO_LONG = "the template takes too long to render: look for nested loops, batch, and recursive macros"
STUCK = f"the template could not be rendered within {WALL:g} s: the machine is overloaded or the process hangs"
BROKEN = "the template cannot be rendered: the rendering process ended without a result"
TOO_MUCH = "the template takes too much memory: look for nested loops, batch, and growing strings"


def bounded(work: Callable[[], str]) -> str:
    """What `work` returns. Raises InvalidValue, as `work` may, and when it takes too much of anything."""
    reading, writing = os.pipe()
    try:
        child = _fork()
    except OSError:
        os.close(reading)
        os.close(writing)
        raise InvalidValue("the template cannot be rendered: the system cannot start a process") from None
    if child == 0:
        _in_the_child(work, writing)
    os.close(writing)
    answer: bytes | None = None
    try:
        answer = _read(reading)
    finally:
        os.close(reading)
        signalled = _end(child, killed=answer is None)
    if answer is None or signalled == signal.SIGALRM:
        raise InvalidValue(STUCK)
    if not answer:
        raise InvalidValue(TOO_LONG if signalled == signal.SIGPROF else BROKEN)
    kind, text = answer[:1], answer[1:].decode("utf-8", "surrogatepass")
    if kind == _GOOD:
        return text
    if kind == _BAD:
        raise InvalidValue(text)
    raise InvalidValue(TOO_MUCH if kind == _FULL else BROKEN)


def _fork() -> int:
    """Python 3.12 and later warn of a fork beside threads, whose locks the child may find held. This child logs nothing
    and only renders; if it finds a lock held all the same, it is ended after `WALL`.
    """
    with _forking, warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)
        return os.fork()


def _in_the_child(work: Callable[[], str], writing: int) -> None:
    """Never returns, and never runs anything of the process that it was copied from."""
    try:
        gc.disable()  # it would touch, and so copy, all memory
        for ending in (signal.SIGPROF, signal.SIGALRM):
            signal.signal(ending, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, WALL)  # also if the parent is gone by then
        os.closerange(3, writing)  # sockets and files of the service must not live on in it
        os.closerange(writing + 1, 1 << 20)
        signal.setitimer(signal.ITIMER_PROF, CPU)
        limit = _size() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        try:
            answer = _GOOD + work().encode("utf-8", "surrogatepass")
        except InvalidValue as error:
            answer = _BAD + str(error).encode("utf-8", "surrogatepass")
        except MemoryError:
            answer = _FULL
        while answer:
            answer = answer[os.write(writing, answer) :]
    finally:
        os._exit(0)


def _size() -> int:
    """Of this process's address space, in bytes."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def _read(reading: int) -> bytes | None:
    """What the child wrote; None if it did not end in time."""
    parts: list[bytes] = []
    deadline = time.monotonic() + WALL
    while select.select([reading], [], [], max(0.0, deadline - time.monotonic()))[0]:
        part = os.read(reading, 1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)
    return None


def _end(child: int, killed: bool) -> int:
    """The signal that ended the child, 0 for none. A child that closed its pipe ends without a signal."""
    try:
        if killed:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    except (ProcessLookupError, ChildProcessError):
        return 0
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
