"""Tags and globs of `depends_on`, and the tags that they match."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase, translate

from exporter.core.errors import InvalidValue
from exporter.core.monitor import TAG_PATTERN

_SPECIAL = re.compile(r"[*?\[]")
MAX_PATTERN = 128
PARENT_PATTERN = rf"({TAG_PATTERN}|(?=.*[*?\[])[A-Za-z0-9._*?!\[\]-]{{1,{MAX_PATTERN}}})"
"""A tag, or a glob of tags."""
_PATTERN = re.compile(PARENT_PATTERN)
_END = "\U0010ffff"
"""Sorts after every character of a tag."""
_FEW = 100
"""Tags that are compared with a glob without looking for fewer."""


def is_glob(pattern: str) -> bool:
    """Whether `pattern` may match several tags; no tag contains such a character."""
    return _SPECIAL.search(pattern) is not None


def check_pattern(pattern: str) -> str:
    """`pattern` itself; raises InvalidValue when it is neither a tag nor a glob that could match one."""
    if not _PATTERN.fullmatch(pattern):
        shown = pattern if len(pattern) <= 40 else pattern[:40] + "…"
        raise InvalidValue(
            f"{shown!r} is neither a tag nor a glob of tags: use 1 to {MAX_PATTERN} letters, digits, '.', '_' or '-', "
            "and '*', '?' or '[…]' in a glob"
        )
    return pattern


def matches(pattern: str, tag: str) -> bool:
    return fnmatchcase(tag, pattern) if is_glob(pattern) else pattern == tag


class TagIndex:
    """Finds the tags that a pattern matches. Each pattern is searched for once."""

    def __init__(self, tags: Iterable[str]) -> None:
        self._tags = sorted(tags)
        self._present = frozenset(self._tags)
        self._reversed: list[str] | None = None
        """Every tag spelled backwards, sorted; made when the end of a glob says more than its beginning."""
        self._matches: dict[str, Sequence[str]] = {}

    def __contains__(self, tag: object) -> bool:
        return tag in self._present

    def matching(self, pattern: str) -> Sequence[str]:
        """In the order of tags."""
        found = self._matches.get(pattern)
        if found is None:
            found = self._matches[pattern] = self._search(pattern)
        return found

    def _search(self, pattern: str) -> Sequence[str]:
        if not is_glob(pattern):
            return (pattern,) if pattern in self._present else ()
        start, end = _range(self._tags, _before_wildcard(pattern))
        suffix = _after_wildcards(pattern)
        if suffix and end - start > _FEW:
            if self._reversed is None:
                self._reversed = sorted(tag[::-1] for tag in self._tags)
            first, last = _range(self._reversed, suffix[::-1])
            if last - first < end - start:
                return _fitting(pattern, sorted(tag[::-1] for tag in self._reversed[first:last]))
        return _fitting(pattern, self._tags[start:end])


def _fitting(pattern: str, candidates: Sequence[str]) -> Sequence[str]:
    """Those of `candidates`, all of which have the literal beginning or the literal end of `pattern`, that it matches.
    To compile a glob takes as long as to compare a hundred tags.
    """
    if not candidates:
        return ()
    if pattern[:-1] == _before_wildcard(pattern) and pattern.endswith("*"):
        return tuple(candidates)
    fits = re.compile(translate(pattern)).match
    return tuple(tag for tag in candidates if fits(tag))


def _before_wildcard(pattern: str) -> str:
    return _SPECIAL.split(pattern, maxsplit=1)[0]


def _after_wildcards(pattern: str) -> str:
    """The literal end of `pattern`; empty when that is not plain to see."""
    end = re.split(r"[*?\[\]]", pattern)[-1]
    return "" if "[" in pattern else end


def _range(words: Sequence[str], prefix: str) -> tuple[int, int]:
    """Where those are that begin with `prefix`."""
    return (bisect_left(words, prefix), bisect_left(words, prefix + _END)) if prefix else (0, len(words))
