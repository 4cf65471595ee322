"""Alertmanager's webhook, `POST /api/v1/alertmanager/{tag}/{secret}`: a firing alert is a heartbeat.

It is there for the Watchdog, an alert that always fires: as long as it arrives, Prometheus evaluates and Alertmanager
delivers. Grafana sends the same, and when it cannot evaluate a rule, it fires an alert in the rule's place that says
so: that is the opposite of a heartbeat. Alertmanager drops what is answered with 4xx, and says so in its log and its
metrics; it sends again what is answered with 5xx; and it takes 2xx for delivered. So what we cannot make sense of is a
4xx, and never a silent 200.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from exporter.core.telemetry import RejectReason
from exporter.ingest.body import Body, output_of
from exporter.ingest.built_in import ALERTMANAGER
from exporter.ingest.credentials import Grant
from exporter.ingest.errors import Denied, IngestError, json_error
from exporter.ingest.intake import Beat, Ingest
from exporter.ingest.request import Request
from exporter.ingest.response import Response
from exporter.ingest.routes import Route

READ = 1024 * 1024
"""Bytes of a post that are looked at: about a thousand alerts."""
TAG_LABEL = "heartbeat_tag"
"""The label that distinguishes several Watchdogs, unless the query names another one as `tag_label`."""
_LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_ALERTS = re.compile(r'"alerts"\s*:\s*\[')
_BETWEEN = re.compile(r"[\s,]*")
_NAMED = 3
"""Tags named in a warning; more are counted."""
_NOT_UNDERSTOOD = "this is not what Alertmanager's webhook sends: a JSON object with a list of alerts"
_NOT_WHOLE = "the post did not arrive whole, and what did holds no firing alert: send it again"
_TOO_LONG = (
    "no alert in the first megabyte is firing, and the rest is not read: set send_resolved: false, or max_alerts"
)
_NOT_FIRING = "no alert in it is firing: not a heartbeat"
_GRAFANAS_OWN = ("DatasourceError", "DatasourceNoData")
"""Names under which Grafana fires in place of a rule that it could not evaluate; `rulename` is the rule's own then."""
_UNEVALUATED = frozenset(("Error", "NoData"))
"""In the annotation `grafana_state_reason`: the rule fires because it could not be evaluated."""


class AlertmanagerDialect:
    name = "alertmanager"
    routes: Sequence[Route] = ALERTMANAGER

    async def handle(self, request: Request, ingest: Ingest) -> Response:
        grant, secret = _claim(request, ingest)
        firing, unevaluated = _firing(await request.body(READ))
        warnings = [_of_grafana(unevaluated)] if unevaluated else []
        if not firing:
            return Response.json({"status": "OK", "warning": "; ".join(warnings) or _NOT_FIRING})
        label = _tag_label(request.query, warnings)
        beaten: dict[str, tuple[Grant, list[str]]] = {}
        unknown: set[str] = set()
        for alert in firing:
            labels = _texts(alert, "labels")
            tag = labels.get(label)
            # Without the label, or with one that says nothing, it is the heartbeat of the URL's own monitor.
            named = grant if not isinstance(tag, str) or not tag else ingest.authenticate(secret, tag)
            if named is None:
                unknown.add(str(tag))
            else:
                beaten.setdefault(named.tag, (named, []))[1].append(_shown(labels))
        if unknown:
            warnings.append(_unknown(label, sorted(unknown)))
        if not beaten:
            raise Denied(warnings[-1])
        await ingest.record([Beat(named.monitor, output=_output(lines)) for named, lines in beaten.values()])
        content: dict[str, object] = {"status": "OK", "monitors": list(beaten)}
        if warnings:
            content["warning"] = "; ".join(warnings)
        return Response.json(content)

    def error(self, problem: IngestError) -> Response:
        return json_error(problem)


def _claim(request: Request, ingest: Ingest) -> tuple[Grant, str]:
    """What the URL or the header opens, and the secret that was shown; raises Denied."""
    tag, _, in_path = request.fields["rest"].removesuffix("/").partition("/")
    given = request.bearer()
    for secret in (in_path,) if given is None else (given, in_path):
        grant = ingest.authenticate(secret, tag)
        if grant is not None:
            return grant, secret
    raise Denied


