"""Reads OpenMetrics 1.0, and turns it into the families that the text format 0.0.4 has. Exemplars are left out."""

import re

from exporter.core.job_metrics.builder import SUFFIXES, FamilyBuilder, UnfinishedFamily, checked
from exporter.core.job_metrics.model import METRIC_NAME, JobFamily, JobSample, PushRefused, shown
from exporter.core.job_metrics.syntax import is_number, labels_at, sample_line, unescaped

_TYPES = {
    "counter": ("_total", "_created"),
    "gauge": ("",),
    "histogram": (*SUFFIXES["histogram"], "_created"),
    "gaugehistogram": ("_bucket", "_gsum", "_gcount"),
    "summary": (*SUFFIXES["summary"], "_created"),
    "info": ("_info",),
    "stateset": ("",),
    "unknown": ("",),
}
_ALONE = {
    "_created": "gauge",
    "_gsum": "gauge",
    "_gcount": "gauge",
    "_total": "counter",
    "_info": "gauge",
}
"""Samples that are a family of their own in the text format, by suffix."""
_PLAIN = {"stateset": "gauge", "unknown": "untyped", "gaugehistogram": "histogram"}
_EXEMPLAR = re.compile(r"#[ \t]*\{")
_EOF = "# EOF"


def parse_openmetrics(text: str) -> tuple[JobFamily, ...]:
    """The families of a body; raises PushRefused."""
    lines = text.removesuffix("\n").split("\n")
    if lines.pop().rstrip("\r") != _EOF:
        raise PushRefused("the last line is not '# EOF': the metrics did not arrive whole")
    builder = FamilyBuilder(_TYPES, "unknown")
    for line in lines:
        line = line.strip(" \t\r")
        if not line:
            continue
        if line[0] == "#":
            _metadata(builder, line)
            continue
        sample, rest = sample_line(line)
        if rest:
            _check_exemplar(line, rest)
        builder.add(sample)
    families: dict[str, JobFamily] = {}
    for unfinished in builder.families():
        for family in _as_text(unfinished):
            if family.name in families:
                raise PushRefused(f"the metric {shown(family.name)} is there twice")
            families[family.name] = family
    return checked(list(families.values()))


def _metadata(builder: FamilyBuilder, line: str) -> None:
    parts = line[1:].lstrip(" \t").split(None, 2)
    keyword, name, value = (*parts, "", "", "")[:3]
    if line == _EOF:
        raise PushRefused("something follows '# EOF'")
    if keyword not in ("HELP", "TYPE", "UNIT"):
        return
    if not METRIC_NAME.fullmatch(name):
        raise PushRefused(f"{shown(line)!r} names no metric")
    if keyword == "HELP":
        builder.describe(name, unescaped(value) if "\\" in value else value)
    elif keyword == "TYPE":
        builder.declare(name, value)


def _check_exemplar(line: str, rest: str) -> None:
    """What follows a value may be an exemplar, and no timestamp."""
    first = rest.partition(" ")[0]
    if is_number(first):
        raise PushRefused(f"{shown(line)!r} has a timestamp: metrics are pushed without")
    matched = _EXEMPLAR.match(rest)
    if matched is None:
        raise PushRefused(f"{shown(line)!r} has more than a name, labels, a value and an exemplar")
    _, end = labels_at(rest, matched.end())
    numbers = rest[end:].split()
    if not 1 <= len(numbers) <= 2 or not all(map(is_number, numbers)):
        raise PushRefused(f"{shown(line)!r} has an exemplar that cannot be read")


def _as_text(family: UnfinishedFamily) -> list[JobFamily]:
    type, help = family.type or "unknown", family.help or ""
    parts: dict[str, list[JobSample]] = {}
    for sample in family.samples:
        suffix = sample.name[len(family.name) :]
        parts.setdefault(suffix if suffix in _ALONE else "", []).append(sample)
    return [
        JobFamily.of(family.name + suffix, _ALONE.get(suffix, _PLAIN.get(type, type)), help, tuple(samples))
        for suffix, samples in parts.items()
    ]
