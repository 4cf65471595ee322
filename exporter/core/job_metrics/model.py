"""Metrics that a job pushes, and the limits that keep one sender's metrics from everybody else's scrape.

Families are kept as the text format 0.0.4 shows them, whatever format they came in.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from hashlib import blake2b
from typing import NamedTuple

from exporter.core.errors import HeartbeatExporterError

MAX_SAMPLES = 500
"""Samples of one monitor, in all its groups together."""
MAX_BYTES = 64 * 1024
"""Of a body after decompression, and of all that is kept of one monitor."""
MAX_GROUPS = 500
"""Groups of one monitor; one may be empty."""
MAX_LABELS = 64
MAX_NAME = 200
"""Characters of the name of a metric or a label."""
MAX_GROUPING = 1024
"""Bytes of a grouping key, which is repeated in each of the group's series."""

TAG = "tag"
"""The label of the monitor."""
_EXPORTED = "exported_"
METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_RESERVED = re.compile(r"heartbeat_.*|scrape_.*|ALERTS.*|up|push_(.*_)?time_seconds", re.DOTALL)

Labels = tuple[tuple[str, str], ...]
Series = tuple[str, Labels]


class PushRefused(HeartbeatExporterError):
    """These metrics cannot be kept; the text says why, for their sender."""


class JobSample(NamedTuple):
    name: str
    labels: Labels
    """As pushed, sorted by name."""
    value: str
    """A number that every reader of the text format takes."""


class JobFamily(NamedTuple):
    name: str
    type: str
    """`counter`, `gauge`, `histogram`, `summary` or `untyped`."""
    help: str
    samples: tuple[JobSample, ...]
    size: int
    """Bytes, about, as text; known from the start, since each push of a monitor asks for it."""

    @classmethod
    def of(cls, name: str, type: str, help: str, samples: tuple[JobSample, ...]) -> "JobFamily":
        size = len(help.encode())
        for sample, labels, value in samples:
            size += len(sample) + len(value) + _length(labels)
        return cls(name, type, help, samples, size)


class JobGroup(NamedTuple):
    """What was pushed under one grouping key of a monitor."""

    labels: Labels
    """The grouping key; empty for the metrics of a heartbeat."""
    families: tuple[JobFamily, ...]
    pushed_at: int
    """Unix time in milliseconds."""
    failed_at: int = 0
    """When the last push that was refused came; 0 if none was."""


class PushMode(Enum):
    REPLACE = "replace"
    """The group has these metrics and no others."""
    MERGE = "merge"
    """The metrics of other names stay."""
    DELETE = "delete"
    FAILED = "failed"
    """The metrics could not be read: the group, if there is one, notes when that was."""


@dataclass(slots=True)
class Push:
    """Metrics on their way to the disk."""

    mode: PushMode
    labels: Labels = ()
    families: tuple[JobFamily, ...] = ()
    alone: bool = False
    """Whether no heartbeat comes with it."""
    required: bool = False
    """Whether its heartbeat counts only if the metrics are kept."""
    refusal: str | None = None
    """Why they were not kept, for their sender; set by the recorder."""
    reason: str | None = None
    """Why they could not be read, with FAILED."""

    @property
    def brings_heartbeat(self) -> bool:
        """Whether a heartbeat is recorded, once the recorder knows the fate of the metrics."""
        return not self.alone and (self.refusal is None or not self.required)


def group_id(labels: Labels) -> str:
    """Identifies a group within its monitor. A label without a value is none, as in Prometheus."""
    text = "\0".join(f"{name}\0{value}" for name, value in sorted(labels) if value)
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def check_metric_name(name: str) -> str:
    """`name` itself; raises PushRefused if it may not be pushed."""
    if len(name) > MAX_NAME:
        raise PushRefused(f"the metric name {shown(name)} is longer than {MAX_NAME} characters")
    if ":" in name:
        raise PushRefused(f"the metric name {shown(name)} has a colon: such names belong to recording rules")
    if _RESERVED.fullmatch(name):
        raise PushRefused(f"the metric name {shown(name)} is reserved")
    return name


