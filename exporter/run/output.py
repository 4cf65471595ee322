"""What the job writes: copied through, its ends kept, or held back until the job fails."""

from __future__ import annotations

import os
import time

from exporter.run.notices import notice, reason_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from typing import Any

MAX_BODY = 10_000
"""Bytes of a report's body: as many as the service keeps."""
KEPT_FIRST = 1_000
"""Bytes of the beginning of a longer output that are sent; the rest of MAX_BODY is its end and the last line."""
GRACE = 0.5
"""Seconds that processes which the job leaves behind get to close its output before the report is sent without it."""


class KeptOutput:
    """The beginning and the end of what the job wrote, in bounded memory."""

    def __init__(self) -> None:
        self._beginning = bytearray()
        self._end = bytearray()
        self._length = 0

    def add(self, data: bytes) -> None:
        self._length += len(data)
        room = MAX_BODY - len(self._beginning)
        if room > 0:
            self._beginning += data[:room]
            data = data[room:]
        if data:
            self._end += data[-MAX_BODY:]
            if len(self._end) > 4 * MAX_BODY:
                del self._end[:-MAX_BODY]

    def body(self, last_line: str) -> bytes:
        """The output with `last_line` after it, in MAX_BODY bytes; no character of UTF-8 is cut in two."""
        line = last_line.encode("utf-8", "replace")
        if len(line) > MAX_BODY // 2:
            line = line[: MAX_BODY // 2].decode("utf-8", "ignore").encode()
        whole = bytes(self._beginning) + bytes(self._end)
        separator = b"" if not whole or whole.endswith(b"\n") else b"\n"
        if self._length + len(separator) + len(line) <= MAX_BODY:
            return whole + separator + line
        first = whole[:KEPT_FIRST]
        last = whole[-(MAX_BODY - KEPT_FIRST - len(line) - len(separator) - 60) :]
        while first and 0x80 <= first[-1] < 0xC0:
            first = first[:-1]
        if first and first[-1] >= 0xC0:
            first = first[:-1]
        for _ in range(3):
            if last and 0x80 <= last[0] < 0xC0:
                last = last[1:]
        missing = self._length - len(first) - len(last)
        return first + f"\n[… {missing:,} bytes are missing here …]\n".encode() + last + separator + line


class HeldOutput:
    """Output that is printed only if the job fails: in a file without a name, so that it takes no memory."""

    def __init__(self) -> None:
        self._file: Any = None
        self._printed = False

    def write(self, target: int, data: bytes) -> None:
        """Stores `data` for the descriptor `target`; if that fails, everything is printed after all."""
        if not self._printed:
            try:
                if self._file is None:
                    import tempfile

                    self._file = tempfile.TemporaryFile(buffering=0)
                frame = memoryview(b"%d %d\n" % (target, len(data)) + data)
                while frame:
                    frame = frame[self._file.write(frame) :]
                return
            except OSError as error:
                notice(f"--quiet: the output is not held back: {reason_of(error)}")
                self.print()
        write_all(target, data)

    def print(self) -> None:
        """Prints what is held, and everything that comes later at once."""
        self._printed = True
        file, self._file = self._file, None
        if file is None:
            return
        try:
            with open(os.dup(file.fileno()), "rb") as reader:
                reader.seek(0)
                while True:
                    target, _, size = reader.readline().partition(b" ")
                    left = int(size)
                    while left:
                        data = reader.read(min(left, 65_536))
                        if not data:
                            return
                        left -= len(data)
                        write_all(int(target), data)
        except (OSError, ValueError):
            return  # the end, or a frame that is not whole, or nobody reads


def write_all(target: int, data: bytes) -> None:
    """Writes all of `data`, also to a descriptor that does not block. Raises OSError."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(target, view) :]
        except BlockingIOError:
            import select

            poll = select.poll()
            poll.register(target, select.POLLOUT)
            poll.poll(1_000)


class OutputPump:
    """Copies one stream of the job to the wrapper's own, on a thread, and keeps its ends."""

    def __init__(self, source: int, target: int, kept: KeptOutput, held: HeldOutput | None, lock: Any) -> None:
        self.source = source
        self.target = target
        self.ended = False
        """Whether every process has closed the stream."""
        self._kept = kept
        self._held = held
        self._lock = lock
        self._stop, self._stopper = os.pipe()
        self._until = 0.0
        """When to end at the latest after `stop`, however much there is to read; 0 before."""
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        import threading

        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Waits at most so long for the end of the stream."""
        assert self._thread is not None
        self._thread.join(seconds)

    def stop(self, hurried: Callable[[], object]) -> None:
        """Ends the copying once everything that was read is written.

        What a slow reader delays is waited for, unless `hurried` says that the wrapper itself has to end.
        """
        self._until = time.monotonic() + GRACE
        os.close(self._stopper)
        assert self._thread is not None
        self._thread.join(0.01)
        while self._thread.is_alive() and not hurried():
            self._thread.join(0.1)

    def _run(self) -> None:
        import select

        poll = select.poll()
        poll.register(self.source, select.POLLIN)
        poll.register(self._stop, select.POLLIN)
        writable = True
        while True:
            if all(descriptor != self.source for descriptor, _ in poll.poll()):
                return
            if self._until and time.monotonic() > self._until:
                return
            data = os.read(self.source, 65_536)
            if not data:
                break
            try:
                with self._lock:
                    self._kept.add(data)
                    if self._held is not None:
                        self._held.write(self.target, data)
                if self._held is None and writable:
                    write_all(self.target, data)
            except BrokenPipeError:
                break  # the job gets SIGPIPE, as it would without the wrapper
            except OSError as error:
                writable = False
                notice(f"output is not written any longer: {reason_of(error)}")
        self.ended = True
        os.close(self.source)
