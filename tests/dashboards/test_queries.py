"""The dashboards' queries: PromQL of metrics and labels that exist, by the rules of Grafana's dashboard-linter."""

import json
import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest

from dashboards.source import links
from exporter.metrics.exposition.families import FAMILIES
from tests.docs.test_metrics import shipped
from tests.metrics.test_telemetry import exercised
from tests.support.dashboards import MODELS, PANELS, QUERIES, Json, Query, name_of, panels, selectors, walk
from tests.support.tools import run_tool

METRICS = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
SCRAPED = {"job", "instance"}
"""Labels that Prometheus adds."""
AGGREGATED = ("rate", "irate", "increase")
UNITS = {"bytes", "cpm", "dateTimeFromNow", "none", "percentunit", "reqps", "s", "short"}
"""Grafana's units that we use."""


def existing() -> dict[str, tuple[str, set[str]]]:
    """Name → (type, labels) of all that the exporter exposes; of histograms the three sample names."""
    found: dict[str, tuple[str, set[str]]] = {}
    of_monitors = {family.sample_name for family in FAMILIES}
    for name, (kind, labels) in shipped().items():
        of_a_monitor = name in of_monitors or name == "heartbeat_alert_firing"
        found[name] = (kind, labels | ({"tag"} if of_a_monitor else set()))
    for name, metric in exercised().families().items():
        if name.startswith("process_"):
            found[name] = (metric.type, set())
    for name, (kind, labels) in list(found.items()):
        if kind == "histogram":
            found |= {
                f"{name}_bucket": (kind, labels | {"le"}),
                f"{name}_sum": (kind, labels),
                f"{name}_count": (kind, labels),
            }
    return found


EXISTING = existing()


def labels_of(tree: promql_parser.Expr) -> set[str]:
    """All labels of the metrics in it."""
    return SCRAPED | {label for name, _, _ in selectors(tree) for label in EXISTING[name][1]}


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_metrics_and_labels_exist(query: Query) -> None:
    names = query.metrics()
    assert names
    assert names <= EXISTING.keys()
    for name, matchers, _ in selectors(query.tree()):
        for label, _, _ in matchers:
            assert label in EXISTING[name][1] | SCRAPED, f"{name} has no {label}"
    for node, _ in walk(query.tree()):
        for label in named_labels(node):
            assert label in labels_of(query.tree()), label
    for label in re.findall(r"\{\{(\w+)\}\}", query.legend):
        assert label in labels_of(query.tree()), f"{label} in the legend"


def named_labels(node: Any) -> list[str]:
    """In by, on and group_left."""
    modifier = getattr(node, "modifier", None)
    if isinstance(node, promql_parser.AggregateExpr) and modifier is not None:
        return list(modifier.labels)
    if isinstance(node, promql_parser.BinaryExpr) and modifier is not None:
        groups = [modifier.matching.labels] if modifier.matching else []
        return [label for group in (*groups, modifier.group_labels or []) for label in group]
    return []


def test_every_metric_of_monitors_and_of_ourselves_is_somewhere() -> None:
    """The document of the metrics gives the reason for each that no dashboard shows."""
    rows = re.findall(r"^\| `(\w+)` .*; not on the dashboards, which show [^|]+ \|$", METRICS, re.MULTILINE)
    used = {name for query in QUERIES for name in query.metrics()}
    assert shipped().keys() - used == set(rows)


@pytest.mark.parametrize("board", MODELS)
def test_variables_ask_for_labels_that_exist(board: str) -> None:
    for variable in MODELS[board]["templating"]["list"]:
        if variable["type"] == "query":
            selector, label = label_values(variable["query"])
            ((name, matchers, _),) = selectors(promql_parser.parse(selector))
            known = EXISTING[name][1] | SCRAPED
            assert label in known
            assert {one for one, _, _ in matchers} <= known


def label_values(query: str) -> tuple[str, str]:
    found = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
    assert found, query
    return found[1], found[2]


def test_promtool_understands_every_query(tmp_path: Path) -> None:
    rules = [{"record": f"query:{number}", "expr": query.interpolated()} for number, query in enumerate(QUERIES)]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "dashboards", "rules": rules}]}))
    run_tool("promtool", "check", "rules", str(tmp_path / "rules.yml"))


# ── the rules of dashboard-linter, by their names there; there are no exceptions ─────────────────────────────