def _firing(body: Body) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """The firing alerts that a rule's evaluation made, and those that Grafana made because there was none; raises
    IngestError when that is not known.
    """
    text = body.kept.decode("utf-8", "replace")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        if not body.cut:
            raise IngestError(RejectReason.UNREADABLE_BODY, "no JSON", _NOT_UNDERSTOOD, 400) from None
        found, unevaluated = _sorted(_beginning(text))
        if not found and len(body.kept) < READ:
            raise IngestError(RejectReason.UNREADABLE_BODY, "not whole", _NOT_WHOLE, 503) from None
        if not found:
            raise IngestError(RejectReason.UNREADABLE_BODY, "too long", _TOO_LONG, 413) from None
        return found, unevaluated
    alerts = document.get("alerts") if isinstance(document, dict) else None
    if not isinstance(alerts, list):
        raise IngestError(RejectReason.UNREADABLE_BODY, "no alerts", _NOT_UNDERSTOOD, 400)
    return _sorted(alerts)


def _sorted(alerts: Iterable[Any]) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    found: tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]] = ([], [])
    for alert in alerts:
        if _fires(alert):
            found[_is_unevaluated(alert)].append(alert)
    return found


def _is_unevaluated(alert: Mapping[str, Any]) -> bool:
    labels, annotations = _texts(alert, "labels"), _texts(alert, "annotations")
    if labels.get("alertname") in _GRAFANAS_OWN or {"rulename", "datasource_uid"} <= labels.keys():
        return True
    reasons = str(annotations.get("grafana_state_reason", "")).split(",")
    return not _UNEVALUATED.isdisjoint(reason.strip() for reason in reasons)


def _of_grafana(alerts: Sequence[Mapping[str, Any]]) -> str:
    """What the sender is to know about these; any of them may be odd."""
    rules = {
        str(labels.get("rulename") or labels.get("alertname")) for labels in (_texts(one, "labels") for one in alerts)
    }
    named = ", ".join(repr(rule[:128]) for rule in sorted(rules)[:_NAMED])
    more = f" and {len(rules) - _NAMED} more" if len(rules) > _NAMED else ""
    return f"Grafana could not evaluate {named}{more} (an error or no data): not a heartbeat"


def _texts(alert: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = alert.get(name)
    return found if isinstance(found, dict) else {}


def _fires(alert: Any) -> bool:
    return isinstance(alert, dict) and alert.get("status") == "firing"


def _beginning(text: str) -> Iterator[Any]:
    """The alerts that are whole in a post that is not."""
    start = _ALERTS.search(text)
    at = start.end() if start is not None else len(text)
    decoder = json.JSONDecoder()
    while True:
        between = _BETWEEN.match(text, at)
        assert between is not None, "it matches nothing as well"
        try:
            alert, at = decoder.raw_decode(text, between.end())
        except (ValueError, RecursionError):
            return
        yield alert


def _tag_label(query: str, warnings: list[str]) -> str:
    pairs = parse_qsl(query, keep_blank_values=True, errors="replace") if query else ()
    given = [value for key, value in pairs if key == "tag_label"]
    if not given:
        return TAG_LABEL
    if not _LABEL_NAME.fullmatch(given[0]):
        warnings.append(f"tag_label is not the name of a label: {TAG_LABEL} is looked at instead")
        return TAG_LABEL
    return given[0]


def _unknown(label: str, tags: Sequence[str]) -> str:
    named = ", ".join(repr(tag[:128]) for tag in tags[:_NAMED])
    more = f" and {len(tags) - _NAMED} more" if len(tags) > _NAMED else ""
    return f"no monitor takes this secret that the label {label} names: {named}{more}"


def _shown(labels: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in labels.items())


def _output(lines: Sequence[str]) -> str:
    """What is kept as the heartbeat's output: the alerts' labels; a lone surrogate is more than can be stored."""
    return output_of("\n".join(lines).encode("utf-8", "replace"))
