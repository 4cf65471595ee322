"""The dashboards as files: built by their code, sound by Grafana's schema, complete, and linked with each other."""

import copy
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jsonschema
import pytest
from ruamel.yaml import YAML

from dashboards.source import BOARDS, build, links, statuses, write
from dashboards.source.board import COLUMNS, render
from exporter.core.status import Status
from exporter.presentation.statuses import URGENCY
from tests.support.dashboards import FILES, FOLDER, MODELS, PANELS, ROOT, Json, name_of, panels

SCHEMA = json.loads((ROOT / "tests" / "grafana" / "schema.json").read_text())
SINGLE = {(links.DETAIL, "tag"): "the detail is about one monitor"}
"""Variables of which exactly one value is chosen, and why."""


def validator(definition: str) -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator({**SCHEMA, "$ref": f"#/definitions/{definition}"})


PANEL_DEFINITIONS = {
    kind: validator(definition)
    for kind, definition in {
        "bargauge": "BarGaugePanel",
        "row": "RowOfPanels",
        "stat": "StatPanel",
        "state-timeline": "StateTimelinePanel",
        "table": "TablePanel",
        "timeseries": "TimeSeriesPanel",
    }.items()
}


def complaints(checker: jsonschema.Draft7Validator, value: object) -> list[str]:
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in checker.iter_errors(value)]


def overridden(panel: Json) -> list[Json]:
    """The panel once more for each override, with what that sets as the settings of all fields."""
    found = []
    for override in panel["fieldConfig"]["overrides"]:
        one = copy.deepcopy(panel)
        for setting in override["properties"]:
            place: Any = one["fieldConfig"]["defaults"]
            *path, last = setting["id"].split(".")
            for part in path:
                place = place.setdefault(part, {})
            place[last] = setting["value"]
        found.append(one)
    return found


# ── the files ────────────────────────────────────────────────────────────────────────────────────────────────


def test_building_them_anew_changes_nothing(tmp_path: Path) -> None:
    assert {name: render(model) for name, model in build().items()} == {file.name: file.read_text() for file in FILES}
    assert [file.read_bytes() for file in sorted(write(tmp_path))] == [file.read_bytes() for file in FILES]
    assert len(FILES) == len(BOARDS) == 3


def test_they_are_installed_as_a_package(tmp_path: Path) -> None:
    """Asked from elsewhere, so that the folder itself is not on the path."""
    ask = "import importlib.resources as r; print(r.files('exporter.dashboards'))"
    done = subprocess.run([sys.executable, "-c", ask], cwd=tmp_path, capture_output=True, text=True, check=False)
    installed = Path(done.stdout.strip() or "nowhere")
    for file in (*FILES, *FOLDER.rglob("*.yml")):
        assert (installed / file.relative_to(FOLDER)).read_bytes() == file.read_bytes(), done.stderr


@pytest.mark.parametrize("board", MODELS)
def test_grafanas_schema(board: str) -> None:
    model = MODELS[board]
    assert not complaints(validator("ClassicDashboard"), {**model, "panels": []})
    for panel in model["panels"]:
        assert not complaints(PANEL_DEFINITIONS[panel["type"]], panel), panel["title"]
    assert not complaints(validator("ClassicDashboard"), model)


@pytest.mark.parametrize(("board", "panel"), PANELS, ids=name_of)
def test_grafanas_schema_of_the_overrides(board: str, panel: Json) -> None:
    for one in overridden(panel):
        assert not complaints(PANEL_DEFINITIONS[panel["type"]], one)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("fieldConfig", "defaults", "noValues"), "?"),
        (("fieldConfig", "defaults", "custom", "lineWith"), 1),
        (("fieldConfig", "defaults", "thresholds", "mode"), "absolut"),
        (("options", "legend", "calc"), []),
        (("options", "tooltip", "mode"), "all"),
        (("targets", 0, "expression"), "1"),
        (("descriptions",), "?"),
    ],
)
def test_the_schema_finds_a_slip(path: tuple[str | int, ...], value: object) -> None:
    panel = copy.deepcopy(next(panel for _, panel in PANELS if panel["type"] == "timeseries"))
    place: Any = panel
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    assert complaints(PANEL_DEFINITIONS["timeseries"], panel)


