"""A Dockerfile read as far as tests need it: instructions in order, with their continued lines put together."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML


@dataclass(frozen=True)
class Instruction:
    name: str
    rest: str

    @property
    def words(self) -> list[str]:
        """The exec form `["a", "b"]`, or what a shell makes of it."""
        if self.rest.startswith("["):
            found: Any = YAML(typ="safe").load(self.rest)
            return [str(word) for word in found]
        return shlex.split(self.rest)

    @property
    def commands(self) -> list[str]:
        """What a RUN runs, one after the other."""
        return [command.strip() for command in self.rest.split("&&")]


def read(file: Path) -> list[list[Instruction]]:
    """The stages."""
    lines = "\n".join(line for line in file.read_text().splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", "", lines)
    stages: list[list[Instruction]] = []
    for line in joined.splitlines():
        if line:
            name, _, rest = line.partition(" ")
            if name == "FROM":
                stages.append([])
            stages[-1].append(Instruction(name, rest.strip()))
    return stages


def named(stage: list[Instruction], name: str) -> list[Instruction]:
    return [instruction for instruction in stage if instruction.name == name]
