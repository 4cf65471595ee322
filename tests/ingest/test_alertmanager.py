"""Alertmanager's webhook: a firing alert is a heartbeat, nothing else is, and nothing goes wrong without a word."""

import asyncio
import json
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.fleet import Fleet, FleetMonitor
from exporter.core.heartbeat import Kind
from exporter.core.monitor import Monitor
from exporter.core.secret import digest
from exporter.core.status import Reason, Status
from exporter.core.telemetry import RejectReason
from exporter.core.timeline import CurrentStatus
from exporter.ingest.body import KEPT, Body
from exporter.ingest.credentials import Authenticator
from exporter.ingest.dialect import Beat, IngestError, Request
from exporter.ingest.dialects.alertmanager import READ, AlertmanagerDialect

KEY = b"k" * 32
SECRET, OTHER_SECRET = "SESAME", "another"
SECRETS = {"watchdog": SECRET, "eu": SECRET, "us": SECRET, "private": OTHER_SECRET}


class FakeRequest:
    def __init__(self, rest: str, query: str, authorization: str | None, body: bytes, stalled: bool) -> None:
        fleet = Fleet()
        current = CurrentStatus(Status.NO_DATA, Reason.NEVER_RECEIVED, 0)
        fleet.update(
            FleetMonitor(id, Monitor(tag=tag), digest(secret, KEY), current)
            for id, (tag, secret) in enumerate(SECRETS.items())
        )
        self.rest, self.query, self.received_at = rest, query, 1000
        self._authorization, self._body, self._stalled = authorization, body, stalled
        self._authenticator = Authenticator(fleet, KEY)

    def header(self, name: str) -> str | None:
        return self._authorization if name == "Authorization" else None

    def authenticate(self, tag: str, secret: str) -> FleetMonitor | None:
        found = self._authenticator.check(tag, secret)
        return found if isinstance(found, FleetMonitor) else None

    @property
    def has_body(self) -> bool:
        return bool(self._body)

    async def body(self, keep: int = KEPT) -> Body:
        return Body(self._body[:keep], self._stalled or len(self._body) > keep)


def read(
    body: object,
    rest: str = f"watchdog/{SECRET}",
    query: str = "",
    authorization: str | None = None,
    stalled: bool = False,
) -> Sequence[Beat]:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    request: Request = FakeRequest(rest, query, authorization, sent, stalled)
    return asyncio.run(AlertmanagerDialect().read(request))


def alert(status: str = "firing", **labels: object) -> dict[str, object]:
    return {"status": status, "labels": {"alertname": "Watchdog", **labels}, "annotations": {}, "fingerprint": "f00"}


def post(*alerts: object) -> dict[str, object]:
    """What Alertmanager sends, in its order of keys."""
    return {"receiver": "watchdog", "status": "firing", "alerts": list(alerts), "groupLabels": {}, "version": "4"}


def beaten(signals: Sequence[Beat]) -> list[str]:
    assert all(signal.beat.kind is Kind.SUCCESS and signal.beat.received_at == 1000 for signal in signals)
    return [signal.watched.monitor.tag for signal in signals]


def answer(signals: Sequence[Beat]) -> Mapping[str, object]:
    said = json.loads(AlertmanagerDialect().answer(signals))
    assert isinstance(said, dict)
    assert said["status"] == "OK"
    return said


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
    signals = read(post(alert()), rest, authorization=authorization)
    assert beaten(signals) == ["watchdog"]
    assert answer(signals) == {"status": "OK", "monitors": ["watchdog"]}
    assert signals[0].beat.output == "alertname=Watchdog"


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
        assert read(body) == ()
    assert "not a heartbeat" in str(answer(())["warning"])
    assert beaten(read(post(alert("resolved", heartbeat_tag="us"), alert(heartbeat_tag="eu")))) == ["eu"]


