"""The lines of a group as they are exposed: the labels as pushed, those of the grouping key, and the tag."""

from collections.abc import Iterator
from sys import intern
from typing import NamedTuple

from exporter.core.job_metrics.model import TAG, JobFamily, JobGroup, Labels, with_exported_tag


class RenderedFamily(NamedTuple):
    name: str
    type: str
    help: str
    lines: bytes


def rendered_families(group: JobGroup, tag: str) -> tuple[RenderedFamily, ...]:
    """Texts that many groups share are kept once."""
    return tuple(
        RenderedFamily(intern(family.name), intern(family.type), intern(family.help), _lines(family, group.labels, tag))
        for family in group.families
    )


def label_text(labels: dict[str, str], tag: str) -> str:
    """In braces, sorted by name, with the tag of the monitor."""
    shown = with_exported_tag(labels)
    shown[TAG] = tag
    return "{" + ",".join(f'{name}="{_escaped(shown[name])}"' for name in sorted(shown)) + "}"


def header(name: str, type: str, help: str) -> bytes:
    described = help.replace("\\", r"\\").replace("\n", r"\n")
    shown = f"# HELP {name} {described}\n" if help else ""
    return f"{shown}# TYPE {name} {type}\n".encode()


def lines_by_name(lines: bytes) -> Iterator[tuple[str, bytes]]:
    """The lines of a family, each with the name of its series."""
    for line in lines.split(b"\n")[:-1]:  # a value may hold what else ends lines
        yield line[: line.index(b"{")].decode(), line + b"\n"


def _lines(family: JobFamily, grouping: Labels, tag: str) -> bytes:
    group = dict(grouping)
    return "".join(
        f"{sample.name}{label_text({**dict(sample.labels), **group}, tag)} {sample.value}\n"
        for sample in family.samples
    ).encode()


def _escaped(value: str) -> str:
    if "\\" in value or "\n" in value or '"' in value:
        return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return value
