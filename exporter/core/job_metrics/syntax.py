"""The syntax that the text format 0.0.4 and OpenMetrics share: samples, labels and numbers.

Written out because a reader must be strict, and fast for hostile input: prometheus_client's takes much that Prometheus
refuses, such as `1_000` or a family twice. No expression here can go back over what it has read more than once.
"""

import math
import re
from typing import NamedTuple

from exporter.core.job_metrics.model import (
    MAX_LABELS,
    METRIC_NAME,
    JobSample,
    Labels,
    PushRefused,
    check_label_name,
    check_metric_name,
    shown,
)

MAX_NUMBER = 100
"""Characters of a number."""
_LABEL = re.compile(r'[ \t]*([^=",{}\s]+)[ \t]*=[ \t]*"([^"\\\n]*(?:\\.[^"\\\n]*)*)"[ \t]*(,?)')
_END = re.compile(r"[ \t]*\}")
_NUMBER = re.compile(
    r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?[iI][nN][fF](?:[iI][nN][iI][tT][yY])?|[nN][aA][nN]"
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"\\": "\\", '"': '"', "n": "\n"}


class SampleLine(NamedTuple):
    sample: JobSample
    rest: str
    """What follows the value, without blanks around it."""


def sample_line(line: str) -> SampleLine:
    """Raises PushRefused."""
    matched = METRIC_NAME.match(line)
    if matched is None:
        raise PushRefused(f"{shown(line)!r} is no sample: it does not begin with the name of a metric")
    name = check_metric_name(matched[0])
    after = line[matched.end() :].lstrip(" \t")
    labels: Labels = ()
    if after.startswith("{"):
        labels, end = labels_at(after, 1)
        after = after[end:].lstrip(" \t")
    elif len(after) == len(line) - matched.end():  # nothing separates the name from what follows
        raise PushRefused(f"{shown(line)!r} is no sample: write a name, perhaps labels in braces, and a value")
    value, _, rest = after.replace("\t", " ").partition(" ")
    return SampleLine(JobSample(name, labels, number_text(value)), rest.strip(" "))


def labels_at(text: str, start: int) -> tuple[Labels, int]:
    """The labels after a brace that stands before `start`, and where what follows the closing brace begins."""
    labels: dict[str, str] = {}
    while True:
        end = _END.match(text, start)
        if end is not None:
            return tuple(sorted(labels.items())), end.end()
        matched = _LABEL.match(text, start)
        if matched is None:
            raise PushRefused(f"{shown(text)!r} has labels that cannot be read")
        name, value, comma = matched.groups()
        if name in labels:
            raise PushRefused(f"the label {shown(name)} is there twice in {shown(text)!r}")
        labels[check_label_name(name)] = unescaped(value) if "\\" in value else value
        if len(labels) > MAX_LABELS:
            raise PushRefused(f"a sample has more than {MAX_LABELS} labels")
        start = matched.end()
        if not comma and _END.match(text, start) is None:
            raise PushRefused(f"{shown(text)!r} has labels that cannot be read")


def unescaped(text: str) -> str:
    def replaced(matched: re.Match[str]) -> str:
        character = _ESCAPES.get(matched[1])
        if character is None:
            raise PushRefused(f'{shown(matched[0])} is no escape sequence: use \\\\, \\" or \\n')
        return character

    return _ESCAPE.sub(replaced, text)


def number_text(text: str) -> str:
    """The number as it is exposed; raises PushRefused for what some reader of the text format would not take."""
    if len(text) > MAX_NUMBER or not _NUMBER.fullmatch(text):
        raise PushRefused(f"{shown(text)!r} is no number")
    value = float(text)
    if math.isinf(value) and text.lstrip("+-")[0] not in "iI":
        raise PushRefused(f"the number {shown(text)} is too large")
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def is_number(text: str) -> bool:
    return len(text) <= MAX_NUMBER and _NUMBER.fullmatch(text) is not None
