"""The graph of dependencies: parents and children of monitors, resolved from tags and globs.

Many monitors name the same parents, so monitors with the same `depends_on` form one group, whose parents are searched
for and kept once. A dependency that is part of a cycle has no effect: no monitor of a cycle suppresses another one of
it.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from exporter.core.dependencies.patterns import TagIndex, is_glob
from exporter.core.monitor import MAX_PARENTS, Monitor


@dataclass(slots=True)
class _Group:
    """Monitors with the same parents."""

    patterns: tuple[str, ...]
    parents: tuple[str, ...]
    members: list[str] = field(default_factory=list)


class DependencyGraph:
    """Immutable but for what it remembers. Tags stand for monitors; an unknown tag has neither parents nor children."""

    def __init__(self, monitors: Iterable[Monitor] = ()) -> None:
        self._group_of: dict[str, _Group] = {}
        self._groups_below: defaultdict[str, list[_Group]] = defaultdict(list)
        self._counts: dict[str, int] = {}
        """How many descendants those have that were asked for."""
        self.unknown: dict[str, tuple[str, ...]] = {}
        """Tags that `depends_on` of a monitor names literally and that no monitor has, by the monitor's tag."""
        self.unmatched: dict[str, tuple[str, ...]] = {}
        """Globs that match no other monitor, by the tag of the monitor that has them."""
        self.crowded: dict[str, int] = {}
        """How many parents a monitor has that has more than MAX_PARENTS, of which only the first have an effect."""
        self.cycles: tuple[tuple[str, ...], ...] = ()
        """One path through each cycle, from a tag back to itself."""
        everything = list(monitors)
        depending = [monitor for monitor in everything if monitor.depends_on]
        if depending:
            self._resolve(depending, TagIndex(monitor.tag for monitor in everything))
            self._break_cycles()
            self._connect()

    def __bool__(self) -> bool:
        """Whether any monitor depends on another one."""
        return bool(self._group_of)

    def parents(self, tag: str) -> tuple[str, ...]:
        """The monitors that `tag` depends on directly, in the order of tags."""
        group = self._group_of.get(tag)
        return group.parents if group is not None else ()

    def children(self, tag: str) -> Sequence[str]:
        """The monitors that depend on `tag` directly, in the order of tags."""
        return sorted(member for group in self._groups_below.get(tag, ()) for member in group.members)

    def has_children(self, tag: str) -> bool:
        return tag in self._groups_below

    def ancestors(self, tag: str) -> Iterator[str]:
        """All monitors that `tag` depends on, over any number of levels, the nearest first."""
        return _breadth_first(tag, self.parents)

    def descendants(self, tag: str) -> Iterator[str]:
        """All monitors that depend on `tag`, over any number of levels, the nearest first."""
        return _breadth_first(tag, self._members_below)

    def count_descendants(self, tag: str) -> int:
        count = self._counts.get(tag)
        if count is None:
            count = self._counts[tag] = sum(1 for _ in self.descendants(tag)) if self.has_children(tag) else 0
        return count

    def pairs(self) -> Iterator[tuple[str, str]]:
        """(tag, parent), in the order of tags."""
        for tag in sorted(self._group_of):
            for parent in self._group_of[tag].parents:
                yield tag, parent

    def tags(self) -> set[str]:
        """The monitors that have parents or children."""
        return {*self._group_of, *self._groups_below}

    def _members_below(self, tag: str) -> Iterator[str]:
        return (member for group in self._groups_below.get(tag, ()) for member in group.members)

    def _resolve(self, depending: Sequence[Monitor], index: TagIndex) -> None:
        by_patterns: dict[tuple[str, ...], tuple[tuple[str, ...], _Group, bool]] = {}
        for monitor in depending:
            patterns, tag = monitor.depends_on, monitor.tag
            if patterns not in by_patterns:
                matching = tuple(sorted({match for pattern in patterns for match in index.matching(pattern)}))
                idle = any(len(index.matching(pattern)) < 2 and is_glob(pattern) for pattern in patterns) or any(
                    pattern not in index for pattern in patterns if not is_glob(pattern)
                )
                by_patterns[patterns] = (matching, _Group(patterns, matching[:MAX_PARENTS]), idle)
            matching, group, idle = by_patterns[patterns]
            count = len(matching)
            if _contains(matching, tag):  # a glob never matches the monitor itself
                count -= 1
                others = [match for match in matching[: MAX_PARENTS + 1] if match != tag]
                group = _Group(patterns, tuple(others[:MAX_PARENTS]))
            if count > MAX_PARENTS:
                self.crowded[tag] = count
            if idle:
                self._note_idle(tag, patterns, index)
            if group.parents:
                group.members.append(tag)
                self._group_of[tag] = group

    def _note_idle(self, tag: str, patterns: tuple[str, ...], index: TagIndex) -> None:
        idle = [pattern for pattern in patterns if not index.matching(pattern) or index.matching(pattern) == (tag,)]
        literals = tuple(pattern for pattern in idle if not is_glob(pattern) and pattern != tag)
        globs = tuple(pattern for pattern in idle if is_glob(pattern))
        if literals:
            self.unknown[tag] = literals
        if globs:
            self.unmatched[tag] = globs

    def _break_cycles(self) -> None:
        component_of = _components(self._group_of)
        members: defaultdict[int, list[str]] = defaultdict(list)
        for tag, component in component_of.items():
            members[component].append(tag)
        cyclic = {component: set(tags) for component, tags in members.items() if len(tags) > 1}
        if not cyclic:
            return
        parents = {tag: self.parents(tag) for tags in cyclic.values() for tag in tags}
        self.cycles = tuple(sorted(_path(tags, parents) for tags in cyclic.values()))
        for tags in cyclic.values():
            for tag in tags:
                group = self._group_of.pop(tag)
                group.members.remove(tag)
                outside = tuple(parent for parent in group.parents if parent not in tags)
                if outside:
                    self._group_of[tag] = _Group(group.patterns, outside, [tag])

    def _connect(self) -> None:
        for group in {id(group): group for group in self._group_of.values()}.values():
            for parent in group.parents:
                self._groups_below[parent].append(group)


