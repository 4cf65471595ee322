"""Each line that a document shows for copying is run by a test, or says why it cannot be."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import click
import pytest
from ruamel.yaml import YAML

from exporter.cli.main import main
from exporter.config.load import MODELS, load_config
from exporter.core.durations import parse_duration
from exporter.notify.notifiers import OptionModels
from tests.docs.test_metrics import shipped
from tests.support.documents import FENCE, REASONS, ROOT, Block, blocks, documents, every_block, missing_lines
from tests.support.tools import need_tool, run_tool

ELSEWHERE = {
    ("README.md", "crontab"): ["test_cron", "test_the_crontab_line"],
    ("README.md", "python"): ["test_languages"],
    ("README.md", "js"): ["test_languages"],
    ("docs/heartbeats.md", "crontab"): ["test_cron", "test_cron"],
    ("docs/heartbeats.md", "python"): ["test_languages"],
    ("docs/heartbeats.md", "js"): ["test_languages"],
    ("docs/run.md", "crontab"): ["test_the_crontab_line"],
    ("docs/dialects.md", "python"): ["test_the_example_is_the_file_and_short"],
    ("docs/pushgateway.md", "python"): ["test_the_python_of_the_document_pushes"],
    ("docs/dialects.md", "console"): ["test_the_example_works_once_it_is_installed"],
    ("docs/operations.md", "nginx"): ["test_nginx_in_front"],
    ("docs/notifications.md", "python"): [
        "test_the_signature_of_the_docs_verifies",
        "test_the_notifier_of_the_docs_works",
    ],
}
"""Blocks of a document and language that a test of their own runs, by its name."""
NEEDS = {
    ("powershell", "needs PowerShell"),
    ("go", "needs Go"),
    ("yaml", "needs GitHub"),
    ("yaml", "needs a cluster"),
}
"""What no test machine has; the documents say beside these examples that they are not run."""
RUN_HERE = {"sh", "promql", "yaml", "ini", "toml", "text", ""}


def defined_tests() -> set[str]:
    code = "".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    return set(re.findall(r"^def (test_\w+)\(", code, re.MULTILINE))


def test_every_block_has_a_language_that_is_tested() -> None:
    counts: dict[tuple[str, str], int] = {}
    for block in every_block():
        if block.language not in RUN_HERE and (block.language, block.no_test) not in NEEDS:
            key = (block.document, block.language)
            counts[key] = counts.get(key, 0) + 1
    assert counts == {key: len(tests) for key, tests in ELSEWHERE.items()}
    assert {test for tests in ELSEWHERE.values() for test in tests} <= defined_tests()


def test_each_fence_that_opens_closes() -> None:
    for file in documents():
        assert len(re.findall(r"^ *```", file.read_text(), re.MULTILINE)) == 2 * len(blocks(file)), file


def test_blocks_without_a_language_are_drawings() -> None:
    for block in every_block(""):
        assert "──▶" in block.text, block


@pytest.mark.parametrize("block", [b for b in every_block() if b.no_test is not None], ids=str)
def test_a_block_that_is_not_run_could_not_be_run(block: Block) -> None:
    """Each of its commands needs what its mark names; a command that does not belongs to a block of its own."""
    assert block.no_test is not None
    if (block.language, block.no_test) in NEEDS:
        assert "are not run by the project's tests" in block.file.read_text().split(block.text)[0]
        return
    assert block.language == "sh"
    if block.no_test.startswith("see "):
        assert block.no_test.removeprefix("see ") in defined_tests()
        return
    assert block.no_test in REASONS, f"no such reason: {block.no_test}"
    for command in block.commands:
        assert re.search(REASONS[block.no_test], command), f"this can be run: {command}"


@pytest.mark.parametrize("block", [b for b in every_block() if b.is_output], ids=str)
def test_a_shown_output_follows_a_command_that_is_run(block: Block) -> None:
    before = [other for other in blocks(block.file) if other.line < block.line][-1]
    assert before.language == "sh"
    assert before.no_test is None


# ── commands of ours ─────────────────────────────────────────────────────────────────────────────────────────────


def shown_commands() -> list[tuple[str, str]]:
    """Every command of ours in blocks and in the text, with its document."""
    commands = []
    for file in documents():
        if file.name == "CHANGELOG.md":
            continue
        text = re.sub(r"\\\n\s*", "", file.read_text())
        for line in re.findall(r"(?:^|[\s`/])heartbeat-exporter ((?:[a-z-]+ ?)+[^`\n|]*)", text):
            commands.append((str(file.relative_to(ROOT)), re.split(r"\s{2,}#|\s(?:&&|>)\s|\"\n", line)[0].strip()))
    return commands


def resolve(line: str) -> tuple[click.Command, list[str]] | None:
    """The command that a line calls, and its options; None is prose that merely begins with our name."""
    words = line.split()
    command: click.Command = main
    while words and isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words[0])
        if found is None:
            return None
        command, words = found, words[1:]
    return command, re.findall(r"(?<!\S)(--[a-z.-]+)", " ".join(words))


def test_commands_in_documents_exist_with_their_options() -> None:
    checked = 0
    for document, line in shown_commands():
        resolved = resolve(line)
        if resolved is None:
            continue
        command, options = resolved
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        assert set(options) <= known, (document, line)
        checked += 1
    assert checked > 60


# ── queries ──────────────────────────────────────────────────────────────────────────────────────────────────────


TARGET = {"job", "instance", "le", "alertname", "alertstate", "__name__", "tag"}


def test_every_query_is_promql_on_series_that_exist(tmp_path: Path) -> None:
    metrics = shipped()
    labels = {label for _, found in metrics.values() for label in found} | TARGET
    rules = []
    for block in every_block("promql"):
        for query in block.queries:
            rules.append({"record": f"query:{len(rules)}", "expr": query})
            for name in re.findall(r"(?<![\w:])heartbeat_\w+", query):
                assert re.sub(r"_(bucket|count|sum)$", "", name) in metrics, (str(block), name)
            for name in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", query):
                assert re.sub("^label_.*", "label_<key>", name) in labels, (str(block), name)
    assert len(rules) > 40
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "docs", "rules": rules}]}))
    run_tool("promtool", "check", "rules", str(tmp_path / "rules.yml"))


# ── configurations ───────────────────────────────────────────────────────────────────────────────────────────────


NOTIFIERS = "docs/notifications.md"
"""Its examples are notifiers alone, and test_notifications_docs.py runs each of them."""


@pytest.mark.parametrize(
    "block", [b for b in every_block("yaml") if b.document != NOTIFIERS and not b.no_test], ids=str
)
def test_every_yaml_block_is_taken_by_the_program_that_it_is_for(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "block.yml"
    file.write_text(block.text)
    keys = YAML(typ="safe").load(block.text).keys()
    if keys & {"scrape_configs", "rule_files", "global", "alerting"}:
        run_tool("promtool", "check", "config", "--syntax-only", str(file))
    elif "groups" in keys:
        run_tool("promtool", "check", "rules", str(file))
    elif "route" in keys:
        run_tool("amtool", "check-config", str(file))
    else:
        secret = tmp_path / "secret"
        secret.write_text("https://example.org/SESAME-of-the-documents\n")
        key = tmp_path / "key"
        key.write_text("SESAME-key-of-the-documents\n")  # a key has no slash
        text = re.sub(r"(\w+_file): (\[?)[^\s,}\]]+", rf"\1: \g<2>{secret}", block.text)
        text = re.sub(r"\b(key_file): \S+", rf"\1: {key}", text)
        for name in set(re.findall(r"notify: \[([\w-]+)\]", text)) if "notifiers" not in keys else ():
            text += f"notifiers:\n  - {{name: {name}, type: slack, url: https://example.org/a/b}}\n"
        file.write_text(text)
        load_config(file, dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "s" * 24), OptionModels())


@pytest.mark.parametrize("block", list(every_block("ini")), ids=str)
def test_systemd_takes_every_unit(block: Block, tmp_path: Path) -> None:
    """A comment names the file; without one it is a service's."""
    parts = re.split(r"^# (?:\S*/)?([\w-]+\.(?:service|timer)).*\n", block.text, flags=re.MULTILINE)
    units = dict(zip(parts[1::2], parts[2::2], strict=True)) or {"example.service": block.text}
    for name, text in units.items():
        (tmp_path / name).write_text(
            re.sub(r"/usr/local/bin/(backup|heartbeat-run)|/opt/heartbeat/bin/heartbeat-exporter", "/bin/true", text)
        )
    for template in (ROOT / "deploy" / "systemd").glob("*@.service"):  # which some of them name
        shutil.copy(template, tmp_path)
    files = [str(tmp_path / name) for name in units]
    assert run_tool("systemd-analyze", "verify", "--man=no", *files) == ""


