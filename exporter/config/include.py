"""`include`: a configuration in several files, each with its own lines, seen as one."""

import glob
import os
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import Any

from exporter.config.sources import Sources
from exporter.config.yaml.document import YamlDocument
from exporter.config.yaml.lines import Path_
from exporter.core.errors import ConfigError, Problem

LISTS = ("monitors", "maintenances", "alerts", "notifiers")
"""What an included file may hold, besides more of `include`."""


class IncludedFiles:
    """One document that is made of several; problems name the file that contains them."""

    def __init__(self, main: YamlDocument) -> None:
        self.main = main
        self.values: dict[str, Any] = main.values
        self._starts: dict[str, list[int]] = {name: [0] for name in LISTS}
        self._owners: dict[str, list[YamlDocument]] = {name: [main] for name in LISTS}

    @property
    def file(self) -> str:
        return self.main.file

    def add(self, document: YamlDocument) -> list[Problem]:
        """Appends the lists of an included file; returns what must not be there."""
        problems = []
        for name, entries in document.values.items():
            if name == "include" or entries is None:
                continue
            if name not in LISTS:
                allowed = ", ".join((*LISTS[:-1], f"{LISTS[-1]} and include"))
                message = f"stands in an included file, which may hold {allowed}: put it into {self.main.file}"
                problems.append(document.problem((name,), message))
                continue
            here = self.values.get(name)
            if not isinstance(entries, list):
                problems.append(document.problem((name,), "must be a list"))
            elif here is None or isinstance(here, list):
                merged = self.values[name] = here or []
                self._starts[name].append(len(merged))
                self._owners[name].append(document)
                merged += entries
        return problems

    def problem(self, path: Path_, message: str) -> Problem:
        """A problem at `path`, where that stands."""
        document, path = self._local(path)
        return document.problem(path, message)

    def has(self, path: Path_) -> bool:
        document, path = self._local(path)
        return document.has(path)

    def original(self, path: Path_) -> str | None:
        document, path = self._local(path)
        return document.original(path)

    def place(self, path: Path_, seen_from: Path_) -> str:
        """Where `path` is, for a message about something at `seen_from`."""
        document, local = self._local(path)
        line = document.place(local, ())
        return line if document is self._local(seen_from)[0] else f"{line} of {document.file}"

    def _local(self, path: Path_) -> tuple[YamlDocument, Path_]:
        if len(path) > 1 and path[0] in self._starts and isinstance(path[1], int):
            starts = self._starts[str(path[0])]
            number = bisect_right(starts, path[1]) - 1
            return self._owners[str(path[0])][number], (path[0], path[1] - starts[number], *path[2:])
        return self.main, path


class Includes:
    """Finds and reads the files that a configuration includes."""

    def __init__(self, sources: Sources, resolve: Callable[[YamlDocument], list[Problem]], *, excerpt: bool) -> None:
        """`resolve` puts into a document what comes from outside of it, and returns the problems of that."""
        self._sources = sources
        self._resolve = resolve
        self._excerpt = excerpt
        self._seen: set[str] = set()
        self.order: dict[str, int] = {}
        """The files, in the order in which they were read."""
        self.documents: list[YamlDocument] = []
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def read(self, path: Path) -> IncludedFiles:
        """Raises ConfigError when the main file cannot be read or is not YAML; all else goes to `problems`."""
        main = self._document(path)
        documents = IncludedFiles(main)
        self._seen.add(os.path.realpath(path))
        self._follow(documents, main, [path])
        return documents

    def _document(self, path: Path) -> YamlDocument:
        self.order[str(path)] = len(self.order)
        document = self._sources.document(path, excerpt=self._excerpt)
        self.documents.append(document)
        self.problems += document.problems
        self.problems += self._resolve(document)
        return document

    def _follow(self, documents: IncludedFiles, document: YamlDocument, chain: list[Path]) -> None:
        """Reads what `document` includes; `chain` leads from the main file to it."""
        patterns = document.values.get("include")
        if patterns is None:
            return
        if not isinstance(patterns, list):
            if document is not documents.main:  # its model says so of the main file
                self.problems.append(document.problem(("include",), "must be a list"))
            return
        for index, pattern in enumerate(patterns):
            at = ("include", index)
            if not isinstance(pattern, str) or not pattern or "\0" in pattern:
                self.problems.append(
                    document.problem(at, "must be the path of a file, or a pattern such as more/*.yml")
                )
                continue
            for path in self._matches(document, at, pattern):
                self._take(documents, document, at, path, chain)

    def _matches(self, document: YamlDocument, at: Path_, pattern: str) -> list[Path]:
        folder = Path(document.file).parent
        if not glob.has_magic(pattern):
            return [folder / pattern]
        names = sorted(glob.glob(pattern, root_dir=folder, recursive=True))
        if not names:
            self.warnings.append(document.problem(at, f"no file fits {pattern[:60]!r}"))
        return [folder / name for name in names]

    def _take(self, documents: IncludedFiles, document: YamlDocument, at: Path_, path: Path, chain: list[Path]) -> None:
        real = os.path.realpath(path)
        if real in {os.path.realpath(file) for file in chain}:
            way = " → ".join(file.name for file in (*chain, path))
            self.problems.append(document.problem(at, f"{path.name} includes itself: {way}"))
            return
        if real in self._seen:  # two patterns may fit it
            return
        self._seen.add(real)
        try:
            included = self._document(path)
        except ConfigError as error:
            if all(problem.line == 0 for problem in error.problems):  # the file is not there, or cannot be read
                texts = [f"{path.name}: {problem.message}" for problem in error.problems]
                self.problems += [document.problem(at, text) for text in texts]
            else:
                self.problems += error.problems
            return
        self.problems += documents.add(included)
        self._follow(documents, included, [*chain, path])
