"""The dashboards against a real Prometheus that scrapes replicas, monitors in every status, and one exporter more.

Every query and every variable returns something, and what the panels would say is right.
"""

import math
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import promql_parser
import pytest

from dashboards.source import links
from exporter.core.runtimes import MIN_RUNS
from exporter.core.status import Status
from tests.live.conftest import FAR_HOUR, SECRET, Service, eventually, fetch
from tests.live.test_prometheus import Prometheus
from tests.support.dashboards import MODELS, QUERIES, Json, Query, interpolate, panels, queries
from tests.support.receivers import Receiver, answer

pytestmark = pytest.mark.live
CONFIG = f"""
after_outage: strict  # the database is locked below for long enough to be a blackout, and moments are to be exact
monitors:
  - {{tag: up, name: Up and running, secret: {SECRET}, group: shop}}
  - {{tag: nightly, name: Nightly backup, secret: {SECRET}, group: shop,
      schedule: "0 {FAR_HOUR} * * *", timezone: Europe/Rome}}
  - {{tag: failed, secret: {SECRET}, group: mail}}
  - {{tag: late, secret: {SECRET}, degraded_after: 1s, down_after: 1h, group: mail}}
  - {{tag: missed, secret: {SECRET}, degraded_after: 0s, down_after: 1500ms}}
  - {{tag: overrun, secret: {SECRET}, max_runtime: 1s}}
  - {{tag: new, secret: {SECRET}, group: shop}}
  - {{tag: resting, secret: {SECRET}, paused: true}}
"""
ALERTS = """
alerts:
  - {name: down, when: [DOWN], severity: critical, create_incident: true, notify: [ops, gone]}
  - {name: late, when: [DEGRADED], severity: warning, notify: [ops, slow]}
notifiers:
  - {name: ops, type: webhook, url: "%s", group_wait: 0s}
  - {name: gone, type: webhook, url: "%s", group_wait: 0s, give_up_after: 1s}
  - {name: slow, type: webhook, url: "%s", group_wait: 0s}
"""
STATUSES = {
    "up": "UP",
    "nightly": "UP",
    "failed": "DOWN",
    "late": "DEGRADED",
    "missed": "DOWN",
    "overrun": "DOWN",
    "new": "NO_DATA",
    "resting": "PAUSED",
}
GROUPS = {"shop": {"up", "nightly", "new"}, "mail": {"failed", "late"}}
OF_BOTH = "up"
"""The other exporter has a monitor of this tag too; there it is new."""
HERE = {"job": "heartbeat", "__rate_interval": "1m", "__range": "5m"}
"""One exporter chosen, as one would in Grafana when there are two."""
FREE = {**HERE, "job": ".+", "instance": ".+", "group": ".*"}
"""All of everything."""
SPAN = 120
"""Seconds that range queries cover."""


class Fleet:
    """The processes."""

    def __init__(self, folder: Path, others: Path, ops: Receiver, gone: Receiver) -> None:
        config = CONFIG + ALERTS % (ops.url, gone.url, gone.url)
        self.replicas = [Service(folder, config, name) for name in ("one", "two")]
        self.replicas[0].ready()
        self.other = Service(others, f"monitors: [{{tag: {OF_BOTH}, secret: {SECRET}}}]", "other")
        for service in (self.replicas[1], self.other):
            service.ready()
        self.prometheus: Prometheus | None = None

    def beat(self) -> None:
        """Whatever jobs do, once, and what goes wrong on the way."""
        one, two = self.replicas
        for tag in ("up", "nightly", "late", "missed", "overrun", "resting"):
            one.ping(tag, "/start")
            two.ping(tag)
        one.ping("failed", "/start")
        two.ping("failed", "/7")
        one.ping("overrun", "/start")
        for _ in range(MIN_RUNS):
            one.ping("up", "/start")
            two.ping("up")
        assert one.ping("up", secret="wrong-secret").status == 404
        assert one.ping("nobody").status == 404
        self.refuse()

    def refuse(self) -> None:
        """The database takes nothing for a while."""
        file = self.replicas[0].storage.removeprefix("sqlite:///")
        with closing(sqlite3.connect(file, isolation_level=None, timeout=10)) as held:
            held.execute("BEGIN EXCLUSIVE")
            for service in self.replicas:
                assert service.ping("up").status == 503
            held.execute("ROLLBACK")
        for service in self.replicas:
            eventually(lambda service=service: fetch(f"{service.url}/-/ready").status == 200)

    def close(self) -> None:
        for service in (*self.replicas, self.other):
            service.kill()
        if self.prometheus is not None:
            self.prometheus.stop()


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    yield from scraped(tmp_path_factory, Prometheus)