def check_label_name(name: str) -> str:
    """`name` itself; raises PushRefused if no label may be called so."""
    if len(name) > MAX_NAME:
        raise PushRefused(f"the label name {shown(name)} is longer than {MAX_NAME} characters")
    if not LABEL_NAME.fullmatch(name):
        raise PushRefused(f"{shown(name)} is no name of a label")
    if name.startswith("__"):
        raise PushRefused(f"the label name {shown(name)} is reserved")
    return name


def check_grouping(labels: Iterable[tuple[str, str]]) -> Labels:
    """A grouping key of these labels, sorted; raises PushRefused."""
    checked = dict(labels)
    for name, value in checked.items():
        check_label_name(name)
        if "\0" in value:
            raise PushRefused(f"the value of the label {shown(name)} has a NUL character")
    if len(checked) > MAX_LABELS or _length(tuple(checked.items())) > MAX_GROUPING:
        raise PushRefused(f"the grouping key has more than {MAX_LABELS} labels or {MAX_GROUPING} bytes")
    return tuple(sorted(checked.items()))


def owned_names(name: str, type: str) -> Iterator[str]:
    """The names of series that belong to a family."""
    yield name
    if type in ("histogram", "summary"):
        yield f"{name}_sum"
        yield f"{name}_count"
        if type == "histogram":
            yield f"{name}_bucket"


def check_types(families: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """By name, the types of these families of one monitor: (name, type). Raises PushRefused where two clash."""
    types: dict[str, str] = {}
    owners: dict[str, str] = {}
    for name, type in families:
        if types.setdefault(name, type) != type:
            raise PushRefused(f"the metric {shown(name)} is of type {type} here and {types[name]} elsewhere")
        for owned in owned_names(name, type):
            if owners.setdefault(owned, name) != name:
                raise PushRefused(
                    f"the metrics {shown(owners[owned])} and {shown(name)} both have series {shown(owned)}"
                )
    return types


def with_exported_tag(labels: dict[str, str]) -> dict[str, str]:
    """`labels` themselves, changed: one that is called `tag` becomes `exported_tag`, as Prometheus does it."""
    if TAG in labels:
        name = _EXPORTED + TAG
        while name in labels:
            name = _EXPORTED + name
        labels[name] = labels.pop(TAG)
    return labels


def series_of(labels: Labels, families: Iterable[JobFamily]) -> Iterator[Series]:
    """What identifies each series of a group among those of its monitor, as Prometheus sees it."""
    for family in families:
        for sample in family.samples:
            every = with_exported_tag({**dict(sample.labels), **dict(labels)})
            yield sample.name, tuple(sorted((name, _canonical(name, value)) for name, value in every.items() if value))


def check_duplicates(series: Iterable[Series], taken: Iterable[Series] = ()) -> None:
    """Raises PushRefused for a series that is there twice."""
    seen = set(taken)
    for one in series:
        if one in seen:
            labels = ",".join(f'{name}="{value}"' for name, value in one[1])
            raise PushRefused(f"the series {shown(one[0] + (f'{{{labels}}}' if labels else ''))} is there twice")
        seen.add(one)


def count_of(families: Sequence[JobFamily]) -> int:
    return sum(len(family.samples) for family in families)


def shown(text: str) -> str:
    """A part of what the sender sent, for a message to it."""
    return text if len(text) <= 80 else f"{text[:80]}…"


def _canonical(name: str, value: str) -> str:
    if name in ("le", "quantile"):  # Prometheus 3 takes 1 and 1.0 for the same
        try:
            return repr(float(value))
        except ValueError:
            return value
    return value


def _length(labels: Labels) -> int:
    length = 0
    for name, value in labels:
        length += len(name) + 4 + (len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass")))
    return length
