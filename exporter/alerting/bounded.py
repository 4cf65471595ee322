"""Work that must end: done in a child process with a bound on its processor time and its memory.

A template of a user's can ask for anything, and what a single call into C takes nothing in this process can stop: it
would hold the interpreter, and with it every heartbeat. So a child does it, and the kernel ends the child.
"""

import gc
import os
import resource
import select
import signal
import time
from collections.abc import Callable

from exporter.core.errors import InvalidValue

CPU = 0.6
"""Seconds of processor time; what else the machine does is not counted."""
WALL = 10.0
"""Seconds after which a child that does nothing is ended."""
MEMORY = 256 * 1024 * 1024
"""Bytes beyond those that the process has already."""
_GOOD, _BAD, _FULL = b"+", b"-", b"!"
TOO_LONG = "the template takes too long: look for nested loops, batch, and macros that call themselves"
TOO_MUCH = "the template takes too much memory: look for nested loops, batch, and texts that grow"


def bounded(work: Callable[[], str]) -> str:
    """What `work` returns. Raises InvalidValue, as `work` may, and when it takes too much of anything."""
    reading, writing = os.pipe()
    try:
        child = os.fork()
    except OSError:
        os.close(reading)
        os.close(writing)
        raise InvalidValue("the template cannot be rendered: no process can be started") from None
    if child == 0:
        _in_the_child(work, writing)
    os.close(writing)
    try:
        answer = _read(reading)
    finally:
        os.close(reading)
        _end(child)
    kind, text = answer[:1], answer[1:].decode("utf-8", "surrogatepass")
    if kind == _GOOD:
        return text
    if kind == _BAD:
        raise InvalidValue(text)
    raise InvalidValue(TOO_MUCH if kind == _FULL else TOO_LONG)


def _in_the_child(work: Callable[[], str], writing: int) -> None:
    """Never returns, and never runs anything of the process that it was copied from."""
    try:
        gc.disable()  # it would touch, and so copy, all memory
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
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


def _read(reading: int) -> bytes:
    parts: list[bytes] = []
    deadline = time.monotonic() + WALL
    while select.select([reading], [], [], max(0.0, deadline - time.monotonic()))[0]:
        part = os.read(reading, 1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)
    return b""


def _end(child: int) -> None:
    try:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    except (ProcessLookupError, ChildProcessError):
        return
