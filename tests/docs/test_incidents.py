"""docs/incidents.md says what is so, and no more."""

import re
from pathlib import Path

import click

from exporter.cli.main import main
from exporter.core.alerts.incident import MAX_TEXT, IncidentState
from exporter.core.clock import DAY
from exporter.web.app import routes
from exporter.web.pages.alerts import REMEMBERED
from exporter.web.pages.feed import MAX_ENTRIES
from exporter.web.pages.rendering import Assets, Pages
from tests.support.scenes import World

DOCS = Path(__file__).parent.parent.parent / "docs"
TEXT = (DOCS / "incidents.md").read_text()


def test_every_state_is_told_in_order() -> None:
    assert re.findall(r"^\| `([A-Z]+)` \|", TEXT, re.MULTILINE) == [state.value for state in IncidentState]


def test_its_numbers() -> None:
    text = " ".join(TEXT.split())
    assert f"up to {MAX_TEXT} characters" in text
    assert f"the {MAX_ENTRIES} newest" in text
    assert REMEMBERED == 7 * DAY
    assert "says so for a week" in text


def test_its_routes_and_commands_are_there() -> None:
    assets = Assets()
    real = {route.template for route in routes(World().parts(), assets, Pages(assets, "1"))}
    for route in re.findall(r"`(/[a-z{][^`]*)`", TEXT):
        assert route in real, route
    used = re.findall(r"heartbeat-exporter ((?:incident|notification|notify) [a-z]+)", TEXT)
    assert {"incident list", "incident ack", "incident update", "incident resolve", "notify test"} <= set(used)
    context = click.Context(main)
    for line in used:
        name, command = line.split()
        group = main.get_command(context, name)
        assert isinstance(group, click.Group)
        assert command in group.commands, line


def test_its_pictures_are_there() -> None:
    for picture in re.findall(r"!\[[^]]*]\(([^)]+)\)", TEXT):
        assert (DOCS / picture).is_file()
