"""The line of everything in a document: a tree, since a path for each of a million values takes hundreds of megabytes.

A branch maps keys, or numbers of list entries, to what is there: a line, or a line with the branch below it.
"""

from typing import TypeAlias

Path_: TypeAlias = tuple[str | int, ...]
Leaf: TypeAlias = int | tuple[int, "Branch"]
Branch: TypeAlias = dict[str, Leaf] | list[Leaf]


class Lines:
    """Lines by path, counted from 1."""

    def __init__(self, root: Branch | None = None) -> None:
        self._root = root

    def at(self, path: Path_) -> int | None:
        """The line of what is exactly at `path`; None when the document has nothing there."""
        line, branch = 1, self._root
        for step in path:
            leaf: Leaf | None = None
            if isinstance(branch, dict) and isinstance(step, str):
                leaf = branch.get(step)
            elif isinstance(branch, list) and isinstance(step, int) and 0 <= step < len(branch):
                leaf = branch[step]
            if leaf is None:
                return None
            line, branch = leaf if isinstance(leaf, tuple) else (leaf, None)
        return line

    def nearest(self, path: Path_) -> int:
        """The line of `path`, or of the nearest place above it that the document has."""
        for length in range(len(path), 0, -1):
            line = self.at(path[:length])
            if line is not None:
                return line
        return 1

    def headings(self) -> dict[str, int]:
        """The lines of the keys at the top."""
        root = self._root if isinstance(self._root, dict) else {}
        return {key: leaf[0] if isinstance(leaf, tuple) else leaf for key, leaf in root.items()}
