"""Which format a scraper gets. Whatever the header says, there is an answer."""

import re
from enum import Enum

MAX_HEADER = 4096
_QUALITY = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?|\.[0-9]{1,3}")


class Format(Enum):
    """A format that we speak; the value is its Content-Type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


_OPENMETRICS_VERSIONS = ("0.0.1", "1.0.0", "")
_TEXT_VERSIONS = ("0.0.4", "")
_ACCEPTED = {
    "application/openmetrics-text": (Format.OPENMETRICS, _OPENMETRICS_VERSIONS),
    "text/plain": (Format.TEXT, _TEXT_VERSIONS),
    "text/*": (Format.TEXT, _TEXT_VERSIONS),
    "*/*": (Format.TEXT, _TEXT_VERSIONS),
}


def negotiate(accept: str | None) -> Format:
    """The format with the highest q-value; OpenMetrics when it ties, text 0.0.4 when we speak none of those."""
    best, best_quality = Format.TEXT, 0.0
    for item in (accept or "")[:MAX_HEADER].split(","):
        kind, parameters, quality = _parsed(item)
        accepted = _ACCEPTED.get(kind)
        if accepted is None or quality <= 0:
            continue
        format, versions = accepted
        if parameters.get("version", "") not in versions:
            continue
        if quality > best_quality or (quality == best_quality and format is Format.OPENMETRICS):
            best, best_quality = format, quality
    return best


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether gzip is acceptable; `gzip;q=0` is not, and `*` stands for it."""
    named: dict[str, float] = {}
    for item in (accept_encoding or "")[:MAX_HEADER].split(","):
        kind, _, quality = _parsed(item)
        named[kind] = quality
    return named.get("gzip", named.get("*", 0.0)) > 0


def _parsed(item: str) -> tuple[str, dict[str, str], float]:
    """(what, its parameters, q). A q that is no number is 0."""
    kind, *rest = item.split(";")
    parameters = {}
    for part in rest:
        key, _, value = part.partition("=")
        parameters[key.strip().lower()] = value.strip().strip('"')
    given = parameters.pop("q", "1")
    return kind.strip().lower(), parameters, float(given) if _QUALITY.fullmatch(given) else 0.0
