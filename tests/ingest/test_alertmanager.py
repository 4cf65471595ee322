"""Alertmanager's webhook: a firing alert is a heartbeat, nothing else is, and nothing goes wrong without a word."""

import json
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.heartbeat import Kind
from exporter.core.telemetry import RejectReason
from exporter.ingest.body import KEPT
from exporter.ingest.dialects.alertmanager import READ, AlertmanagerDialect
from exporter.ingest.errors import IngestError
from exporter.ingest.intake import Beat
from tests.support.ingest import fleet_of, handle, monitor

SECRET, OTHER_SECRET = "SESAME", "another"
SECRETS = {"watchdog": SECRET, "eu": SECRET, "us": SECRET, "private": OTHER_SECRET}


class Read(list[Beat]):
    """The heartbeats of a post, and what it was answered."""

    answer: Mapping[str, object]


def read(
    body: object,
    rest: str = f"watchdog/{SECRET}",
    query: str = "",
    authorization: str | None = None,
    stalled: bool = False,
) -> Read:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    fleet = fleet_of(*(monitor(id, tag, secret) for id, (tag, secret) in enumerate(SECRETS.items())))
    response, beats = handle(AlertmanagerDialect(), fleet, rest, query, authorization, sent, stalled)
    assert response.status == 200
    found = Read(beats)
    found.answer = json.loads(response.body)
    return found


def alert(status: str = "firing", **labels: object) -> dict[str, object]:
    return {"status": status, "labels": {"alertname": "Watchdog", **labels}, "annotations": {}, "fingerprint": "f00"}


def post(*alerts: object) -> dict[str, object]:
    """What Alertmanager sends, in its order of keys."""
    return {"receiver": "watchdog", "status": "firing", "alerts": list(alerts), "groupLabels": {}, "version": "4"}


def beaten(beats: Sequence[Beat]) -> list[str]:
    assert all(beat.kind is Kind.SUCCESS for beat in beats)
    return [beat.monitor.monitor.tag for beat in beats]


def answer(read: Read) -> Mapping[str, object]:
    assert read.answer["status"] == "OK"
    return read.answer


@pytest.mark.parametrize(
    ("rest", "authorization"),
    [
        (f"watchdog/{SECRET}", None),
        (f"watchdog/{SECRET}/", None),
        ("watchdog", f"Bearer {SECRET}"),
        ("watchdog/", f"bearer  {SECRET}"),
        (f"watchdog/{SECRET}", "Bearer of-some-proxy"),
        (f"watchdog/{SECRET}", "Basic dXNlcjpwYXNz"),
    ],
)
def test_every_form(rest: str, authorization: str | None) -> None:
    beats = read(post(alert()), rest, authorization=authorization)
    assert beaten(beats) == ["watchdog"]
    assert answer(beats) == {"status": "OK", "monitors": ["watchdog"]}
    assert beats[0].output == "alertname=Watchdog"


@pytest.mark.parametrize(
    "rest", ["", "/", "watchdog", "watchdog/", "watchdog/wrong", f"nobody/{SECRET}", f"watchdog:{SECRET}", "private/x"]
)
def test_wrong_is_wrong_whatever_is_sent(rest: str) -> None:
    for body in (post(alert()), b"nonsense", b"", post(alert("resolved"))):
        with pytest.raises(IngestError) as raised:
            read(body, rest)
        assert (raised.value.status, raised.value.reason, raised.value.hint) == (404, RejectReason.WRONG_SECRET, None)


def test_a_resolved_alert_is_no_heartbeat() -> None:
    for body in (post(alert("resolved")), post(), post(alert("resolved"), alert("resolved", cluster="eu"))):
        assert read(body) == []
        assert "not a heartbeat" in str(answer(read(body))["warning"])
    assert beaten(read(post(alert("resolved", heartbeat_tag="us"), alert(heartbeat_tag="eu")))) == ["eu"]


