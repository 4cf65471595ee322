"""Reads the text format 0.0.4, strictly. Kinder than Pushgateway: the last line needs no end, and CRLF is one."""

from exporter.core.job_metrics.builder import SUFFIXES, FamilyBuilder, checked
from exporter.core.job_metrics.model import METRIC_NAME, JobFamily, PushRefused, shown
from exporter.core.job_metrics.syntax import sample_line, unescaped

_TYPES = {"counter": ("",), "gauge": ("",), "untyped": ("",), **SUFFIXES}


def parse_text(text: str) -> tuple[JobFamily, ...]:
    """The families of a body; raises PushRefused."""
    builder = FamilyBuilder(_TYPES, "untyped")
    for line in text.split("\n"):
        line = line.strip(" \t\r")
        if not line:
            continue
        if line[0] == "#":
            _comment(builder, line)
            continue
        sample, rest = sample_line(line)
        if rest:
            raise PushRefused(_timestamp(line, rest))
        builder.add(sample)
    return checked(
        [
            JobFamily.of(family.name, family.type or "untyped", family.help or "", tuple(family.samples))
            for family in builder.families()
        ]
    )


def _comment(builder: FamilyBuilder, line: str) -> None:
    parts = line[1:].lstrip(" \t").split(None, 2)
    if not parts or parts[0] not in ("HELP", "TYPE"):
        return
    keyword, name, value = (*parts, "", "")[:3]
    if not METRIC_NAME.fullmatch(name):
        raise PushRefused(f"{shown(line)!r} names no metric")
    if keyword == "HELP":
        builder.describe(name, unescaped(value) if "\\" in value else value)
    else:
        builder.declare(name, value.lower())


def _timestamp(line: str, rest: str) -> str:
    if rest.lstrip("+-").isdecimal():
        return f"{shown(line)!r} has a timestamp: metrics are pushed without"
    return f"{shown(line)!r} has more than a name, labels and a value"
