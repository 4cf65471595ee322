"""docs/reliability.md names tests, worlds and commands that exist."""

import re
from pathlib import Path

from tests.storm.worlds import WORLDS

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs" / "reliability.md").read_text()


def test_each_test_that_is_named_exists() -> None:
    code = "".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    defined = set(re.findall(r"^def (test_\w+)\(", code, re.MULTILINE))
    named = set(re.findall(r"`(test_\w+)`", TEXT))
    assert len(named) > 15
    assert named <= defined, named - defined


def test_every_promise_has_a_test() -> None:
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", TEXT.split("## The storm")[0], re.MULTILINE)[2:]
    assert rows
    assert all("`test_" in tests for _, tests in rows)


def test_every_world_is_described() -> None:
    table = TEXT.split("**Worlds**")[1].split("**Blows**")[0]
    assert set(re.findall(r"`([a-z0-9-]+)`", table)) == set(WORLDS)


def test_its_commands_are_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`?make ([a-z]+)", TEXT):
        assert f"\n{target}:" in makefile, target