def test_several_watchdogs_in_one_post_are_told_apart() -> None:
    beats = read(post(alert(heartbeat_tag="eu"), alert(), alert("resolved", heartbeat_tag="us"), alert()))
    assert beaten(beats) == ["eu", "watchdog"]
    assert beats[0].output == "alertname=Watchdog heartbeat_tag=eu"
    assert beats[1].output == "alertname=Watchdog\nalertname=Watchdog"
    clusters = post(alert(cluster="us"), alert(cluster="eu", heartbeat_tag="watchdog"))
    assert beaten(read(clusters, query="tag_label=cluster")) == ["us", "eu"]
    assert beaten(read(clusters)) == ["watchdog"]


@pytest.mark.parametrize("label", [{}, {"heartbeat_tag": ""}, {"heartbeat_tag": None}, {"heartbeat_tag": 7}])
def test_without_the_label_it_is_the_urls_own_monitor(label: dict[str, object]) -> None:
    assert beaten(read(post(alert(**label)))) == ["watchdog"]
    assert beaten(read({"alerts": [{"status": "firing"}]})) == ["watchdog"]
    assert beaten(read({"alerts": [{"status": "firing", "labels": ["x"]}]})) == ["watchdog"]


def test_a_label_opens_no_door_that_the_secret_does_not() -> None:
    beats = read(post(alert(heartbeat_tag="private"), alert(heartbeat_tag="nobody"), alert(heartbeat_tag="eu")))
    assert beaten(beats) == ["eu"]
    assert "heartbeat_tag names: 'nobody', 'private'" in str(answer(beats)["warning"])
    with pytest.raises(IngestError) as raised:
        read(post(*(alert(heartbeat_tag=f"nobody{n}") for n in range(5))))
    assert raised.value.status == 404
    assert raised.value.hint is not None
    assert raised.value.hint.endswith("'nobody0', 'nobody1', 'nobody2' and 2 more")


def test_a_name_that_no_label_has_is_left_out() -> None:
    for query in ("tag_label=", "tag_label=a-b", "tag_label=%ff", "tag_label=1"):
        beats = read(post(alert(heartbeat_tag="eu")), query=query)
        assert beaten(beats) == ["eu"]
        assert "tag_label" in str(answer(beats)["warning"])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b"7",
        b"null",
        b"{}",
        b'{"alerts": {}}',
        b'{"alerts": null}',
        b'{"status": "firing"}',
        b"[" * 200_000,
        b'{"alerts": [' + b"[" * 200_000,
        b'{"n": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_not_understood_is_refused_so_that_alertmanager_says_so(body: bytes) -> None:
    with pytest.raises(IngestError) as raised:
        read(body)
    assert (raised.value.status, raised.value.reason) == (400, RejectReason.UNREADABLE_BODY)
    assert raised.value.hint is not None
    assert SECRET not in str(raised.value) + raised.value.hint


def test_odd_alerts_among_good_ones_are_passed_over() -> None:
    assert beaten(read(post(None, 7, [], {}, {"status": None}, {"status": ["firing"]}, alert()))) == ["watchdog"]


def test_a_post_that_did_not_arrive_whole_counts_for_what_did() -> None:
    sent = json.dumps(post(alert(heartbeat_tag="eu"), alert(heartbeat_tag="us"))).encode()
    second = sent.index(b'"us"')
    assert beaten(read(sent[: second + 1], stalled=True)) == ["eu"]
    assert beaten(read(sent[:-5], stalled=True)) == ["eu", "us"]
    for end in (0, 1, sent.index(b"alerts"), sent.index(b'"eu"')):
        with pytest.raises(IngestError) as raised:
            read(sent[:end] or b" ", stalled=True)
        assert raised.value.status == 503, "Alertmanager sends it again"


