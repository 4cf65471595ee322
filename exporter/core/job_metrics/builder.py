"""Families while they are read: samples find their family, and what does not belong together is refused."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from exporter.core.job_metrics.model import (
    MAX_SAMPLES,
    JobFamily,
    JobSample,
    PushRefused,
    check_duplicates,
    check_metric_name,
    check_types,
    series_of,
    shown,
)
from exporter.core.job_metrics.syntax import is_number

SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}


@dataclass(slots=True)
class UnfinishedFamily:
    name: str
    type: str | None = None
    help: str | None = None
    samples: list[JobSample] = field(default_factory=list)


class FamilyBuilder:
    """Collects the families of one body. All methods raise PushRefused."""

    def __init__(self, types: dict[str, tuple[str, ...]], untyped: str) -> None:
        """`types`: the types that the format knows, with the suffixes that their samples may have. `untyped` is what
        a family without a type is.
        """
        self._types = types
        self._untyped = untyped
        self._families: dict[str, UnfinishedFamily] = {}
        self._samples = 0
        self._suffixes = sorted({suffix for suffixes in types.values() for suffix in suffixes if suffix})

    def describe(self, name: str, help: str) -> None:
        family = self._declared(name)
        if family.help is not None:
            raise PushRefused(f"the metric {shown(name)} has two HELP lines")
        family.help = help

    def declare(self, name: str, type: str) -> None:
        family = self._declared(name)
        if type not in self._types:
            raise PushRefused(f"the metric {shown(name)} has the unknown type {shown(type)}")
        if family.type is not None:
            raise PushRefused(f"the metric {shown(name)} has two TYPE lines, or one after its samples")
        family.type = type

    def add(self, sample: JobSample) -> None:
        self._samples += 1
        if self._samples > MAX_SAMPLES:
            raise PushRefused(f"there are more than {MAX_SAMPLES} samples")
        self._family_of(sample).samples.append(sample)

    def _declared(self, name: str) -> UnfinishedFamily:
        family = self._families.get(name)
        if family is None:
            family = self._families[name] = UnfinishedFamily(check_metric_name(name))
        return family

    def _family_of(self, sample: JobSample) -> UnfinishedFamily:
        name = sample.name
        family = self._families.get(name)
        if family is not None:
            if family.type is None:
                family.type = self._untyped
            if "" in self._types[family.type]:
                _check_sample(sample, family.type, "")
                return family
        for suffix in self._suffixes:
            base = self._families.get(name.removesuffix(suffix)) if name.endswith(suffix) else None
            if base is not None and base.type is not None and suffix in self._types[base.type]:
                _check_sample(sample, base.type, suffix)
                return base
        if family is not None:
            raise PushRefused(f"the metric {shown(name)} is of type {family.type}, which has no sample of this name")
        family = self._families[name] = UnfinishedFamily(name, self._untyped)
        return family

    def families(self) -> Iterator[UnfinishedFamily]:
        """Those that have samples."""
        return (family for family in self._families.values() if family.samples)


def _check_sample(sample: JobSample, type: str, suffix: str) -> None:
    label = "le" if suffix == "_bucket" else "quantile" if type == "summary" and not suffix else None
    if label is None:
        return
    value = dict(sample.labels).get(label)
    if value is None or not is_number(value):
        raise PushRefused(f"a sample of {shown(sample.name)}, of type {type}, has no number in its label {label}")


def checked(families: Sequence[JobFamily]) -> tuple[JobFamily, ...]:
    """`families` themselves, of one body; raises PushRefused where they clash."""
    names = [family.name for family in families]
    if len(set(names)) < len(names):
        raise PushRefused(f"the metric {shown(next(name for name in names if names.count(name) > 1))} is there twice")
    check_types((family.name, family.type) for family in families)
    check_duplicates(series_of((), families))
    return tuple(families)
