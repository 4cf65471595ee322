"""docs/dialects.md: the dialect that it shows is the one that the contract tests run, installed as a package is."""

import importlib
import re
from pathlib import Path

import pytest

from exporter import plugins
from exporter.core.errors import InvalidValue
from exporter.ingest.built_in import ROUTES
from exporter.ingest.dialects import DIALECTS, all_dialects
from tests.support.ingest import Asked, fleet_of, monitor, send

ROOT = Path(__file__).parent.parent.parent
DOCS = (ROOT / "docs" / "dialects.md").read_text()
EXAMPLE = ROOT / "examples" / "dialect" / "pulse.py"


def test_the_example_is_the_file_and_short() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
    assert code == EXAMPLE.read_text()
    assert len(code.splitlines()) < 60
    assert re.findall(r"^from (exporter\S*)", code, re.MULTILINE) == ["exporter.plugins"]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages in which the example is installed, with the entry point that the page shows."""
    ((group, entry),) = re.findall(r"```toml\n\[project\.entry-points\.\"(.+)\"\]\n(.*?)```", DOCS, re.DOTALL)
    (tmp_path / "pulse.py").write_text(EXAMPLE.read_text())
    information = tmp_path / "pulse-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: pulse\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[{group}]\n{entry.replace(chr(34), '')}")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    return tmp_path


def test_the_example_works_once_it_is_installed(installed: Path) -> None:
    dialects = all_dialects()
    assert [dialect.name for dialect in dialects] == [*(make().name for make in DIALECTS), "pulse"]
    fleet = fleet_of(monitor(1, "job", tokens=["token-of-job"]))
    outcome = send(Asked("/pulse/token-of-job", query=b"bad=disk+full&seconds=90"), dialects, fleet)
    assert (outcome.status, outcome.body) == (202, b"thump\n")
    assert outcome.headers["content-type"] == "text/plain; charset=utf-8"
    assert outcome.headers["x-pulse"] == "1"
    ((tag, beat),) = outcome.recorded
    assert (tag, beat.kind, beat.output, beat.duration) == ("job", "failure", "disk full", 90_000)
    outcome = send(Asked("/pulse/wrong"), dialects, fleet)
    assert (outcome.status, outcome.body) == (404, b"no such pulse\n")


def test_a_dialect_that_cannot_be_loaded_is_named(installed: Path) -> None:
    (installed / "pulse.py").write_text("import nothing_of_that_name\n")
    import sys

    sys.modules.pop("pulse", None)
    with pytest.raises(InvalidValue, match="the dialect 'pulse' of an installed package cannot be loaded"):
        all_dialects()


def test_the_log_knows_the_routes_of_every_built_in_dialect() -> None:
    assert [route for make in DIALECTS for route in make().routes] == list(ROUTES)


def test_every_built_in_dialect_has_a_row() -> None:
    named = re.findall(r"^\| `(\w+)` \| `/", DOCS, re.MULTILINE)
    assert named == [make().name for make in DIALECTS]


def test_everyone_who_comes_from_elsewhere_has_a_page() -> None:
    index, contents = (ROOT / "README.md").read_text(), (ROOT / "docs" / "README.md").read_text()
    for make in DIALECTS:
        if make.name in ("native", "alertmanager"):
            continue
        page = f"dialects/{make.name.replace('_', '-')}.md"
        text = (ROOT / "docs" / page).read_text()
        assert re.findall("^## (.*)$", text, re.MULTILINE) == ["Change this", "Keep that", "What differs"]
        assert "503" in text
        assert f"]({page})" in DOCS
        assert f"](docs/{page})" in index
        assert f"]({page})" in contents
    assert "2027-04-05" in index


def test_every_route_of_a_built_in_dialect_is_in_the_table_of_routes() -> None:
    table = (ROOT / "docs" / "api.md").read_text()
    for make in DIALECTS:
        for route in make().routes:
            assert f"| `{route.template}` | {', '.join(route.methods)} |" in table


def test_all_that_is_promised_is_there() -> None:
    for name in plugins.__all__:
        assert getattr(plugins, name) is not None
    with pytest.raises(AttributeError):
        _ = plugins.nothing
    names = "Route|Grant|Denied|Beat|Kind|NotStored|text_of|Response|IngestError|RejectReason"
    for name in re.findall(rf"`({names})\b", DOCS):
        assert name in plugins.__all__
