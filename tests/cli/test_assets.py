"""`heartbeat-exporter assets export`: all files, as they are; nobody's own file is lost."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from falcon import testing

from exporter.cli.assets import PACKAGES, shipped
from exporter.cli.main import main
from tests.support.scenes import World

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
    assert f"0 written, {len(sources())} unchanged." in export(target).output


def test_a_file_of_yours_stays(tmp_path: Path) -> None:
    export(tmp_path)
    mine, missing = tmp_path / "alertmanager" / "alertmanager.yml", tmp_path / "alertmanager" / "prometheus.yml"
    mine.write_text("mine")
    missing.unlink()
    refused = export(tmp_path)
    assert refused.exit_code == 1
    assert f"{mine} exists and differs" in refused.output
    assert "nothing was written" in refused.output
    assert mine.read_text() == "mine"
    assert not missing.exists()
    forced = export(tmp_path, "--force")
    assert forced.exit_code == 0
    assert f"2 written, {len(sources()) - 2} unchanged." in forced.output
    assert written(tmp_path) == sources()


RULES = ("heartbeat-rules.yml", "kubernetes/prometheusrule.yaml", "heartbeat-rules-test.yml")


def links(folder: Path) -> set[str]:
    """Of the runbooks of all rules, HeartbeatDown's in each file among them."""
    texts = [(folder / "alertmanager" / name).read_text() for name in RULES]
    links = [set(re.findall(r"^ +runbook_url: (.*)$", text, re.M)) for text in texts]
    assert links[0] == links[1] == links[2]
    return links[0]


def test_alerts_have_no_link_while_no_address_is_known(tmp_path: Path) -> None:
    result = export(tmp_path)
    assert links(tmp_path) == set()
    assert "--web.external-url URL to add them" in result.stderr


def test_alerts_link_to_the_runbooks_that_the_service_shows(tmp_path: Path) -> None:
    result = export(tmp_path, "--web.external-url", "https://heartbeats.example.org/")
    assert result.stderr == ""
    assert "https://heartbeats.example.org/docs/runbooks/HeartbeatDown" in links(tmp_path)
    client = testing.TestClient(World().app())
    for link in links(tmp_path):
        page = client.simulate_get(link.removeprefix("https://heartbeats.example.org"))
        assert (page.status_code, f">{link.rpartition('/')[2]}</h1>" in page.text) == (200, True), link


def test_the_address_is_that_of_the_configuration(tmp_path: Path) -> None:
    config = tmp_path / "heartbeats.yml"
    config.write_text("web: {external_url: 'https://beats.example.net'}\n")
    export(tmp_path / "a", "--config.file", config)
    assert "https://beats.example.net/docs/runbooks/Watchdog" in links(tmp_path / "a")
    export(tmp_path / "b", "--config.file", config, "--web.external-url", "https://heartbeats.example.org")
    assert "https://heartbeats.example.org/docs/runbooks/Watchdog" in links(tmp_path / "b")
    config.write_text("web: {external_url: 5}\n")
    refused = export(tmp_path / "c", "--config.file", config)
    assert (refused.exit_code, (tmp_path / "c").exists()) == (1, False)
    assert "web.external_url" in refused.stderr


def test_runbooks_of_your_own(tmp_path: Path) -> None:
    export(tmp_path, "--runbooks.url", "https://wiki.example.org/runbooks/")
    assert "https://wiki.example.org/runbooks/HeartbeatDown.md" in links(tmp_path)
    for link in links(tmp_path):
        assert (tmp_path / "docs" / "runbooks" / link.rpartition("/")[2]).is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--web.external-url", "heartbeats"), "--web.external-url: must be a URL"),
        (("--web.external-url", "https://a.example/below"), "--web.external-url: must not have a path"),
        (("--runbooks.url", "wiki"), "--runbooks.url: must be a URL"),
        (("--runbooks.url", "https://a.example/ # x"), "--runbooks.url: must be a URL"),
        (("--runbooks.url", "https://a.example", "--web.external-url", "https://b.example"), "one link to a runbook"),
    ],
)
def test_an_address_that_is_none_writes_nothing(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    target = tmp_path / "new"
    refused = export(target, *options)
    assert refused.exit_code in (1, 2)
    assert message in refused.stderr
    assert not target.exists()


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
    monkeypatch.setattr("exporter.cli.assets.PACKAGES", ("nothing_of_the_kind", "alertmanager"))
    assert {path.parts[0] for path in shipped()} == {"alertmanager"}
