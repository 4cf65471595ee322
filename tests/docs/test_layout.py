"""The layout of the code: each class has a name of its own, and a package stays small enough to survey."""

import ast
from collections import defaultdict
from configparser import ConfigParser
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "exporter"
MODULES = sorted(file for file in PACKAGE.rglob("*.py") if "migrations" not in file.parts)
ROOMS = sorted({file.parent.relative_to(PACKAGE).as_posix() for file in MODULES})
MAX_MODULES = 16
"""Modules of a package, without `__init__`."""
LARGER = {
    "core": 24,  # the words of the domain, each in a module of its own
    "ingest/dialects": 40,  # a module for each protocol
    "notify/notifiers": 40,  # a module for each service
}


def test_no_two_classes_have_the_same_name() -> None:
    modules = defaultdict(list)
    for file in MODULES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                modules[node.name].append(file.relative_to(PACKAGE).as_posix())
    assert {name: files for name, files in modules.items() if len(files) > 1} == {}


@pytest.mark.parametrize("room", ROOMS)
def test_no_package_has_too_many_modules(room: str) -> None:
    names = [file.name for file in (PACKAGE / room).glob("*.py") if file.name != "__init__.py"]
    assert len(names) <= LARGER.get(room, MAX_MODULES), "move modules about the same thing to a package of their own"


def test_every_package_is_shipped() -> None:
    settings = ConfigParser()
    settings.read(PACKAGE.parent / "setup.cfg")
    elsewhere = {line.partition(" ")[0] for line in settings["options"]["package_dir"].split("\n")}
    shipped = set(settings["options"]["packages"].split()) - elsewhere
    folders = {".".join(["exporter", *file.parent.relative_to(PACKAGE).parts]) for file in PACKAGE.rglob("__init__.py")}
    assert shipped == folders
