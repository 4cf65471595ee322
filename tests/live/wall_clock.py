"""A wall clock for the real program that a test can move: a preload library that shifts CLOCK_REALTIME alone.

Programs that change a process's whole idea of time break its sleeps and timeouts; this leaves them as they are.
"""

import mmap
import struct
import subprocess
import time
from pathlib import Path

from tests.support.tools import need_tool

SOURCE = Path(__file__).parent / "shims" / "wall_clock.c"
_STATE = struct.Struct("=qi4x")
_KERNEL = {None: -1, False: 0, True: 1}


class WallClock:
    """The environment of processes whose wall clock this moves. Moments and offsets are milliseconds."""

    def __init__(self, folder: Path, synchronised: bool | None = None) -> None:
        """`synchronised` is what the kernel is made to say; None leaves it alone."""
        library, state = folder / "wall_clock.so", folder / "wall_clock.state"
        command = [need_tool("gcc"), "-O1", "-Wall", "-Werror", "-shared", "-fPIC"]
        subprocess.run([*command, "-o", str(library), str(SOURCE), "-ldl"], check=True, timeout=60)
        state.write_bytes(_STATE.pack(0, _KERNEL[synchronised]))
        with state.open("r+b") as file:
            self._state = mmap.mmap(file.fileno(), _STATE.size)
        self._synchronised = synchronised
        self.offset = 0
        self.environment = {"LD_PRELOAD": str(library), "WALL_CLOCK_FILE": str(state)}

    def now(self) -> int:
        """What those processes take the time to be."""
        return time.time_ns() // 1_000_000 + self.offset

    def set(self, offset: int) -> None:
        """From now on it differs by so much from the real time."""
        self.offset = offset
        self._state[:] = _STATE.pack(offset, _KERNEL[self._synchronised])

    def synchronise(self, synchronised: bool) -> None:
        """From now on the kernel says so."""
        self._synchronised = synchronised
        self.set(self.offset)

    def close(self) -> None:
        self._state.close()