@pytest.mark.parametrize("board", MODELS)
def test_the_model_is_what_file_provisioning_takes(board: str) -> None:
    model = MODELS[board]
    assert model["uid"] == board
    assert len(board) <= 40
    assert model["schemaVersion"] == 42
    assert "apiVersion" not in model
    assert "__inputs" not in model
    assert "${DS_" not in json.dumps(model)
    assert "id" not in model
    assert links.TAG in model["tags"]
    identities = [panel["id"] for panel in model["panels"]]
    assert len(set(identities)) == len(identities)
    assert len({panel["title"] for panel in model["panels"]}) == len(identities)


# ── panels ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("board", "panel"), PANELS, ids=name_of)
def test_every_panel_is_complete(board: str, panel: Json) -> None:
    assert panel["title"][0].isupper()
    assert len(panel["description"]) >= 40
    assert panel["description"].endswith(".")
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"]
    assert defaults["noValue"].strip()
    steps = defaults["thresholds"]["steps"]
    assert steps[0]["value"] is None
    values = [step["value"] for step in steps[1:]]
    assert values == sorted(values)
    assert panel["targets"]
    refs = [target["refId"] for target in panel["targets"]]
    assert len(set(refs)) == len(refs)


@pytest.mark.parametrize(("board", "panel"), PANELS, ids=name_of)
def test_drawn_thresholds_and_their_colours_mean_something(board: str, panel: Json) -> None:
    drawn = panel["fieldConfig"]["defaults"].get("custom", {}).get("thresholdsStyle", {}).get("mode", "off") != "off"
    if drawn:
        assert len(panel["fieldConfig"]["defaults"]["thresholds"]["steps"]) > 1


@pytest.mark.parametrize("board", MODELS)
def test_panels_fill_the_grid_without_overlap(board: str) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in MODELS[board]["panels"]:
        place = panel["gridPos"]
        cells = itertools.product(
            range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        )
        for cell in cells:
            assert cell not in taken, f"{panel['title']} lies on {taken[cell]}"
            taken[cell] = panel["title"]
    height = 1 + max(y for _, y in taken)
    assert taken.keys() == set(itertools.product(range(COLUMNS), range(height)))


@pytest.mark.parametrize(("board", "panel"), PANELS, ids=name_of)
def test_every_override_fits_a_query_or_a_column(board: str, panel: Json) -> None:
    names = {target["legendFormat"] for target in panel["targets"]}
    patterns = [re.compile(re.sub(r"\\\{\\\{\w+\\\}\\\}", ".+", re.escape(name))) for name in names if "{{" in name]
    for step in panel.get("transformations", []):
        names |= set(step["options"].get("renameByName", {}).values())
    for override in panel["fieldConfig"]["overrides"]:
        name = override["matcher"]["options"]
        assert name in names or any(pattern.fullmatch(name) for pattern in patterns), name


@pytest.mark.parametrize(("board", "panel"), [one for one in PANELS if one[1]["type"] == "table"], ids=name_of)
def test_every_column_of_a_table_comes_from_a_query(board: str, panel: Json) -> None:
    refs = [target["refId"] for target in panel["targets"]]
    values = {"Value"} if len(refs) == 1 else {f"Value #{ref}" for ref in refs}
    *merging, organizing = panel["transformations"]
    assert [step["id"] for step in merging] == ([] if len(refs) == 1 else ["merge"])
    options = organizing["options"]
    columns = set(options["renameByName"])
    assert columns == set(options["indexByName"])
    assert values <= columns | set(options["excludeByName"]), "a value has no column"
    assert {name for name in columns if name.startswith("Value")} <= values
    sorting = [one["displayName"] for one in panel["options"]["sortBy"]]
    assert set(sorting) <= set(options["renameByName"].values())
    assert all(target["format"] == "table" and target["instant"] for target in panel["targets"])


