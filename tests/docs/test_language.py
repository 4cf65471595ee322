"""Texts of the command line and of the configuration: plain standard English, as a native speaker would write them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import exporter
from exporter.cli.main import main
from exporter.config.schema import json_schema
from exporter.doctor.checks import CHECKS
from exporter.notify.notifiers import OptionModels

FORBIDDEN = re.compile(
    r"^who\b|\b(whoever|whom|nobody|somebody|anybody|everybody|anew|for ever|tells?|told|owed|ours|"
    r"left out|taken back|looks? after|of (?:its|your|our) own|as it is|by itself)\b",
    re.IGNORECASE,
)
"""Words that hide the actor or belong to a dialect: name the user, client or component instead."""
PRODUCTS = ("ntfy",)
"""Names that are lower case even at the beginning of a sentence."""
MAX_SUMMARY = 68
"""Characters of a command's first sentence: a longer one is cut in the list of commands."""


PACKAGE = Path(exporter.__file__).parent
MODULES = [file for room in ("cli", "config", "doctor", "server") for file in sorted((PACKAGE / room).rglob("*.py"))]


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            child = command.get_command(click.Context(command), name)
            assert child is not None
            yield from commands(child, f"{path} {name}")


def help_texts() -> Iterator[tuple[str, str]]:
    for path, command in commands(main, "heartbeat-exporter"):
        yield path, command.help or ""
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                yield f"{path} {parameter.opts[0]}", parameter.help or ""


def descriptions(schema: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every description in a JSON schema, with its place."""
    if isinstance(schema, dict):
        if isinstance(schema.get("description"), str):
            yield path, schema["description"]
        for name, value in schema.items():
            yield from descriptions(value, f"{path}.{name}")
    elif isinstance(schema, list):
        for index, value in enumerate(schema):
            yield from descriptions(value, f"{path}[{index}]")


HELP = dict(help_texts())
SETTINGS = dict(descriptions(json_schema(OptionModels())))
CHECKED = {check.name: check.run.__doc__ or "" for check in CHECKS}


def test_all_texts_are_walked() -> None:
    assert len(HELP) > 100
    assert len(SETTINGS) > 100
    assert len(CHECKED) > 20


@pytest.mark.parametrize(("place", "text"), [*HELP.items(), *SETTINGS.items(), *CHECKED.items()])
def test_no_word_hides_the_actor(place: str, text: str) -> None:
    match = FORBIDDEN.search(text)
    assert match is None, f"{place}: {text!r} contains {match[0]!r}"


@pytest.mark.parametrize(("place", "text"), [*HELP.items(), *SETTINGS.items()])
def test_a_text_is_made_of_sentences(place: str, text: str) -> None:
    """It begins with a capital letter, a digit, code or a product, and ends with a full stop or with examples."""
    first, last = text.strip().split("\n\n", 1)[0], re.sub(r"\n\n\b\n.*", "", text, flags=re.DOTALL).strip()
    assert re.match(r"[A-Z0-9`$]", first) or first.startswith(PRODUCTS), f"{place}: {text!r}"
    assert last.endswith((".", ":")) or "\b" in text, f"{place}: {text!r}"


@pytest.mark.parametrize(("path", "command"), list(commands(main, "heartbeat-exporter")))
def test_a_command_begins_with_a_verb_in_the_third_person(path: str, command: click.Command) -> None:
    if path == "heartbeat-exporter":
        return
    summary = (command.help or "").split(".", 1)[0]
    assert re.match(r"[A-Z][a-z]+s\b", summary), (path, summary)
    assert len(summary) <= MAX_SUMMARY, (path, summary)


def messages(file: Path) -> Iterator[str]:
    """The texts in a module that may be printed: its string literals with a space in them, docstrings aside."""
    tree = ast.parse(file.read_text())
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and id(node) not in docstrings else None
        if isinstance(text, str) and " " in text.strip():
            yield text


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_no_message_hides_the_actor(file: Path) -> None:
    assert [text for text in messages(file) if FORBIDDEN.search(text)] == []