def test_several_watchdogs_in_one_post_are_told_apart() -> None:
    signals = read(post(alert(heartbeat_tag="eu"), alert(), alert("resolved", heartbeat_tag="us"), alert()))
    assert beaten(signals) == ["eu", "watchdog"]
    assert signals[0].beat.output == "alertname=Watchdog heartbeat_tag=eu"
    assert signals[1].beat.output == "alertname=Watchdog\nalertname=Watchdog"
    clusters = post(alert(cluster="us"), alert(cluster="eu", heartbeat_tag="watchdog"))
    assert beaten(read(clusters, query="tag_label=cluster")) == ["us", "eu"]
    assert beaten(read(clusters)) == ["watchdog"]


@pytest.mark.parametrize("label", [{}, {"heartbeat_tag": ""}, {"heartbeat_tag": None}, {"heartbeat_tag": 7}])
def test_without_the_label_it_is_the_urls_own_monitor(label: dict[str, object]) -> None:
    assert beaten(read(post(alert(**label)))) == ["watchdog"]
    assert beaten(read({"alerts": [{"status": "firing"}]})) == ["watchdog"]
    assert beaten(read({"alerts": [{"status": "firing", "labels": ["x"]}]})) == ["watchdog"]


def test_a_label_opens_no_door_that_the_secret_does_not() -> None:
    signals = read(post(alert(heartbeat_tag="private"), alert(heartbeat_tag="nobody"), alert(heartbeat_tag="eu")))
    assert beaten(signals) == ["eu"]
    assert "heartbeat_tag names: 'nobody', 'private'" in str(answer(signals)["warning"])
    with pytest.raises(IngestError) as raised:
        read(post(*(alert(heartbeat_tag=f"nobody{n}") for n in range(5))))
    assert raised.value.status == 404
    assert raised.value.hint is not None
    assert raised.value.hint.endswith("'nobody0', 'nobody1', 'nobody2' and 2 more")


def test_a_name_that_no_label_has_is_left_out() -> None:
    for query in ("tag_label=", "tag_label=a-b", "tag_label=%ff", "tag_label=1"):
        signals = read(post(alert(heartbeat_tag="eu")), query=query)
        assert beaten(signals) == ["eu"]
        assert "tag_label" in str(answer(signals)["warning"])


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
    signals = read(post(*[alert(text="\ud800 \0 " + "é" * 3000)] * 4))
    output = signals[0].beat.output
    assert len(output) <= KEPT
    assert "\0" not in output


@given(st.text(), st.none() | st.text(), st.dictionaries(st.text(), st.text() | st.integers(), max_size=5))
def test_no_query_header_or_label_makes_a_firing_alert_fail(
    query: str, header: str | None, labels: dict[str, object]
) -> None:
    labels.pop("heartbeat_tag", None)
    signals = read({"alerts": [{"status": "firing", "labels": labels}]}, query=query, authorization=header)
    assert beaten(signals) == ["watchdog"]
    signals[0].beat.output.encode()
    answer(signals)


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_answered(body: bytes, stalled: bool) -> None:
    try:
        assert read(body, stalled=stalled) == ()
    except IngestError as refused:
        assert refused.status in (400, 503)


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
    signals = read(post(broken))
    assert beaten(signals) == []
    warning = str(answer(signals)["warning"])
    assert warning.startswith("Grafana could not evaluate '")
    assert warning.endswith("not a heartbeat")


def test_a_watchdog_in_the_same_post_is_one_all_the_same() -> None:
    signals = read(post(*BROKEN, grafana("Watchdog")))
    assert beaten(signals) == ["watchdog"]
    assert "alertname=DatasourceError" not in signals[0].beat.output
    assert answer(signals)["monitors"] == ["watchdog"]
    assert "Grafana could not evaluate 'DatasourceError', 'Watchdog'" in str(answer(signals)["warning"])
    signals = read(post(grafana(rulename="w", heartbeat_tag="eu"), grafana("Watchdog", heartbeat_tag="us")))
    assert beaten(signals) == ["us"]


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