# ── variables ────────────────────────────────────────────────────────────────────────────────────────────────


def variables(board: str) -> dict[str, Json]:
    return {one["name"]: one for one in MODELS[board]["templating"]["list"]}


def test_the_variables() -> None:
    scope = ["datasource", "job", "instance"]
    assert list(variables(links.OVERVIEW)) == [*scope, "group", "tag"]
    assert list(variables(links.DETAIL)) == [*scope, "group", "tag"]
    assert list(variables(links.SERVICE)) == scope
    for board in MODELS:
        for name, one in variables(board).items():
            if name == "datasource":
                continue
            assert one["description"].endswith(".")
            several = (board, name) not in SINGLE
            assert (one["multi"], one["includeAll"]) == (several, several)
            # heartbeat_info has no group where the monitor has none, and .+ would lose those.
            assert one.get("allValue") == (None if not several else ".*" if name == "group" else ".+")
    used = {board: json.dumps([MODELS[board]["panels"], MODELS[board]["templating"]]) for board in MODELS}
    for board in MODELS:
        for name in variables(board):
            assert re.search(rf"\$(\{{{name}\}}|{name}\b)", used[board]), f"{board} does not use {name}"


# ── links ────────────────────────────────────────────────────────────────────────────────────────────────────


def data_links(panel: Json) -> list[Json]:
    found: list[Json] = list(panel["fieldConfig"]["defaults"].get("links", []))
    for override in panel["fieldConfig"]["overrides"]:
        found += [link for setting in override["properties"] if setting["id"] == "links" for link in setting["value"]]
    return found


def test_links_lead_to_a_dashboard_and_to_variables_that_it_has() -> None:
    seen = 0
    for _, panel in PANELS:
        for link in data_links(panel):
            address = urlsplit(link["url"])
            uid = address.path.removeprefix("/d/")
            assert uid in MODELS
            given = dict(parse_qsl(address.query, keep_blank_values=True))
            assert {"var-job", "var-tag", "${datasource:queryparam}", "${instance:queryparam}"} <= set(given)
            assert "${__url_time_range}" in given
            for key in given:
                name = key.removeprefix("var-") if key.startswith("var-") else re.sub(r":\w+|\W", "", key)
                assert name == "__url_time_range" or name in variables(uid), key
            # A row's cells are named as its columns are; a series has labels.
            columns = {
                column
                for step in panel.get("transformations", [])
                for column in step["options"].get("renameByName", {}).values()
            }
            for name in re.findall(r"__data\.fields\.(\w+)", link["url"]):
                assert name in columns
            for label in re.findall(r"__field\.labels\.(\w+)", link["url"]):
                assert panel["type"] != "table"
                assert label in ("job", "tag")
            seen += 1
    assert seen >= 6


def test_whatever_is_told_of_single_monitors_links_to_them() -> None:
    for panel in panels(MODELS[links.OVERVIEW]):
        legends = {target["legendFormat"] for target in panel["targets"]}
        tables = panel["type"] == "table"
        assert bool(data_links(panel)) == (tables or "{{tag}}" in legends), panel["title"]


def test_every_dashboard_lists_the_others() -> None:
    for model in MODELS.values():
        (listing,) = model["links"]
        assert listing["type"] == "dashboards"
        assert listing["tags"] == [links.TAG]
        assert listing["keepTime"]
        assert listing["includeVars"]


# ── statuses ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_statuses_are_the_exporters() -> None:
    assert set(statuses.CODES) == set(statuses.COLOURS) == set(Status)
    assert statuses.IN_ORDER == URGENCY
    assert len(set(statuses.CODES.values())) == len(Status)
    assert sorted(statuses.CODES, key=statuses.CODES.__getitem__, reverse=True)[:3] == list(statuses.WRONG)


