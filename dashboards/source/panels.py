"""Panels: the classic model's JSON, with every default that matters spelled out.

Each takes a title, a description for the person on call, its queries and what an empty one shows.
"""

from dataclasses import dataclass, replace
from typing import Any

from dashboards.source.statuses import QUIET

Json = dict[str, Any]
PLUGIN_VERSION = "13.2.2"
"""Of the panels' model; without one Grafana would take the panels for those of version 6 and migrate them."""
DATA_SOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True)
class Query:
    """One target. A range query for lines; an instant one for what is now, and for what is over the whole range."""

    expr: str
    legend: str = "__auto"
    instant: bool = False
    table: bool = False

    def target(self, ref: str) -> Json:
        return {
            "refId": ref,
            "datasource": DATA_SOURCE,
            "editorMode": "code",
            "expr": self.expr,
            "legendFormat": self.legend,
            "instant": self.instant,
            "range": not self.instant,
            "format": "table" if self.table else "time_series",
            "exemplar": False,
        }


def now(expr: str, legend: str = "__auto") -> Query:
    return Query(expr, legend, instant=True)


def rows(expr: str) -> Query:
    """For a table."""
    return Query(expr, instant=True, table=True)


def steps(base: str = QUIET, *above: tuple[float, str]) -> Json:
    """Thresholds: a colour, and from which value on which other."""
    return {
        "mode": "absolute",
        "steps": [{"color": base, "value": None}, *({"color": colour, "value": value} for value, colour in above)],
    }


@dataclass(frozen=True)
class Field:
    """How values are shown."""

    unit: str
    empty: str
    """What a panel without data says."""
    thresholds: Json
    decimals: int | None = None
    min: float | None = None
    max: float | None = None
    mappings: tuple[Json, ...] = ()
    links: tuple[Json, ...] = ()
    fixed: str | None = None
    """One colour for all, not that of the thresholds."""
    palette: bool = False
    """A colour for each series."""

    def defaults(self, custom: Json | None = None) -> Json:
        colour: Json = {"mode": "palette-classic-by-name" if self.palette else "thresholds"}
        if self.fixed:
            colour = {"mode": "fixed", "fixedColor": self.fixed}
        found: Json = {
            "unit": self.unit,
            "noValue": self.empty,
            "color": colour,
            "thresholds": self.thresholds,
            "mappings": list(self.mappings),
        }
        for key in ("decimals", "min", "max"):
            if (value := getattr(self, key)) is not None:
                found[key] = value
        if self.links:
            found["links"] = list(self.links)
        if custom is not None:
            found["custom"] = custom
        return found


def override(name: str, **properties: Any) -> Json:
    """For the series or column of this name; `custom__width` is `custom.width`."""
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": key.replace("__", "."), "value": value} for key, value in properties.items()],
    }


def painted(name: str, colour: str, **properties: Any) -> Json:
    """A series with a colour of its own."""
    return override(name, color={"mode": "fixed", "fixedColor": colour}, **properties)


@dataclass(frozen=True)
class Panel:
    """A panel without its place."""

    kind: str
    title: str
    description: str
    queries: tuple[Query, ...]
    field: Field
    options: Json
    custom: Json | None = None
    overrides: tuple[Json, ...] = ()
    transformations: tuple[Json, ...] = ()
    max_points: int | None = None

    def model(self) -> Json:
        found: Json = {
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": DATA_SOURCE,
            "pluginVersion": PLUGIN_VERSION,
            "targets": [query.target(chr(ord("A") + index)) for index, query in enumerate(self.queries)],
            "fieldConfig": {"defaults": self.field.defaults(self.custom), "overrides": list(self.overrides)},
            "options": self.options,
        }
        if self.transformations:
            found["transformations"] = list(self.transformations)
        if self.max_points is not None:
            found["maxDataPoints"] = self.max_points
        return found

    def with_overrides(self, *overrides: Json) -> "Panel":
        return replace(self, overrides=(*self.overrides, *overrides))


_REDUCE: Json = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_TOOLTIP: Json = {"mode": "multi", "sort": "desc", "hideZeros": False}


def stat(
    title: str,
    description: str,
    *queries: Query,
    field: Field,
    filled: bool = False,
    names: bool = False,
    overrides: tuple[Json, ...] = (),
) -> Panel:
    """Large numbers: coloured themselves, or on a coloured ground."""
    options: Json = {
        "colorMode": "background" if filled else "value",
        "graphMode": "none",
        "justifyMode": "center",
        "orientation": "vertical" if names else "auto",
        "percentChangeColorMode": "standard",
        "reduceOptions": _REDUCE,
        "showPercentChange": False,
        "textMode": "value_and_name" if names else "value",
        "wideLayout": True,
    }
    return Panel("stat", title, description, queries, field, options, overrides=overrides)


