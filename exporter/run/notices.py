"""Lines about the wrapper itself, and names for what it reports and keeps."""

from __future__ import annotations

import os
import signal


def notice(text: str) -> None:
    """Prints a line about the wrapper itself on standard error, which never fails."""
    try:
        os.write(2, f"heartbeat-run: {text}\n".encode("utf-8", "replace"))
    except OSError:
        pass


def reason_of(error: BaseException) -> str:
    """Describes an error in a few words, without addresses and secrets."""
    inner = getattr(error, "reason", error)
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return str(text)


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"


def file_name(tag: str) -> str:
    """A name for a file or folder of the monitor, whatever its tag."""
    plain = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
    return "".join(chr(byte) if byte in plain else f"%{byte:02X}" for byte in tag.encode("utf-8", "replace"))[:150]