def test_a_post_longer_than_what_is_read() -> None:
    resolved = [alert("resolved", filler="x" * 1000)] * (READ // 1000)
    assert beaten(read(post(alert(heartbeat_tag="eu"), *resolved))) == ["eu"]
    with pytest.raises(IngestError) as raised:
        read(post(*resolved, alert()))
    assert raised.value.status == 413
    assert "send_resolved" in str(raised.value.hint)


def test_what_is_kept_can_be_stored() -> None:
    beats = read(post(*[alert(text="\ud800 \0 " + "é" * 3000)] * 4))
    output = beats[0].output
    assert len(output) <= KEPT + 100
    assert "\0" not in output


@given(st.text(), st.none() | st.text(), st.dictionaries(st.text(), st.text() | st.integers(), max_size=5))
def test_no_query_header_or_label_makes_a_firing_alert_fail(
    query: str, header: str | None, labels: dict[str, object]
) -> None:
    labels.pop("heartbeat_tag", None)
    beats = read({"alerts": [{"status": "firing", "labels": labels}]}, query=query, authorization=header)
    assert beaten(beats) == ["watchdog"]
    beats[0].output.encode()
    answer(beats)


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_answered(body: bytes, stalled: bool) -> None:
    try:
        assert read(body, stalled=stalled) == []
    except IngestError as problem:
        assert problem.status in (400, 503)


def grafana(name: str = "DatasourceError", reason: str | None = None, **labels: object) -> dict[str, object]:
    """As a contact point of Grafana's posts it."""
    annotations = {"Error": "failed to query data: dial tcp: connection refused"}
    if reason is not None:
        annotations["grafana_state_reason"] = reason
    return {
        "status": "firing",
        "labels": {"alertname": name, "grafana_folder": "Ops", **labels},
        "annotations": annotations,
        "startsAt": "2026-11-30T04:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "valueString": "",
        "silenceURL": "http://grafana.example/alerting/silence/new",
    }


BROKEN = [
    grafana(rulename="Watchdog", datasource_uid="PBFA97CFB590B2093", ref_id="A"),
    grafana("DatasourceNoData", rulename="Watchdog", datasource_uid="PBFA97CFB590B2093", ref_id="A"),
    grafana("DatasourceNoData", rulename="Watchdog"),
    grafana("DatasourceError"),
    grafana("Watchdog", rulename="Watchdog", datasource_uid="x"),
    grafana("Watchdog", reason="Error"),
    grafana("Watchdog", reason="NoData"),
    grafana("Watchdog", reason="NoData, KeepLast"),
]


@pytest.mark.parametrize("broken", BROKEN, ids=range(len(BROKEN)))
def test_what_grafana_fires_because_it_could_not_evaluate_is_no_heartbeat(broken: dict[str, object]) -> None:
    beats = read(post(broken))
    assert beaten(beats) == []
    warning = str(answer(beats)["warning"])
    assert warning.startswith("Grafana could not evaluate '")
    assert warning.endswith("not a heartbeat")


def test_a_watchdog_in_the_same_post_is_one_all_the_same() -> None:
    beats = read(post(*BROKEN, grafana("Watchdog")))
    assert beaten(beats) == ["watchdog"]
    assert "alertname=DatasourceError" not in beats[0].output
    assert answer(beats)["monitors"] == ["watchdog"]
    assert "Grafana could not evaluate 'DatasourceError', 'Watchdog'" in str(answer(beats)["warning"])
    beats = read(post(grafana(rulename="w", heartbeat_tag="eu"), grafana("Watchdog", heartbeat_tag="us")))
    assert beaten(beats) == ["us"]


@pytest.mark.parametrize("good", [grafana("Watchdog"), grafana("Watchdog", reason="Updated"), alert(rulename="x")])
def test_what_grafana_did_evaluate_is_a_heartbeat(good: dict[str, object]) -> None:
    assert beaten(read(post(good))) == ["watchdog"]
    assert "warning" not in answer(read(post(good)))


def test_a_resolved_one_of_grafanas_says_as_before() -> None:
    resolved = {**BROKEN[0], "status": "resolved"}
    assert answer(read(post(resolved)))["warning"] == "no alert in it is firing: not a heartbeat"


def test_odd_labels_of_grafanas_are_answered() -> None:
    odd = {
        "status": "firing",
        "labels": {"alertname": "DatasourceError", "rulename": {"x": ["y" * 900]}},
        "annotations": 7,
    }
    assert len(str(answer(read(post(*[odd] * 9)))["warning"])) < 300