def test_every_status_is_one_colour_and_one_word_wherever_it_is_shown() -> None:
    shown = 0
    for _, panel in PANELS:
        fields = [panel["fieldConfig"]["defaults"], *(one["fieldConfig"]["defaults"] for one in overridden(panel))]
        for mapping in (mapping for field in fields for mapping in field.get("mappings", [])):
            words = {option["text"]: option["color"] for option in mapping["options"].values()}
            for status in Status:
                if status.value in words:
                    assert words.keys() == {one.value for one in Status}
                    assert words[status.value] == statuses.COLOURS[status]
                    shown += 1
    assert shown


_TO_LMS = (
    (0.31399022, 0.63951294, 0.04649755),
    (0.15537241, 0.75789446, 0.08670142),
    (0.01775239, 0.10944209, 0.87256922),
)
_FROM_LMS = (
    (5.47221206, -4.6419601, 0.16963708),
    (-1.1252419, 2.29317094, -0.1678952),
    (0.02980165, -0.19318073, 1.16364789),
)
_SIGHT = {
    "full": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0, 1.05118294, -0.05116099), (0, 1, 0), (0, 0, 1)),
    "deuteranopia": ((1, 0, 0), (0.9513092, 0, 0.04866992), (0, 0, 1)),
    "tritanopia": ((1, 0, 0), (0, 1, 0), (-0.86744736, 1.86727089, 0)),
}
_TO_XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
_WHITE = (0.9505, 1.0, 1.089)


def times(matrix: tuple[tuple[float, ...], ...], vector: list[float]) -> list[float]:
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


def seen_by(sight: str, colour: str) -> list[float]:
    """CIE L*a*b* of the colour as that sight sees it (Viénot's model, in linear light)."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    seen = times(_FROM_LMS, times(_SIGHT[sight], times(_TO_LMS, linear)))
    xyz = times(_TO_XYZ, [min(max(c, 0.0), 1.0) for c in seen])
    x, y, z = (
        t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116
        for t in (a / b for a, b in zip(xyz, _WHITE, strict=True))
    )
    return [116 * y - 16, 500 * (x - y), 200 * (y - z)]


@pytest.mark.parametrize("sight", _SIGHT)
def test_the_colours_differ_for_everybody(sight: str) -> None:
    """By 20 of L*a*b* at least; 2 to 3 is what an eye can just tell apart side by side."""
    for one, other in itertools.combinations(Status, 2):
        a, b = (seen_by(sight, statuses.COLOURS[status]) for status in (one, other))
        distance = sum((p - q) ** 2 for p, q in zip(a, b, strict=True)) ** 0.5
        assert distance >= 20, f"{one.value} and {other.value} with {sight}: {distance:.0f}"


# ── provisioning ─────────────────────────────────────────────────────────────────────────────────────────────


def provisioned(kind: str) -> Json:
    (file,) = (FOLDER / "provisioning" / kind).glob("*.yml")
    found: Json = YAML(typ="safe").load(file)
    assert found["apiVersion"] == 1
    return found


def test_provisioning() -> None:
    (provider,) = provisioned("dashboards")["providers"]
    assert provider["type"] == "file"
    assert provider["allowUiUpdates"] is False
    assert f"/{provider['options']['path'].strip('/')}/" in (ROOT / "docs" / "grafana.md").read_text()
    (source,) = provisioned("datasources")["datasources"]
    assert source["type"] == MODELS[links.OVERVIEW]["templating"]["list"][0]["query"] == "prometheus"
    assert source["uid"]
    assert source["access"] == "proxy"
    assert source["jsonData"]["timeInterval"] in (ROOT / "docs" / "metrics.md").read_text()


def test_the_document_names_them_and_their_variables() -> None:
    document = (ROOT / "docs" / "grafana.md").read_text()
    for board, model in MODELS.items():
        assert f"| *{model['title']}* (`{board}`) |" in document
        for name in variables(board):
            assert f"| `{name}` |" in document
    for status in Status:
        assert status.value in document