def lines(
    title: str,
    description: str,
    *queries: Query,
    field: Field,
    stacked: bool = False,
    bars: bool = False,
    stepped: bool = False,
    points: bool = False,
    zones: bool = False,
    legend: tuple[str, ...] = ("lastNotNull", "max"),
    beside: bool = False,
    overrides: tuple[Json, ...] = (),
) -> Panel:
    """A time series; `zones` draws the thresholds into it, `beside` is where the legend goes."""
    custom: Json = {
        "drawStyle": "bars" if bars else "line",
        "lineInterpolation": "stepAfter" if stepped else "linear",
        "lineWidth": 1,
        "fillOpacity": 80 if bars else 25 if stacked else 8,
        "gradientMode": "none",
        "showPoints": "always" if points else "never",
        "pointSize": 5,
        "spanNulls": False,
        "insertNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "axisPlacement": "auto",
        "axisLabel": "",
        "axisColorMode": "text",
        "axisBorderShow": False,
        "axisCenteredZero": False,
        "axisSoftMin": 0,
        "scaleDistribution": {"type": "linear"},
        "barAlignment": 0,
        "barWidthFactor": 0.8,
        "hideFrom": {"legend": False, "tooltip": False, "viz": False},
        "thresholdsStyle": {"mode": "dashed+area" if zones else "off"},
    }
    options: Json = {
        "legend": {
            "displayMode": "table",
            "placement": "right" if beside else "bottom",
            "showLegend": True,
            "calcs": list(legend),
            **({"sortBy": "Last *", "sortDesc": True} if "lastNotNull" in legend else {}),
        },
        "tooltip": _TOOLTIP,
    }
    return Panel("timeseries", title, description, queries, field, options, custom, overrides)


def timeline(title: str, description: str, *queries: Query, field: Field, per_page: int = 0) -> Panel:
    """A row of coloured spans for each series."""
    custom: Json = {
        "fillOpacity": 85,
        "lineWidth": 0,
        "hideFrom": {"legend": False, "tooltip": False, "viz": False},
    }
    options: Json = {
        "alignValue": "left",
        "mergeValues": True,
        "rowHeight": 0.85,
        "showValue": "auto",
        "perPage": per_page,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "single", "sort": "none", "hideZeros": False},
    }
    return Panel("state-timeline", title, description, queries, field, options, custom, max_points=300)


def bars(title: str, description: str, *queries: Query, field: Field, overrides: tuple[Json, ...] = ()) -> Panel:
    """A horizontal bar for each series."""
    options: Json = {
        "displayMode": "basic",
        "orientation": "horizontal",
        "reduceOptions": _REDUCE,
        "showUnfilled": True,
        "valueMode": "color",
        "namePlacement": "left",
        "sizing": "auto",
        "minVizWidth": 8,
        "minVizHeight": 14,
        "maxVizHeight": 26,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False, "calcs": []},
    }
    return Panel("bargauge", title, description, queries, field, options, overrides=overrides)


@dataclass(frozen=True)
class Column:
    """Of a table: the field it comes from, what it is called and how it looks."""

    source: str
    title: str
    width: int | None = None
    unit: str | None = None
    cell: Json | None = None
    mappings: tuple[Json, ...] | None = None
    thresholds: Json | None = None
    links: tuple[Json, ...] | None = None
    decimals: int | None = None

    def override(self) -> Json | None:
        wanted = {
            "unit": self.unit,
            "decimals": self.decimals,
            "mappings": list(self.mappings) if self.mappings else None,
            "thresholds": self.thresholds,
            "links": list(self.links) if self.links else None,
            "custom__width": self.width,
            "custom__cellOptions": self.cell,
        }
        found = {key: value for key, value in wanted.items() if value is not None}
        return override(self.title, **found) if found else None


FILLED: Json = {"type": "color-background", "mode": "basic"}
INK: Json = {"type": "color-text"}


def table(
    title: str,
    description: str,
    *queries: Query,
    field: Field,
    columns: tuple[Column, ...],
    hidden: tuple[str, ...] = (),
    sort: tuple[tuple[str, bool], ...] = (),
) -> Panel:
    """One row for each set of labels, with the value of every query beside.

    With one query its value is `Value`; with several they are `Value #A`, `Value #B`, … and the rows are merged.
    `sort` names columns, each with whether it descends.
    """
    single = len(queries) == 1
    organize: Json = {
        "id": "organize",
        "options": {
            "excludeByName": dict.fromkeys(("Time", *hidden), True),
            "includeByName": {},
            "indexByName": {column.source: index for index, column in enumerate(columns)},
            "renameByName": {column.source: column.title for column in columns},
        },
    }
    transformations = (organize,) if single else ({"id": "merge", "options": {}}, organize)
    options: Json = {
        "showHeader": True,
        "cellHeight": "sm",
        "enablePagination": True,
        "frameIndex": 0,
        "sortBy": [{"displayName": column, "desc": descending} for column, descending in sort],
    }
    custom: Json = {"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False, "filterable": True}
    overrides = tuple(found for column in columns if (found := column.override()) is not None)
    return Panel("table", title, description, queries, field, options, custom, overrides, transformations)