def scraped(tmp_path_factory: pytest.TempPathFactory, kind: type[Prometheus]) -> Iterator[Prometheus]:
    """Scraped between the first and the second round of heartbeats, so that every counter has been seen to grow."""
    folders = [tmp_path_factory.mktemp(name) for name in ("replicas", "other")]
    with Receiver() as ops, Receiver(answer(503)) as gone, closing(Fleet(*folders, ops, gone)) as fleet:
        fleet.beat()
        targets = [service.url.removeprefix("http://") for service in fleet.replicas]
        other = fleet.other.url.removeprefix("http://")
        prometheus = fleet.prometheus = kind(tmp_path_factory.mktemp("tsdb"), *targets, other=other)
        eventually(lambda: len(prometheus.query("heartbeat_exporter_storage_errors_total")) >= 1)
        eventually(lambda: prometheus.values("sum by (job) (up)", "job") == {"heartbeat": 2, "other": 1})
        fleet.beat()
        eventually(
            lambda: (
                {
                    tag: status
                    for status in Status
                    for tag, found in prometheus.values(
                        f'min by (tag) (heartbeat_status{{job="heartbeat", status="{status.value}"}})'
                    ).items()
                    if found
                }
                == STATUSES
            )
        )
        eventually(lambda: prometheus.query("increase(heartbeat_failures_total[1m]) > 0"))
        yield prometheus


Series = Mapping[str, str]


def results(prometheus: Prometheus, query: Query, expr: str) -> list[tuple[Series, list[float]]]:
    """Each series' labels and its values that are numbers."""
    if query.instant:
        rows = prometheus.ask("query", query=expr)["result"]
        found = [(row["metric"], [float(row["value"][1])]) for row in rows]
    else:
        now = time.time()
        rows = prometheus.ask("query_range", query=expr, start=now - SPAN, end=now, step=1)["result"]
        found = [(row["metric"], [float(value) for _, value in row["values"]]) for row in rows]
    kept = [(labels, [value for value in values if math.isfinite(value)]) for labels, values in found]
    return [(labels, values) for labels, values in kept if values]


def without_fallback(expr: str) -> str | None:
    """What is left of `… or on () 0`, if the query has that."""
    tree = promql_parser.parse(expr)
    if isinstance(tree, promql_parser.BinaryExpr) and str(tree.op) == "or" and "build_info" in str(tree.rhs):
        return str(tree.lhs)
    return None


def choices(query: Query) -> list[str]:
    """Tags to open the detail with; All elsewhere."""
    return list(STATUSES) if query.board == links.DETAIL else [".+"]


def interpolations(query: Query) -> list[str]:
    """With all of everything chosen; a detail with each monitor in turn."""
    tags = list(STATUSES) if query.board == links.DETAIL else [".+"]
    return [query.interpolated(**FREE, tag=tag) for tag in tags]


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_every_query_returns_something(prometheus: Prometheus, query: Query) -> None:
    """By itself: a promised zero does not count. What a legend names is there too."""
    exprs = [without_fallback(expr) or expr for expr in interpolations(query)]
    found = eventually(lambda: [one for expr in exprs for one in results(prometheus, query, expr)])
    for label in re.findall(r"\{\{(\w+)\}\}", query.legend):
        assert all(labels.get(label) for labels, _ in found), label  # type: ignore[attr-defined]


@pytest.mark.parametrize("query", [one for one in QUERIES if without_fallback(one.interpolated())], ids=str)
def test_a_promised_zero_is_shown(prometheus: Prometheus, query: Query) -> None:
    """With the labels of the legend, when there is nothing to tell."""
    for expr in interpolations(query):
        gone = re.sub(r"heartbeat_(?!exporter_build_info|info)", "heartbeat_nothing_", expr)
        ((labels, values),) = results(prometheus, query, gone)
        assert set(values) == {0}
        assert labels.keys() == set(re.findall(r"\{\{(\w+)\}\}", query.legend))


@pytest.mark.parametrize("board", MODELS)
def test_every_variable_has_values(prometheus: Prometheus, board: str) -> None:
    wanted: dict[str, set[str]] = {
        "job": {"heartbeat", "other"},
        "group": set(GROUPS),
        "tag": set(STATUSES),
    }
    for variable in MODELS[board]["templating"]["list"]:
        if variable["type"] == "query":
            found = label_values(prometheus, variable, FREE)
            assert found == wanted.get(variable["name"], found)
            assert variable["name"] != "instance" or len(found) == 3


def label_values(prometheus: Prometheus, variable: Json, values: dict[str, str]) -> set[str]:
    asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
    assert asked
    return set(prometheus.ask(f"label/{asked[2]}/values", **{"match[]": interpolate(asked[1], values)}))


