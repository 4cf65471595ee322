"""A request's body as metrics: what it is by its header fields, decompressed within bounds, and read."""

import zlib

from exporter.core.job_metrics.model import MAX_BYTES, JobFamily, PushRefused
from exporter.core.job_metrics.openmetrics import parse_openmetrics
from exporter.core.job_metrics.text import parse_text

MAX_PACKED = MAX_BYTES + 1024
"""Bytes of a body before decompression; packing what cannot be packed adds a little."""
OPENMETRICS = "application/openmetrics-text"
_TEXT = "text/plain"
_GZIP = ("gzip", "x-gzip")


class UnsupportedMedia(PushRefused):
    """A format or an encoding that is not read."""


def is_metrics(content_type: str) -> bool:
    """Whether a heartbeat's body of this type is metrics, and not the output of the job."""
    kind, _, parameters = content_type.partition(";")
    kind = kind.strip().lower()
    if kind == OPENMETRICS:
        return True
    if kind != _TEXT:
        return False
    given = (parameter.partition("=") for parameter in parameters.split(";"))
    return any(name.strip().lower() == "version" and value.strip().strip('"') == "0.0.4" for name, _, value in given)


def read_payload(body: bytes, cut: bool, content_type: str, content_encoding: str) -> tuple[JobFamily, ...]:
    """The families of a body, of which `cut` says that there was more. Raises PushRefused.

    A type that says nothing of metrics, such as the form that curl makes of everything, is the text format.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if "protobuf" in kind:
        raise UnsupportedMedia("protobuf is not read: push the text format or OpenMetrics")
    if cut:
        raise PushRefused(_TOO_LONG if len(body) > MAX_BYTES else "the metrics did not arrive whole")
    encoding = content_encoding.strip().lower()
    if encoding in _GZIP:
        body = _decompressed(body)
    elif encoding not in ("", "identity"):
        raise UnsupportedMedia("only gzip is decompressed")
    if len(body) > MAX_BYTES:
        raise PushRefused(_TOO_LONG)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PushRefused(f"the metrics are no UTF-8, at byte {error.start}") from None
    if "\0" in text:  # the end of a scrape, for some of its readers
        raise PushRefused("the metrics have a NUL character")
    return parse_openmetrics(text) if kind == OPENMETRICS else parse_text(text)


_TOO_LONG = f"the metrics are longer than {MAX_BYTES // 1024} kB"


def _decompressed(packed: bytes) -> bytes:
    """At most one byte more than is allowed, whatever it would become."""
    parts: list[bytes] = []
    room = MAX_BYTES + 1
    try:
        while packed and room > 0:
            unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
            part = unpacker.decompress(packed, room)
            parts.append(part)
            room -= len(part)
            if not unpacker.eof and room > 0:
                raise PushRefused("the gzip stream of the metrics ends too early")
            packed = unpacker.unused_data  # gzip allows one stream after another
    except zlib.error as error:
        raise PushRefused("the metrics are no gzip") from error
    return b"".join(parts)
