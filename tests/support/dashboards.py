"""The shipped dashboards as tests read them: panels, queries, and what Grafana would put in place of its variables."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser

Json = dict[str, Any]
ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "dashboards"
FILES = sorted(FOLDER.glob("*.json"))
MODELS: dict[str, Json] = {file.stem: json.loads(file.read_text()) for file in FILES}
EVERYTHING = {
    "job": ".+",
    "instance": ".+",
    "group": ".*",
    "tag": ".+",
    "__rate_interval": "4m",
    "__range": "1d",
}
"""What the variables stand for while All is chosen; the times are any that PromQL can read."""


@dataclass(frozen=True)
class Query:
    """One target of a panel, or the query of an annotation."""

    board: str
    title: str
    ref: str
    expr: str
    instant: bool
    legend: str

    def __str__(self) -> str:
        return f"{self.board}: {self.title}: {self.ref}"

    def interpolated(self, **values: str) -> str:
        return interpolate(self.expr, {**EVERYTHING, **values})

    def tree(self) -> promql_parser.Expr:
        """With the variables in its matchers as they are; those that are times PromQL could not read."""
        return promql_parser.parse(re.sub(r"\$__\w+", lambda found: EVERYTHING[found[0][1:]], self.expr))

    def metrics(self) -> set[str]:
        """Families; a histogram's without `_bucket` and the like."""
        return {re.sub("_(bucket|sum|count)$", "", name) for name, _, _ in selectors(self.tree())}


def interpolate(expr: str, values: dict[str, str]) -> str:
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], expr)


def panels(model: Json) -> list[Json]:
    """Without the headings."""
    return [panel for panel in model["panels"] if panel["type"] != "row"]


def queries(board: str) -> list[Query]:
    """Of the panels and the annotations."""
    model = MODELS[board]
    found = [
        Query(board, panel["title"], target["refId"], target["expr"], target["instant"], target["legendFormat"])
        for panel in panels(model)
        for target in panel["targets"]
    ]
    for mark in model["annotations"]["list"]:
        found.append(Query(board, mark["name"], "annotation", mark["expr"], False, mark["textFormat"]))
    return found


QUERIES = [query for board in MODELS for query in queries(board)]
PANELS = [(board, panel) for board, model in MODELS.items() for panel in panels(model)]


def name_of(value: object) -> str:
    """A parameter's name in pytest's output."""
    return value["title"] if isinstance(value, dict) else str(value)


def walk(tree: promql_parser.Expr) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Every node with its parents, the nearest last."""
    parents: list[Any] = []
    found: list[tuple[Any, tuple[Any, ...]]] = []

    def enter(node: Any) -> bool:
        found.append((node, tuple(parents)))
        if isinstance(node, promql_parser.MatrixSelector):
            found.append((node.vector_selector, (*parents, node)))
        parents.append(node)
        return True

    def leave(_: Any) -> bool:
        parents.pop()
        return True

    promql_parser.walk(tree, enter, leave)
    seen = set()
    for node, above in found:
        # Whether the parser itself goes on from a range to what it is a range of is its own affair.
        key = (str(node), tuple(map(str, above)))
        if key not in seen:
            seen.add(key)
            yield node, above


def selectors(tree: promql_parser.Expr) -> Iterator[tuple[str, list[tuple[str, str, str]], tuple[Any, ...]]]:
    """Every selector's metric, its matchers (label, operator, value) and its parents."""
    for node, above in walk(tree):
        if isinstance(node, promql_parser.VectorSelector):
            matchers = [(one.name, str(one.op), one.value) for one in node.matchers.matchers]
            yield str(node.name), matchers, above