@pytest.mark.parametrize("block", list(every_block("toml")), ids=str)
def test_every_toml_block_is_toml(block: Block) -> None:
    assert tomllib.loads(block.text)


@pytest.mark.parametrize("block", [b for b in every_block("sh") if b.no_test is not None], ids=str)
def test_the_shell_takes_what_is_not_run(block: Block) -> None:
    done = subprocess.run([need_tool("sh"), "-n"], input=block.text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# ── words and lines ──────────────────────────────────────────────────────────────────────────────────────────────


DIALECT = re.compile(r"\b(whoever|whom|anew|somebody|for ever|owed|judges?|judged)\b", re.IGNORECASE)
WRAPPED = [file for file in documents() if file.name != "CHANGELOG.md"]


@pytest.mark.parametrize("file", WRAPPED, ids=lambda file: str(file.relative_to(ROOT)))
def test_prose_is_plain_and_wrapped(file: Path) -> None:
    """Lines end at 100 columns, tables and what is to be copied aside; and dialect is avoided."""
    for number, line in enumerate(FENCE.sub("", file.read_text()).splitlines(), 1):
        words = line.replace("against whom", "")
        assert not DIALECT.search(words), line
        unbreakable = max(
            (len(word) for word in re.sub(r"`[^`]*`", lambda code: "x" * len(code[0]), line).split()), default=0
        )
        assert len(line) <= 100 or line.lstrip().startswith(("|", "<", "!")) or unbreakable > 60, (number, line)


def test_defaults_of_the_configuration_are_those_of_its_models() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    checked = 0
    for path, model in MODELS.items():
        if not path:
            continue
        heading = f"## `{path[0]}`"
        section = text[text.index(heading) :].split("\n## ", 2)[0]
        for name, field in model.model_fields.items():
            row = re.search(rf"^\| `{field.alias or name}`(?: †)? \| ([^|]*) \|", section, re.MULTILINE)
            default = field.default
            if row is None or not isinstance(default, str | int) or field.is_required() or default == "":
                continue
            shown = row[1].split("`")[1]
            if isinstance(default, bool):
                assert shown == str(default).lower(), (path, name)
            elif isinstance(default, int):
                assert shown == str(default) or parse_duration(shown) == default, (path, name)
            else:
                assert shown == default, (path, name)
            checked += 1
    assert checked > 15


# ── this test ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("shown", "printed", "missing"),
    [
        ("status   DOWN", "tag  a\nstatus                DOWN\n", 0),
        ("status   DOWN", "status  UP\n", 1),
        ("last success  …", "last success          2026-11-30T08:00:41Z\n", 0),
        ("a\nb", "b\na\n", 1),
        ('{"error": …}', '{"error": "locked"}', 0),
        ("a.c", "abc", 1),
    ],
)
def test_outputs_are_compared_by_shape(shown: str, printed: str, missing: int) -> None:
    assert len(missing_lines(shown, printed)) == missing


def test_our_program_is_on_no_path_by_accident() -> None:
    """The live test puts it there; a command that is spelled otherwise fails."""
    assert shutil.which("heartbeat_exporter") is None
