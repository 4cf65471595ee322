"""Sentry's envelopes: lines of JSON, each item's header followed by its payload; plain or compressed."""

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from exporter.core.telemetry import RejectReason
from exporter.ingest.errors import IngestError

READ = 256 * 1024
"""Bytes of an envelope that are read, as it is sent and after decompression: a check-in has some hundred."""
MAX_CHECK_INS = 100
"""In one envelope, as there."""
_MAX_ITEMS = 1_000
"""Of all types; those that follow are not read."""
_MAX_LINE = 32 * 1024
"""Bytes of a line or payload that is read as JSON, before it is known who has sent it."""
_WINDOW = {"gzip": 31, "x-gzip": 31, "deflate": 47}
_NOTHING = "there is no item in the part of the envelope that is read"
_NOT_UNDERSTOOD = "this is no envelope: lines of JSON, an item's header before its payload"


class Envelope(NamedTuple):
    event_id: str
    dsn: str
    """With the key; empty if the sender has put it elsewhere."""
    check_ins: Sequence[Mapping[str, Any]]


def opened(body: bytes, encoding: str, cut: bool = False) -> Envelope:
    """The check-ins in an envelope; items of other types are left out, and so is one that a `cut` body does not hold
    whole. Raises IngestError.
    """
    text, cut = _decompressed(body, encoding.strip().lower(), cut)
    line, at = _line(text, 0)
    header = _object(line)
    check_ins: list[Mapping[str, Any]] = []
    items = 0
    while at < len(text) and items < _MAX_ITEMS:
        line, at = _line(text, at)
        if not line.strip():
            continue
        if cut and at >= len(text):
            break
        item = _object(line)
        items += 1
        payload, at, whole = _payload(text, at, item.get("length"))
        if item.get("type") == "check_in" and (whole or not cut):
            check_ins.append(_object(payload))
            if len(check_ins) > MAX_CHECK_INS:
                raise _unreadable(f"more than {MAX_CHECK_INS} check-ins in one envelope", 413)
    if cut and not items:
        raise _unreadable(_NOTHING, 413)
    return Envelope(_text(header, "event_id"), _text(header, "dsn"), check_ins)


def _payload(text: bytes, at: int, length: object) -> tuple[bytes, int, bool]:
    """An item's payload, where the next item begins, and whether the payload is certainly whole."""
    if isinstance(length, int) and not isinstance(length, bool) and length >= 0:
        end = at + length
        return text[at:end], end + (text[end : end + 1] == b"\n"), end <= len(text)
    payload, end = _line(text, at)
    return payload, end, end > at + len(payload)


def _decompressed(body: bytes, encoding: str, cut: bool) -> tuple[bytes, bool]:
    """The first READ bytes of what was compressed, and whether there is more, which is not unpacked."""
    if encoding in ("", "identity"):
        return body, cut
    window = _WINDOW.get(encoding)
    if window is None:
        raise _unreadable("this content encoding is not understood: use gzip, deflate or none", 415)
    stream = zlib.decompressobj(window)
    try:
        text = stream.decompress(body, READ)
    except zlib.error:
        raise _unreadable(f"the body is no {encoding}", 400) from None
    return text, not stream.eof


def _line(text: bytes, at: int) -> tuple[bytes, int]:
    """A line, and where the next one begins."""
    end = text.find(b"\n", at)
    return (text[at:], len(text)) if end < 0 else (text[at:end], end + 1)


def _object(line: bytes) -> Mapping[str, Any]:
    try:
        content = json.loads(line) if len(line) <= _MAX_LINE else None
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