@pytest.mark.parametrize("board", MODELS)
def test_template_datasource_rule(board: str) -> None:
    (source,) = (one for one in MODELS[board]["templating"]["list"] if one["type"] == "datasource")
    assert (source["name"], source["label"], source["query"]) == ("datasource", "Data source", "prometheus")


@pytest.mark.parametrize("board", MODELS)
@pytest.mark.parametrize("name", ["job", "instance"])
def test_template_job_and_instance_rules(board: str, name: str) -> None:
    (one,) = (one for one in MODELS[board]["templating"]["list"] if one["name"] == name)
    assert one["type"] == "query"
    assert one["datasource"]["uid"] == "${datasource}"
    assert one["label"] == name.title()
    assert one["multi"]
    assert one["allValue"] == ".+"


@pytest.mark.parametrize("board", MODELS)
def test_template_label_promql_rule(board: str) -> None:
    for variable in MODELS[board]["templating"]["list"]:
        if variable["type"] == "query":
            promql_parser.parse(label_values(variable["query"])[0])


@pytest.mark.parametrize("board", MODELS)
def test_template_on_time_change_reload_rule(board: str) -> None:
    assert all(one["refresh"] == 2 for one in MODELS[board]["templating"]["list"] if one["type"] == "query")


@pytest.mark.parametrize("board", MODELS)
def test_uneditable_dashboard_rule(board: str) -> None:
    assert MODELS[board]["editable"] is False


@pytest.mark.parametrize(("board", "panel"), PANELS, ids=name_of)
def test_panel_rules(board: str, panel: Json) -> None:
    """panel-datasource, panel-title-description, panel-units and panel-no-targets, of every kind of panel."""
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])
    assert panel["title"]
    assert panel["description"]
    assert panel["targets"]
    units = [panel["fieldConfig"]["defaults"]["unit"]]
    for override in panel["fieldConfig"]["overrides"]:
        units += [setting["value"] for setting in override["properties"] if setting["id"] == "unit"]
    assert set(units) <= UNITS


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_target_job_and_instance_rules(query: Query) -> None:
    for name, matchers, _ in selectors(query.tree()):
        for label in ("job", "instance"):
            assert (label, "MatchOp.Re", f"${label}") in matchers, name


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_target_rate_interval_and_counter_and_histogram_rules(query: Query) -> None:
    """Counters only within rate, irate or increase; rates over $__rate_interval; buckets only within a quantile."""
    for call in re.findall(r"\b(?:rate|irate)\(.*?\[(.*?)\]", query.expr):
        assert call == "$__rate_interval"
    for name, _, above in selectors(query.tree()):
        if name.endswith("_total"):
            assert isinstance(above[-1], promql_parser.MatrixSelector)
            assert above[-2].func.name in AGGREGATED
        if name.endswith("_bucket"):
            functions = [node.func.name for node in above if isinstance(node, promql_parser.Call)]
            assert "histogram_quantile" in functions


# ── our own ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_what_is_told_of_monitors_is_told_once_whatever_the_number_of_replicas(query: Query) -> None:
    """Every metric of a monitor is within an aggregation that leaves `instance` out, or only says which monitors."""
    of_monitors = {name for name, (_, labels) in EXISTING.items() if "tag" in labels}
    for name, _, above in selectors(query.tree()):
        if name in of_monitors:
            merged = any(
                isinstance(node, promql_parser.AggregateExpr)
                and (node.modifier is None or "instance" not in node.modifier.labels)
                for node in above
            )
            only_chooses = any(isinstance(node, promql_parser.BinaryExpr) and str(node.op) == "and" for node in above)
            assert merged or (name == "heartbeat_info" and only_chooses), name


def test_the_overview_heeds_every_variable_and_the_detail_names_one_tag() -> None:
    free = {"Open incidents": "the gauge counts incidents, which know no group"}
    for query in QUERIES:
        if query.board == links.OVERVIEW and query.title not in free:
            assert 'group=~"$group"' in query.expr, query
            assert 'tag=~"$tag"' in query.expr, query
        if query.board == links.DETAIL:
            assert 'tag="$tag"' in query.expr, query


def test_zero_is_shown_only_while_a_replica_answers() -> None:
    """`or vector(0)` would say that all is well when nobody is there to tell; only the count of replicas may."""
    for query in QUERIES:
        if "vector(" in query.expr:
            assert query.title == "Replicas"


def test_panels_of_one_title_are_one_question() -> None:
    for board in MODELS:
        kinds = {panel["title"]: panel["type"] for panel in panels(MODELS[board])}
        assert len(kinds) == len(panels(MODELS[board]))