NO_DEPENDENCIES = DependencyGraph()


def describe_cycle(path: Sequence[str]) -> str:
    """`a → b → a`; the middle of a long one is left out."""
    shown = path if len(path) <= 12 else (*path[:6], f"… {len(path) - 11} more …", *path[-5:])
    return " → ".join(shown)


def _contains(ordered: Sequence[str], tag: str) -> bool:
    place = bisect_left(ordered, tag)
    return place < len(ordered) and ordered[place] == tag


def _breadth_first(start: str, following: Callable[[str], Iterable[str]]) -> Iterator[str]:
    seen, level = {start}, [start]
    while level:
        found: list[str] = []
        for tag in level:
            for other in following(tag):
                if other not in seen:
                    seen.add(other)
                    found.append(other)
        yield from found
        level = found


def _components(group_of: Mapping[str, _Group]) -> dict[str, int]:
    """The strongly connected component of each monitor that has parents: Tarjan's algorithm, without recursion."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    component_of: dict[str, int] = {}
    stack: list[str] = []
    for root in group_of:
        if root in index:
            continue
        index[root] = low[root] = len(index)
        stack.append(root)
        work = [(root, iter(group_of[root].parents))]
        while work:
            tag, parents = work[-1]
            for parent in parents:
                if parent not in group_of:
                    continue  # it has no parents, so no cycle passes through it
                if parent not in index:
                    index[parent] = low[parent] = len(index)
                    stack.append(parent)
                    work.append((parent, iter(group_of[parent].parents)))
                    break
                if parent not in component_of:
                    low[tag] = min(low[tag], index[parent])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[tag])
                if low[tag] == index[tag]:
                    while True:
                        member = stack.pop()
                        component_of[member] = index[tag]
                        if member == tag:
                            break
    return component_of


def _path(tags: set[str], parents: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """A shortest way through a component from its first tag back to it."""
    start = min(tags)
    came_from: dict[str, str] = {}
    level = [start]
    while level:
        following: list[str] = []
        for tag in level:
            for parent in sorted(parents[tag]):
                if parent == start:
                    path = [start, tag]
                    while path[-1] != start:
                        path.append(came_from[path[-1]])
                    return tuple(reversed(path)) if len(path) > 1 else (start, start)
                if parent in tags and parent not in came_from:
                    came_from[parent] = tag
                    following.append(parent)
        level = following
    raise AssertionError("a strongly connected component has a way back")
