"""`heartbeat-exporter assets export`: all files, as they are; nobody's own file is lost."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from exporter.assets_commands import PACKAGES, RUNBOOKS, shipped
from exporter.cli import main

ROOT = Path(__file__).parent.parent.parent


def export(*arguments: object) -> Result:
    result = CliRunner().invoke(main, ["assets", "export", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def sources() -> dict[str, bytes]:
    """What is in the repository's folders, but for the code."""
    return {
        str(file.relative_to(ROOT)): file.read_bytes()
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and file.suffix not in (".py", ".pyc")
    }


def written(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_everything_is_written_as_it_is(tmp_path: Path) -> None:
    target = tmp_path / "new" / "assets"
    result = export(target)
    assert result.exit_code == 0, result.output
    assert written(target) == sources()
    assert "alertmanager/heartbeat-rules.yml" in sources()
    for path in sources():
        assert str(target / path) in result.output
    assert f"{len(sources())} written." in result.output
    assert f"0 written, {len(sources())} as they were." in export(target).output


def test_a_file_of_yours_stays(tmp_path: Path) -> None:
    export(tmp_path)
    mine, missing = tmp_path / "alertmanager" / "alertmanager.yml", tmp_path / "alertmanager" / "prometheus.yml"
    mine.write_text("mine")
    missing.unlink()
    refused = export(tmp_path)
    assert refused.exit_code == 1
    assert f"{mine} is there and differs" in refused.output
    assert "nothing was written" in refused.output
    assert mine.read_text() == "mine"
    assert not missing.exists()
    forced = export(tmp_path, "--force")
    assert forced.exit_code == 0
    assert f"2 written, {len(sources()) - 2} as they were." in forced.output
    assert written(tmp_path) == sources()


def test_runbooks_of_your_own(tmp_path: Path) -> None:
    export(tmp_path, "--runbooks.url", "https://wiki.example.org/runbooks/")
    for name in ("heartbeat-rules.yml", "kubernetes/prometheusrule.yaml"):
        text = (tmp_path / "alertmanager" / name).read_text()
        assert RUNBOOKS not in text
        assert "runbook_url: https://wiki.example.org/runbooks/HeartbeatDown.md\n" in text


@pytest.mark.parametrize("below", ["alertmanager", "alertmanager/alertmanager.yml/x"])
def test_trouble_is_told_plainly(tmp_path: Path, below: str) -> None:
    """A file where a folder has to be, and a folder where a file has to be."""
    if "/" in below:
        (tmp_path / below).mkdir(parents=True)
    else:
        (tmp_path / below).write_text("")
    result = export(tmp_path, "--force")
    assert result.exit_code == 1
    assert "Error: " in result.output
    assert "Traceback" not in result.output


def test_the_examples_of_the_help_are_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"^    heartbeat-exporter assets export (.*)$", export("--help").output, re.M)
    assert len(examples) == 3
    for example in examples:
        assert export(*example.split()).exit_code == 0, example


def test_a_package_that_is_not_there_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.assets_commands.PACKAGES", ("nothing_of_the_kind", "alertmanager"))
    assert {path.parts[0] for path in shipped()} == {"alertmanager"}
