"""A dashboard: variables, annotations and panels laid out in lines on Grafana's grid of 24 columns."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dashboards.source.links import TAG, between
from dashboards.source.panels import DATA_SOURCE, Panel

Json = dict[str, Any]
SCHEMA_VERSION = 42
COLUMNS = 24


@dataclass
class Layout:
    """Places panels from the top down."""

    placed: list[Json] = field(default_factory=list)
    _y: int = 0

    def heading(self, title: str) -> None:
        self._add({"type": "row", "title": title, "collapsed": False, "panels": []}, 0, COLUMNS, 1)
        self._y += 1

    def line(self, height: int, *panels: tuple[int, Panel]) -> None:
        """Side by side, each with its width; they fill the line."""
        x = 0
        for width, panel in panels:
            self._add(panel.model(), x, width, height)
            x += width
        assert x == COLUMNS, f"{panels[0][1].title}: the line is {x} wide"
        self._y += height

    def _add(self, model: Json, x: int, width: int, height: int) -> None:
        place = {"x": x, "y": self._y, "w": width, "h": height}
        self.placed.append({"id": len(self.placed) + 1, "gridPos": place, **model})


def data_source() -> Json:
    return {
        "type": "datasource",
        "name": "datasource",
        "label": "Data source",
        "description": "The Prometheus that scrapes the exporter.",
        "query": "prometheus",
        "regex": "",
        "current": {},
        "options": [],
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "refresh": 1,
        "skipUrlSync": False,
    }


def variable(name: str, description: str, query: str, *, everything: str | None = ".+") -> Json:
    """Values of a label; several may be chosen, or all, as which `everything` stands. Without it, exactly one."""
    several = everything is not None
    return {
        "type": "query",
        "name": name,
        "label": name.title(),
        "description": description,
        "datasource": DATA_SOURCE,
        "query": query,
        "regex": "",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]} if several else {},
        "options": [],
        "hide": 0,
        "includeAll": several,
        **({"allValue": everything} if several else {}),
        "multi": several,
        "refresh": 2,
        "sort": 5,
        "skipUrlSync": False,
    }


def scope(metric: str) -> list[Json]:
    """Data source, job and instance."""
    return [
        data_source(),
        variable("job", "The exporter's name in prometheus.yml.", f"label_values({metric}, job)"),
        variable(
            "instance",
            "Replicas. All replicas report the same monitors, so there is rarely a reason to select one.",
            f'label_values({metric}{{job=~"$job"}}, instance)',
        ),
    ]


def annotation(name: str, colour: str, expr: str, title: str, text: str, *, at_value: bool) -> Json:
    """Marks on every time series: at the moments that are the values, in milliseconds, or while the value is not 0."""
    return {
        "name": name,
        "datasource": DATA_SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": colour,
        "expr": expr,
        "step": "",
        "tagKeys": "",
        "titleFormat": title,
        "textFormat": text,
        "useValueForTime": at_value,
    }


def dashboard(
    uid: str, title: str, description: str, variables: Sequence[Json], layout: Layout, annotations: Sequence[Json] = ()
) -> Json:
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": [TAG],
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "browser",
        "time": {"from": "now-24h", "to": "now"},
        "timepicker": {"refresh_intervals": ["10s", "30s", "1m", "5m", "15m", "1h"]},
        "refresh": "1m",
        "links": between(),
        "annotations": {"list": list(annotations)},
        "templating": {"list": list(variables)},
        "panels": layout.placed,
    }


def render(model: Json) -> str:
    """As it lies in the file."""
    return json.dumps(model, indent=2, ensure_ascii=False) + "\n"