def test_variables_narrow_each_other_down(prometheus: Prometheus) -> None:
    tag = next(one for one in MODELS[links.DETAIL]["templating"]["list"] if one["name"] == "tag")
    assert label_values(prometheus, tag, {**FREE, "group": "shop"}) == GROUPS["shop"]
    assert label_values(prometheus, tag, {**FREE, "job": "other"}) == {OF_BOTH}


# ── what the panels say ──────────────────────────────────────────────────────────────────────────────────────


def panel(board: str, title: str) -> Json:
    return next(one for one in panels(MODELS[board]) if one["title"] == title)


def asked(prometheus: Prometheus, board: str, title: str, ref: str = "A", **values: str) -> dict[str, float]:
    """Each series' last value by tag, or by the legend where no tag is told."""
    query = next(one for one in queries(board) if (one.title, one.ref) == (title, ref))
    expr = interpolate(query.expr, {**FREE, **HERE, "tag": ".+", **values})
    found = {labels.get("tag", query.legend): values_[-1] for labels, values_ in results(prometheus, query, expr)}
    return found


def tiles(prometheus: Prometheus, **values: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for target in panel(links.OVERVIEW, "Monitors by status")["targets"]:
        found |= asked(prometheus, links.OVERVIEW, "Monitors by status", target["refId"], **values)
    return found


def test_the_tiles_count_every_monitor_once_though_two_replicas_tell(prometheus: Prometheus) -> None:
    told = list(STATUSES.values())
    assert tiles(prometheus) == {status.value: told.count(status.value) for status in Status}
    everywhere = tiles(prometheus, job=".+")
    assert everywhere["NO_DATA"] == told.count("NO_DATA") + 1, "the other exporter's is another monitor"
    assert sum(everywhere.values()) == len(STATUSES) + 1
    one = prometheus.ask("label/instance/values", **{"match[]": 'heartbeat_info{job="heartbeat"}'})[0]
    assert tiles(prometheus, instance=re.escape(one).replace("\\", "\\\\")) == tiles(prometheus)


def test_groups_and_tags_narrow_the_overview_down(prometheus: Prometheus) -> None:
    for group, tags in GROUPS.items():
        assert asked(prometheus, links.OVERVIEW, "Status of every monitor", group=group).keys() == tags
        assert sum(tiles(prometheus, group=group).values()) == len(tags)
    assert asked(prometheus, links.OVERVIEW, "Status of every monitor", tag="up|late").keys() == {"up", "late"}


def test_what_is_wrong(prometheus: Prometheus) -> None:
    def ask(ref: str, **values: str) -> dict[str, float]:
        return asked(prometheus, links.OVERVIEW, "What is wrong now", ref, **values)

    wrong = {tag for tag, status in STATUSES.items() if status in ("DOWN", "DEGRADED", "NO_DATA")}
    codes = {"DOWN": 6, "DEGRADED": 5, "NO_DATA": 4}
    assert ask("A") == {tag: codes[STATUSES[tag]] for tag in wrong}
    late = ask("B")
    assert late.keys() == wrong - {"new", "failed"}, "what never succeeded is due at no time"
    assert late["missed"] > 1.5
    assert ask("C").keys() == wrong
    assert ask("D").keys() == late.keys()
    assert ask("E")["failed"] == 7
    assert ask("A", group="mail").keys() == GROUPS["mail"]
    rows = prometheus.query(
        interpolate(panel(links.OVERVIEW, "What is wrong now")["targets"][0]["expr"], {**FREE, "tag": "late"})
    )
    assert rows[0]["metric"] == {"job": "heartbeat", "tag": "late", "name": "late", "group": "mail"}


def test_the_way_to_down_is_half_gone_where_degraded_begins(prometheus: Prometheus) -> None:
    way = asked(prometheus, links.OVERVIEW, "Closest to DOWN now")
    assert way["missed"] == 1
    assert 0.5 < way["late"] < 0.6
    assert 0 < way["up"] < 0.5
    assert way["nightly"] == 0
    assert not {"resting", "new"} & way.keys()


def test_uptime_is_of_the_time_that_was_judged(prometheus: Prometheus) -> None:
    found = asked(prometheus, links.OVERVIEW, "Lowest uptime")
    assert not {"new", "resting"} & found.keys()
    assert found["up"] == found["nightly"] == 1
    assert 0 < found["missed"] < 1
    assert found["failed"] == 0
    fleet = asked(prometheus, links.OVERVIEW, "Uptime")["uptime"]
    assert 0.3 < fleet < 1
    shares = {
        target["legendFormat"]: asked(prometheus, links.DETAIL, "Time in each status", target["refId"], tag="missed")
        for target in panel(links.DETAIL, "Time in each status")["targets"]
    }
    assert sum(share["missed"] for share in shares.values()) == pytest.approx(1)
    assert shares["DOWN"]["missed"] == pytest.approx(1 - found["missed"], abs=0.1)


def test_the_age_meets_its_thresholds_where_the_status_changes(prometheus: Prometheus) -> None:
    def ask(ref: str, tag: str) -> float:
        return asked(prometheus, links.DETAIL, "Age against both thresholds", ref, tag=tag)[tag]

    assert ask("A", "late") > ask("B", "late") == pytest.approx(1, abs=0.01)
    assert ask("C", "late") == pytest.approx(3600, abs=0.01)
    assert ask("B", "nightly") > 300, "its schedule counts from the next night"
    assert ask("C", "nightly") - ask("B", "nightly") == pytest.approx(300, abs=0.01)


def test_transitions_are_marked_at_their_exact_moments(prometheus: Prometheus) -> None:
    query = next(one for one in queries(links.DETAIL) if one.title == "became DOWN")
    ((labels, moments),) = results(prometheus, query, interpolate(query.expr, {**FREE, **HERE, "tag": "missed"}))
    assert labels == {"job": "heartbeat", "tag": "missed", "status": "DOWN"}
    success = prometheus.values('max by (tag) (heartbeat_last_success_timestamp_seconds{tag="missed"})')["missed"]
    assert moments[-1] == pytest.approx(1000 * success + 1501, abs=1)
    assert len(set(moments)) == 2, "it was DOWN twice"


def test_alerts_are_listed_with_their_monitors_and_counted_once(prometheus: Prometheus) -> None:
    down = {tag for tag, status in STATUSES.items() if status == "DOWN"}
    wanted = {("down", "critical", tag) for tag in down} | {("late", "warning", tag) for tag in ("late", "missed")}
    # An alert stays until its monitor is UP, so that of a monitor that became DOWN after being DEGRADED is there too.
    query = next(one for one in queries(links.OVERVIEW) if one.title == "Alerts")
    found = results(prometheus, query, query.interpolated(**FREE))
    assert {(labels["alert"], labels["severity"], labels["tag"]) for labels, _ in found} == wanted
    assert asked(prometheus, links.OVERVIEW, "Alerts firing") == {"firing": len(wanted)}
    assert asked(prometheus, links.OVERVIEW, "Alerts firing", group="mail") == {"firing": 2}
    assert asked(prometheus, links.OVERVIEW, "Open incidents") == {"open": len(down)}
    assert asked(prometheus, links.DETAIL, "Alerts firing", tag="late") == {"firing": 1}
    assert asked(prometheus, links.DETAIL, "Alerts firing", tag="up") == {"firing": 0}


def test_it_is_said_why(prometheus: Prometheus) -> None:
    wanted = {"failed": "failed", "late": "late", "missed": "missed", "overrun": "overrun", "new": "never_received"}
    query = next(one for one in queries(links.OVERVIEW) if (one.title, one.ref) == ("What is wrong now", "F"))
    found = results(prometheus, query, query.interpolated(**HERE))
    assert {labels["tag"]: labels["reason"] for labels, _ in found} == wanted


def test_what_cannot_be_delivered_is_seen(prometheus: Prometheus) -> None:
    assert asked(prometheus, links.SERVICE, "Notifications waiting")["waiting"] >= 1
    assert asked(prometheus, links.SERVICE, "Notifications given up")["given up"] >= 1
    assert asked(prometheus, links.SERVICE, "Evaluation delay")["ago"] < 10


def test_replicas_are_seen_apart_on_the_exporters_own_page(prometheus: Prometheus) -> None:
    assert asked(prometheus, links.SERVICE, "Replicas") == {"replicas": 2}
    assert asked(prometheus, links.SERVICE, "Evaluating") == {"evaluating": 1}
    for ref in ("A", "B", "C", "G"):
        query = next(one for one in queries(links.SERVICE) if (one.title, one.ref) == ("Replicas in detail", ref))
        found = results(prometheus, query, interpolate(query.expr, FREE))
        assert len({labels["instance"] for labels, _ in found}) == len(found) == 3
    query = next(one for one in queries(links.SERVICE) if one.title == "Memory")
    jobs = {labels["job"] for labels, _ in results(prometheus, query, interpolate(query.expr, FREE))}
    assert jobs == {"heartbeat", "other"}


def test_nothing_is_green_when_nobody_answers(prometheus: Prometheus) -> None:
    """With a job that does not exist every panel is empty, but for the count of replicas, which is 0."""
    for query in QUERIES:
        found = results(prometheus, query, interpolate(query.expr, {**FREE, "job": "gone", "tag": "up"}))
        assert [values for _, values in found] == ([[0.0]] if query.title == "Replicas" else []), query
