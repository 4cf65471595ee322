"""Whether this machine's clock is synchronised, as its kernel knows it."""

import ctypes
import struct
import sys
from pathlib import Path

_TIMESYNCD = Path("/run/systemd/timesync/synchronized")
"""systemd-timesyncd makes it when it has set the clock, until the next boot."""
_STATUS_AT = 40 if sys.maxsize > 2**32 else 20
"""Where `status` is in the kernel's `struct timex`."""
_UNSYNCHRONISED = 0x40
_LARGER_THAN_TIMEX = 512


def synchronised() -> bool | None:
    """None when nothing is known of it: another system than Linux, or a sandbox that forbids to ask."""
    if not sys.platform.startswith("linux"):
        return None
    asked = ctypes.create_string_buffer(_LARGER_THAN_TIMEX)  # zeroed: it asks and changes nothing
    try:
        refused = ctypes.CDLL(None).adjtimex(asked) < 0
    except (AttributeError, OSError):
        refused = True
    if refused:
        return True if _TIMESYNCD.exists() else None
    status = struct.unpack_from("=i", asked.raw, _STATUS_AT)[0]
    return not status & _UNSYNCHRONISED
