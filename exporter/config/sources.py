"""The files of a configuration: read once each, cut where only the rest is needed, and recognised by a digest."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from exporter.config.yaml.document import MAX_FILE, YamlDocument, document_of, read_text
from exporter.core.errors import ConfigError, Problem

MAX_FILES = 10_000
_HEADING = re.compile(rb"^monitors:[ \t]*(?:#[^\n]*)?\r?\n", re.MULTILINE)
_ANY_HEADING = re.compile(rb"^['\"]?monitors\b", re.MULTILINE)
_NEXT = re.compile(rb"^(?:[^\s#-]|---)", re.MULTILINE)
"""Where a line ends a list in block style: its entries begin with a blank or a dash."""
_VARIABLE = re.compile(rb"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Sources:
    """Reads files for one loading of a configuration, so that all of its passes see the same bytes."""

    def __init__(self) -> None:
        self._raw: dict[Path, bytes] = {}
        self._whole: dict[Path, YamlDocument] = {}

    @property
    def size(self) -> int:
        """Bytes of all files that were read."""
        return sum(map(len, self._raw.values()))

    def document(self, path: Path, *, excerpt: bool = False) -> YamlDocument:
        """The file's document; as an `excerpt` without its monitors, where they can be cut out. Raises ConfigError."""
        if path not in self._raw:
            raw = read_text(path)
            if len(self._raw) >= MAX_FILES:
                raise ConfigError([Problem(f"more than {MAX_FILES:,} files are included", "", str(path))])
            if self.size + len(raw) > MAX_FILE:
                raise ConfigError([Problem("the configuration's files are larger than 64 MB in all", "", str(path))])
            self._raw[path] = raw
        raw = self._raw[path]
        span = _monitors(raw) if excerpt else None
        if span is None:
            document = self._whole[path] = document_of(raw, str(path))
            return document
        start, end = span
        return document_of(raw[:start] + b"\n" * raw.count(b"\n", start, end) + raw[end:], str(path))

    def can_be_skipped(self) -> bool:
        """Whether the monitors of these files, all of which were read as a whole, are just what an excerpt leaves out,
        and nothing but these files and the environment says what they are.
        """
        for path, raw in self._raw.items():
            document = self._whole.get(path)
            span = _monitors(raw)
            if document is None or (span is None and "monitors" in document.values):
                return False
            if span is not None and not _agrees(document, raw, *span):
                return False
            if any(
                path[0] == "monitors" and str(name[-1]).endswith("_file") for path, name in document.written.items()
            ):
                return False
        return True

    def release(self) -> None:
        """Gives back what the files hold; no question can be asked after that."""
        self._raw.clear()
        self._whole.clear()

    def digest(self, key: bytes, version: str, environ: Mapping[str, str]) -> str:
        """Differs when a file, a variable that may stand in one, or the program differs. Says nothing without `key`."""
        hashed = hashlib.blake2b(version.encode(), key=key[:64], digest_size=32)
        names: set[bytes] = set()
        for path, raw in self._raw.items():
            for part in (str(path.absolute()).encode("utf-8", "surrogateescape"), raw):
                hashed.update(b"%d:" % len(part))
                hashed.update(part)
            names.update(_VARIABLE.findall(raw))
        for name in sorted(names):
            value = environ.get(name.decode())
            hashed.update(
                b"%s=%s\0" % (name, b"-" if value is None else b"+" + value.encode("utf-8", "surrogateescape"))
            )
        return hashed.hexdigest()


def _monitors(raw: bytes) -> tuple[int, int] | None:
    """From where to where the list of monitors goes, in block style; None where that is not plain to see.

    An anchor in it might be used elsewhere, so there must be none.
    """
    headings = list(_ANY_HEADING.finditer(raw))
    heading = _HEADING.match(raw, headings[0].start()) if len(headings) == 1 else None
    if heading is None:
        return None
    following = _NEXT.search(raw, heading.end())
    end = following.start() if following is not None else len(raw)
    return (heading.end(), end) if raw.find(b"&", heading.end(), end) < 0 else None


def _agrees(document: YamlDocument, raw: bytes, start: int, end: int) -> bool:
    """Whether the parser, too, found the heading before `start`, and no other one before `end`."""
    headings = document.lines.headings()
    first, last = raw.count(b"\n", 0, start), raw.count(b"\n", 0, end) + 1
    if headings.get("monitors") != first:
        return False
    following = [line for line in headings.values() if line > first]
    return min(following) == last if following else not raw[end:].strip() or raw[end : end + 3] in (b"---", b"...")
