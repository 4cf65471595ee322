"""Sentry's envelopes: lines of JSON, each item's header followed by its payload; plain or compressed."""

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from exporter.core.telemetry import RejectReason
from exporter.ingest.errors import IngestError

READ = 1024 * 1024
"""Bytes of an envelope that are read, as it is sent and after decompression: a check-in has some hundred."""
MAX_CHECK_INS = 100
"""In one envelope, as there."""
_WINDOW = {"gzip": 31, "x-gzip": 31, "deflate": 47}
_NOT_UNDERSTOOD = "this is no envelope: lines of JSON, an item's header before its payload"


class Envelope(NamedTuple):
    event_id: str
    dsn: str
    """With the key; empty if the sender has put it elsewhere."""
    check_ins: Sequence[Mapping[str, Any]]


def opened(body: bytes, encoding: str) -> Envelope:
    """The check-ins in an envelope; items of other types are left out. Raises IngestError."""
    text = _decompressed(body, encoding.strip().lower())
    line, at = _line(text, 0)
    header = _object(line)
    check_ins = []
    while at < len(text):
        line, at = _line(text, at)
        if not line.strip():
            continue
        item = _object(line)
        length = item.get("length")
        if isinstance(length, int) and not isinstance(length, bool) and length >= 0:
            payload, at = text[at : at + length], at + length
            if text[at : at + 1] == b"\n":
                at += 1
        else:
            length = None
            payload, at = _line(text, at)
        if item.get("type") != "check_in" or (length is not None and len(payload) < length):
            continue
        check_ins.append(_object(payload))
        if len(check_ins) > MAX_CHECK_INS:
            raise _unreadable(f"more than {MAX_CHECK_INS} check-ins in one envelope", 413)
    return Envelope(_text(header, "event_id"), _text(header, "dsn"), check_ins)


def _decompressed(body: bytes, encoding: str) -> bytes:
    """The first READ bytes of what was compressed: more than that is only made if it is asked for."""
    if encoding in ("", "identity"):
        return body
    window = _WINDOW.get(encoding)
    if window is None:
        raise _unreadable("this content encoding is not understood: use gzip, deflate or none", 415)
    try:
        return zlib.decompressobj(window).decompress(body, READ)
    except zlib.error:
        raise _unreadable(f"the body is no {encoding}", 400) from None


def _line(text: bytes, at: int) -> tuple[bytes, int]:
    """A line, and where the next one begins."""
    end = text.find(b"\n", at)
    return (text[at:], len(text)) if end < 0 else (text[at:end], end + 1)


def _object(line: bytes) -> Mapping[str, Any]:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise _unreadable(_NOT_UNDERSTOOD, 400)
    return content


def _text(content: Mapping[str, Any], name: str) -> str:
    value = content.get(name)
    return value[:1000] if isinstance(value, str) else ""


def _unreadable(hint: str, status: int) -> IngestError:
    return IngestError(RejectReason.UNREADABLE_BODY, "no envelope", hint, status)
