"""The shipped rules, by promtool: every alert fires when it must and not a step before, and never when it must not."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from alertmanager.source import PROMETHEUS_RULE, prometheus_rule
from exporter.cli.assets import Runbooks
from tests.docs.test_metrics import shipped
from tests.support.promtool import RULES, World, both_ends, steps
from tests.support.tools import run_tool

ROOT = Path(__file__).parent.parent.parent
GROUPS = YAML(typ="safe").load(RULES.read_text())["groups"]
ALERTS = [rule for group in GROUPS for rule in group["rules"] if "alert" in rule]
RECORDED = {rule["record"] for group in GROUPS for rule in group["rules"] if "record" in rule}
WANTED = {
    *("HeartbeatDown", "HeartbeatDegraded", "HeartbeatNeverReceived", "HeartbeatFailed", "HeartbeatFlapping"),
    *("HeartbeatOverrunning", "HeartbeatExporterDown", "HeartbeatExporterAbsent", "HeartbeatEvaluationStalled"),
    *("HeartbeatNotificationsFailing", "HeartbeatConfigReloadFailed", "HeartbeatStorageErrors", "Watchdog"),
    *("HeartbeatExporterReplicaDown", "HeartbeatSlow", "HeartbeatIngestSuspect"),
}
FLEET_LABELS = {"cluster", "namespace"}
"""Of whoever has several Prometheuses or Kubernetes; Prometheus adds them."""
TARGET_LABELS = {"job", "instance", "pod", "container", "endpoint", "service", "node"}


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_promtool_is_content() -> None:
    assert "SUCCESS" in run_tool("promtool", "check", "rules", "--lint=all", "--lint-fatal", str(RULES))


def test_every_alert_is_there_and_says_what_it_has_to() -> None:
    assert {alert["alert"] for alert in ALERTS} == WANTED
    for alert in ALERTS:
        assert alert["labels"]["severity"], alert
        assert alert["annotations"].keys() == {"summary", "description"}
        assert (ROOT / "docs" / "runbooks" / f"{alert['alert']}.md").is_file()


@pytest.mark.parametrize("file", [RULES, PROMETHEUS_RULE])
def test_every_alert_links_to_its_own_runbook_once_the_address_is_given(file: Path) -> None:
    written = Runbooks.of_service("https://heartbeats.example.org").written(file.read_bytes()).decode()
    document = YAML(typ="safe").load(written)
    alerts = [rule for group in document.get("spec", document)["groups"] for rule in group["rules"] if "alert" in rule]
    assert len(alerts) == len(ALERTS)
    for alert, before in zip(alerts, ALERTS, strict=True):
        link = f"https://heartbeats.example.org/docs/runbooks/{alert['alert']}"
        assert alert["annotations"] == {**before["annotations"], "runbook_url": link}


def test_the_written_rules_pass_their_written_tests(tmp_path: Path) -> None:
    runbooks = Runbooks.of_copy("https://wiki.example.org/runbooks")
    for name in (RULES.name, "heartbeat-rules-test.yml"):
        (tmp_path / name).write_bytes(runbooks.written((RULES.parent / name).read_bytes()))
    assert "SUCCESS" in run_tool("promtool", "test", "rules", str(tmp_path / "heartbeat-rules-test.yml"))
    assert "SUCCESS" in run_tool("promtool", "check", "rules", "--lint=all", "--lint-fatal", str(tmp_path / RULES.name))


def test_there_is_a_runbook_for_every_alert_and_no_other() -> None:
    pages = {file.stem for file in (ROOT / "docs" / "runbooks").glob("*.md")}
    assert pages == WANTED | {"README"}
    for name in WANTED:
        text = (ROOT / "docs" / "runbooks" / f"{name}.md").read_text()
        assert text.startswith(f"# {name}\n")
        for heading in ("## Meaning", "## Check", "## Do"):
            assert f"\n{heading}\n" in text, (name, heading)
        assert f"({name}.md)" in (ROOT / "docs" / "runbooks" / "README.md").read_text()


def test_every_metric_and_label_exists() -> None:
    metrics = shipped()
    text = "\n".join(
        line.split("#")[0] if line.lstrip().startswith("#") else line for line in RULES.read_text().splitlines()
    )
    named = set(re.findall(r"(?<![\w:])heartbeat_\w+(?![\w:])", text))
    assert named
    assert named <= metrics.keys()
    for recorded in set(re.findall(r"\b\w+:heartbeat_\w+:\w+", text)):
        assert recorded in RECORDED, recorded
    labels = {label for _, found in metrics.values() for label in found} | TARGET_LABELS | FLEET_LABELS | {"tag"}
    used = set(re.findall(r"(\w+)=~?[\"`%]", text))
    for found in re.findall(r"(?:by|on|without|group_right) \(([^)]*)\)", text):
        used |= {label.strip() for label in found.split(",") if label.strip()}
    used |= set(re.findall(r"\$labels\.(\w+)", text))
    assert {re.sub("^label_.*", "label_<key>", label) for label in used} <= labels


def test_recording_rules_that_documents_name_exist() -> None:
    for file in [*ROOT.glob("docs/**/*.md"), ROOT / "README.md"]:
        for name in re.findall(r"\b\w+:heartbeat_\w+:\w+", file.read_text()):
            assert name in RECORDED, f"{name} in {file.name}"
    documented = (ROOT / "docs" / "prometheus.md").read_text()
    for name in RECORDED:
        assert f"`{name}`" in documented, name


def test_runbooks_name_metrics_that_exist() -> None:
    for file in ROOT.glob("docs/runbooks/*.md"):
        for name in re.findall(r"(?<![\w:])heartbeat_[a-z_]+\b(?![.:])", file.read_text()):
            assert re.sub(r"_(bucket|count|sum)$", "", name) in shipped(), f"{name} in {file.name}"


def test_the_operators_manifest_is_built_from_the_rules() -> None:
    assert PROMETHEUS_RULE.read_text() == prometheus_rule(RULES.read_text()), "run `make rules`"
    manifest = YAML(typ="safe").load(PROMETHEUS_RULE.read_text())
    assert (manifest["apiVersion"], manifest["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert manifest["spec"] == {"groups": GROUPS}
    monitor = YAML(typ="safe").load((PROMETHEUS_RULE.parent / "servicemonitor.yaml").read_text())
    assert (monitor["apiVersion"], monitor["kind"]) == ("monitoring.coreos.com/v1", "ServiceMonitor")
    assert monitor["spec"]["selector"]["matchLabels"][monitor["spec"]["jobLabel"]] == "heartbeat-exporter"


# ── monitors ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    ("status", "reason", "alert"),
    [
        ("DOWN", "missed", "HeartbeatDown"),
        ("DOWN", "failed", "HeartbeatFailed"),
        ("DOWN", "overrun", "HeartbeatOverrunning"),
        ("DEGRADED", "late", "HeartbeatDegraded"),
    ],
)
def test_a_monitor_in_trouble(world: World, tmp_path: Path, status: str, reason: str, alert: str) -> None:
    """One alert, for exactly as long as the status lasts; none while it is up, paused, in maintenance, or removed."""
    world.replica("on*20")
    world.monitor(f"UP*4 {status}*4 PAUSED*2 {status}*2 MAINTENANCE*2 {status}*2 UP*2 NO_DATA*2", reason=reason)
    world.monitor(f"{status}*2 gone*18", tag="removed", reason=reason)
    world.monitor("UP*20", tag="other")
    world.alerts_are(tmp_path, **{alert: "1*2 0*2 1*4 0*2 1*2 0*2 1*2 0*4"})


@pytest.mark.parametrize(
    ("reason", "alert"),
    [("missed", "HeartbeatDown"), ("failed", "HeartbeatFailed"), ("overrun", "HeartbeatOverrunning")],
)
def test_a_restart_with_a_gap_neither_ends_an_alert_nor_begins_one(
    world: World, tmp_path: Path, reason: str, alert: str
) -> None:
    world.replica("on*4 gone*7 on*4")
    world.monitor("UP*2 DOWN*13", reason=reason)
    world.monitor("UP*15", tag="up")
    world.monitor("DEGRADED*15", tag="late")
    world.monitor("DOWN*8 UP*7", tag="recovers", reason=reason)  # within the gap, so it is seen after it
    world.alerts_are(tmp_path, **{alert: "1*2 2*9 1*4", "HeartbeatDegraded": "1*15"})


@pytest.mark.parametrize(("status", "reason"), [("DOWN", "missed"), ("DOWN", "overrun"), ("DEGRADED", "late")])
def test_a_suppressed_monitor_is_left_out(world: World, tmp_path: Path, status: str, reason: str) -> None:
    """From the moment on at which it is late, over a restart, and until it is released."""
    alert = {"missed": "HeartbeatDown", "overrun": "HeartbeatOverrunning", "late": "HeartbeatDegraded"}[reason]
    world.replica("on*6 gone*4 on*10")
    world.monitor("UP*2 DOWN*18", tag="parent", reason="failed")
    suppressed = {"suppressed": "gone*3 1*13 gone*4"}
    world.monitor(f"UP*3 {status}*17", tag="child", reason=reason, metrics=suppressed)
    world.monitor(f"UP*4 {status}*16", tag="other", reason=reason)
    world.alerts_are(tmp_path, **{"HeartbeatFailed": "0*2 1*18", alert: "0*4 1*12 2*4"})


def test_of_two_replicas_either_may_say_that_a_monitor_is_suppressed(world: World, tmp_path: Path) -> None:
    world.replica("on*12", "a:1")
    world.replica("on*12", "b:1")
    world.monitor("UP*3 DOWN*9", tag="child", instance="a:1", metrics={"suppressed": "gone*3 1*6 gone*3"})
    world.monitor("UP*4 DOWN*8", tag="child", instance="b:1", metrics={"suppressed": "gone*4 1*6 gone*2"})
    world.alerts_are(tmp_path, HeartbeatDown="0*10 1*2")


def test_what_was_known_holds_for_a_quarter_of_an_hour(world: World, tmp_path: Path) -> None:
    world.replica("on*2 gone*70 on*2")
    world.monitor("DOWN*74")
    world.alerts_are(
        tmp_path, HeartbeatDown=f"1*{61 + both_ends()} 0*{11 - both_ends()} 1*2", HeartbeatExporterDown="0*10 1*62 0*2"
    )


def test_a_fleet_of_two_replicas_is_one_alert(world: World, tmp_path: Path) -> None:
    """While one is away, and while the other has not seen the news yet."""
    world.replica("on*8 gone*4 on*8", "a:1")
    world.replica("on*14 gone*4 on*2", "b:1")
    for instance, spec in (("a:1", "UP*4 DOWN*16"), ("b:1", "UP*5 DOWN*15")):
        world.monitor(spec, instance=instance)
        world.monitor("PAUSED*20", tag="resting", instance=instance)
    world.alerts_are(tmp_path, HeartbeatDown="0*4 1*16")


def test_two_fleets_are_two(world: World, tmp_path: Path) -> None:
    world.replica("on*4 gone*12", "a:1")
    world.replica("on*16", "b:1", job="other")
    world.monitor("DOWN*16", instance="a:1")
    world.monitor("DOWN*4 UP*12", instance="b:1", job="other")
    world.alerts_are(tmp_path, HeartbeatDown="2*4 1*12", HeartbeatExporterDown="0*12 1*4")


@pytest.mark.parametrize(
    ("schedules", "minutes"),
    [([""], 10), (["@hourly", "15 * * * *"], 70), (["0 3 * * *", "0 */6 * * *"], 25 * 60 + 10)],
)
def test_a_monitor_that_never_reported(tmp_path: Path, schedules: list[str], minutes: int) -> None:
    world = World(step=60)
    length = minutes + 5
    world.replica(f"on*{length}")
    for number, schedule in enumerate(schedules):
        world.monitor(f"NO_DATA*{minutes + 3} UP*2", tag=f"job-{number}", info={"schedule": schedule})
    world.monitor(f"PAUSED*{length}", tag="resting")
    world.alerts_are(tmp_path, HeartbeatNeverReceived=f"0*{minutes + 1} {len(schedules)}*2 0*2")


DAY = 86_400


@pytest.mark.parametrize(
    ("schedule", "wait"),
    [
        ("0 3 1 1 *", 366 * DAY + 3600),
        ("0 3 * jan *", 366 * DAY + 3600),
        ("@yearly", 366 * DAY + 3600),
        ("@Annually", 366 * DAY + 3600),
        ("0 3 31 * *", 62 * DAY + 3600),
        ("0 3 29,30 * *", 62 * DAY + 3600),
        ("0 3 1 * *", 31 * DAY + 3600),
        ("0 3 */2 * *", 31 * DAY + 3600),
        ("@monthly", 31 * DAY + 3600),
        ("0 3 * * MON-FRI", 7 * DAY + 3600),
        ("0 3 ? * 0", 7 * DAY + 3600),
        ("@weekly", 7 * DAY + 3600),
        ("0 3 * * *", DAY + 3600),
        ("@daily", DAY + 3600),
        ("@midnight", DAY + 3600),
        ("*/5 * * * *", 3600),
        ("@hourly", 3600),
        ("", 0),
    ],
)
def test_how_long_a_first_heartbeat_may_take(world: World, tmp_path: Path, schedule: str, wait: int) -> None:
    world.replica("on*2")
    world.monitor("NO_DATA*2", info={"schedule": schedule})
    expected = [('tag:heartbeat_first_wait:seconds{job="heartbeat",tag="job"}', wait + 600.0)]
    world.values_are(tmp_path, 1, {"tag:heartbeat_first_wait:seconds": expected})


def test_a_first_heartbeat_may_take_an_interval(world: World, tmp_path: Path) -> None:
    world.replica("on*2")
    world.monitor("NO_DATA*2", metrics={"every_seconds": "86400*2"})
    expected = [('tag:heartbeat_first_wait:seconds{job="heartbeat",tag="job"}', 87_000.0)]
    world.values_are(tmp_path, 1, {"tag:heartbeat_first_wait:seconds": expected})


def test_a_restart_does_not_begin_the_wait_anew(tmp_path: Path) -> None:
    """As the status began when it did, whoever tells it."""
    world = World(step=60)
    world.replica("on*8 gone*1 on*5")
    world.monitor("NO_DATA*14")
    world.alerts_are(tmp_path, HeartbeatNeverReceived="0*11 1*3")


def test_flapping(tmp_path: Path) -> None:
    """Three times away and back within an hour; not while paused, and over an hour after."""
    world = World(step=60)
    world.replica("on*21 gone*1 on*48")
    flaps = "UP*5 DEGRADED UP*5 DEGRADED UP*5 DEGRADED"
    world.monitor(f"{flaps} UP*52")
    world.monitor(f"{flaps} UP PAUSED*51", tag="resting")
    world.monitor(f"{flaps} UP MAINTENANCE*51", tag="mended")
    world.monitor("UP*5 DEGRADED UP*5 DEGRADED*59", tag="steadier")
    degraded = "0*5 4 0*5 4 1*5 4 1*52"
    # 18 is the sixth change; at 65 the first one is an hour ago.
    world.alerts_are(
        tmp_path, HeartbeatFlapping=f"0*18 3 1*{45 + both_ends()} 0*{6 - both_ends()}", HeartbeatDegraded=degraded
    )


def put_median(world: World, spec: str, tag: str = "job", instance: str = "a:1") -> None:
    names = f'job="heartbeat",instance="{instance}",tag="{tag}"'
    for quantile in ("0.5", "0.95"):
        world._put(
            f'heartbeat_duration_seconds{{quantile="{quantile}",{names}}}', world._reached(instance, steps(spec))
        )


def test_a_slow_run(world: World, tmp_path: Path) -> None:
    """Longer than three times the median and a minute; not while paused, in maintenance, or with too few runs."""
    world.replica("on*12")
    world.monitor("UP*12", metrics={"last_duration_seconds": "30*2 90 91*3 90*2 400*4"})
    put_median(world, "30*10 200*2")  # it has become the usual case
    for status in ("PAUSED", "MAINTENANCE"):
        world.monitor(f"UP*2 {status}*10", tag=status.lower(), metrics={"last_duration_seconds": "30*2 900*10"})
        put_median(world, "30*12", status.lower())
    world.monitor("UP*12", tag="short", metrics={"last_duration_seconds": "60*12"})
    put_median(world, "1*12", "short")
    world.monitor("UP*12", tag="new", metrics={"last_duration_seconds": "900*12"})
    world.alerts_are(tmp_path, HeartbeatSlow="0*3 1*3 0*2 1*2 0*2")


def test_a_slow_run_over_a_restart_and_of_two_replicas(world: World, tmp_path: Path) -> None:
    world.replica("on*4 gone*7 on*4", "a:1")
    world.replica("on*4 gone*7 on*4", "b:1")
    for instance in ("a:1", "b:1"):
        world.monitor("UP*15", instance=instance, metrics={"last_duration_seconds": "30*2 900*12 20"})
        put_median(world, "30*15", instance=instance)
    world.alerts_are(tmp_path, HeartbeatSlow="0*2 1*12 0")


def test_uptime(tmp_path: Path) -> None:
    """What is DOWN counts against it; NO_DATA, pauses, maintenance and our own absence do not count."""
    world = World(step=60)
    world.replica("on*50 gone*10")
    world.monitor("NO_DATA*10 UP*10 DEGRADED*5 PAUSED*10 MAINTENANCE*10 DOWN*15")
    world.monitor("UP*60", tag="good")
    down = ('{job="heartbeat",tag="job"}', 0.75)
    good = ('{job="heartbeat",tag="good"}', 1.0)
    world.values_are(
        tmp_path,
        59,
        {
            "avg_over_time(tag:heartbeat_uptime:now[1h])": [good, down],
            "sum by (job, tag) (tag:heartbeat_uptime:avg1h)": [good, down],
            "sum by (job, tag) (tag:heartbeat_uptime:avg1d)": [good, down],
            "job:heartbeat_uptime:avg1d": [('job:heartbeat_uptime:avg1d{job="heartbeat"}', 0.875)],
        },
    )


def test_the_fleet_and_what_it_receives(tmp_path: Path) -> None:
    """Two replicas tell the same, and it counts once."""
    world = World(step=60)
    received = " ".join(str(60 * place) for place in range(12))
    failures = " ".join(str(6 * place) for place in range(12))
    for instance in ("a:1", "b:1"):
        world.replica("on*12", instance, monitors={'status="UP"': "2*12", 'status="DOWN"': "1*12"})
        for tag in ("one", "two"):
            metrics = {"received_total": received, "failures_total": failures}
            world.monitor("UP*12", tag=tag, instance=instance, metrics=metrics)
    world.values_are(
        tmp_path,
        11,
        {
            "job:heartbeat_monitors:sum": [('job:heartbeat_monitors:sum{job="heartbeat"}', 3)],
            'status:heartbeat_monitors:max{status="DOWN"}': [
                ('status:heartbeat_monitors:max{job="heartbeat",status="DOWN"}', 1)
            ],
            "job:heartbeat_received:rate5m": [('job:heartbeat_received:rate5m{job="heartbeat"}', 2)],
            "job:heartbeat_failures:rate5m": [('job:heartbeat_failures:rate5m{job="heartbeat"}', 0.2)],
        },
    )


# ── the exporter ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_exporter_that_does_not_answer(world: World, tmp_path: Path) -> None:
    """For two minutes and not a step before; a restart of a minute and a half is silent."""
    world.replica("on*4 gone*6 on*4 gone*12 on*2")
    world.alerts_are(tmp_path, HeartbeatExporterDown="0*22 1*4 0*2")


def test_an_exporter_of_another_job_name(world: World, tmp_path: Path) -> None:
    world.replica("on*2 gone*12", job="cron-watch")
    world.alerts_are(tmp_path, HeartbeatExporterDown="0*10 1*4")


def test_an_exporter_that_never_answered(world: World, tmp_path: Path) -> None:
    world.replica("gone*12", job="heartbeat-exporter")
    world.alerts_are(tmp_path, HeartbeatExporterDown="0*8 1*4")


def test_one_replica_of_two(world: World, tmp_path: Path) -> None:
    world.replica("on*2 gone*24 on*2", "a:1")
    world.replica("on*28", "b:1")
    world.alerts_are(tmp_path, HeartbeatExporterReplicaDown="0*22 1*4 0*2")


def test_no_exporter_at_all(world: World, tmp_path: Path) -> None:
    world.series['up{job="node",instance="n:1"}'] = ["1"] * 24
    world.alerts_are(tmp_path, HeartbeatExporterAbsent="0*20 1*4")


@pytest.mark.parametrize("replicas", [1, 2])
def test_evaluation_that_stands_still(world: World, tmp_path: Path, replicas: int) -> None:
    """Later than two minutes for a minute; while one of two evaluates, or another takes over, it does not stand."""
    for number in range(replicas):
        instance = f"{'ab'[number]}:1"
        # The first evaluates until 60 s, the second never; at 345 s the last of them takes over.
        last = number == replicas - 1
        until = [str(min(place * 15, 60)) if not number else "0" for place in range(23)]
        until += [str(place * 15) if last else until[-1] for place in range(23, 26)]
        world.replica("on*26", instance, evaluated_until_timestamp_seconds=" ".join(until))
    # 60 s plus 120 s is 180 s; 195 s is later, and so is 255 s, a minute after.
    world.alerts_are(tmp_path, HeartbeatEvaluationStalled="0*17 1*6 0*3")


def test_evaluation_that_does_not_begin_after_a_gap(world: World, tmp_path: Path) -> None:
    until = "0 15 30 45*8 0*13 360 375"
    world.replica("on*4 gone*7 on*15", evaluated_until_timestamp_seconds=until)
    # It answers again at 165 s; 180 s is later than 45 s and two minutes, and 240 s a minute after.
    world.alerts_are(tmp_path, HeartbeatEvaluationStalled="0*16 1*8 0*2")


def test_evaluation_that_takes_up_its_work_after_a_gap_is_silent(world: World, tmp_path: Path) -> None:
    until = (
        " ".join(str(place * 15) for place in range(4)) + " 0*9 " + " ".join(str(place * 15) for place in range(13, 20))
    )
    world.replica("on*4 gone*7 on*9", evaluated_until_timestamp_seconds=until)
    world.alerts_are(tmp_path)


def test_monitors_that_cannot_be_evaluated(tmp_path: Path) -> None:
    world = World(step=60)
    world.replica("on*80", evaluation_failures_total="0*5 2*75")
    world.alerts_are(tmp_path, HeartbeatEvaluationStalled=f"0*5 1*{64 + both_ends()} 0*{11 - both_ends()}")


def test_monitors_that_could_not_be_evaluated_before_the_first_scrape(tmp_path: Path) -> None:
    world = World(step=60)
    world.replica("on*80", evaluation_failures_total="2*62 3*18")
    world.alerts_are(tmp_path, HeartbeatEvaluationStalled="1*80")


def notifications(**values: str) -> dict[str, dict[str, str]]:
    return {f"notifications_{name}": {'notifier="ops"': spec} for name, spec in values.items()}


@pytest.mark.parametrize(
    "told",
    [
        {"dead": "0*2 1*8 0*2"},
        {"oldest_pending_age_seconds": "900*2 901*8 0*2"},
    ],
)
def test_notifications_that_are_not_delivered(world: World, tmp_path: Path, told: dict[str, str]) -> None:
    for instance in ("a:1", "b:1"):
        world.replica("on*12", instance, **notifications(**told))
    world.alerts_are(tmp_path, HeartbeatNotificationsFailing="0*6 1*4 0*2")


def test_notifications_that_fail_one_after_the_other(world: World, tmp_path: Path) -> None:
    world.replica(
        "on*12",
        notifications_failed_total={'notifier="ops",reason="connect"': "0*2 1*2 2*2 3*6"},
        **notifications(sent_total="0*10 1*2"),
    )
    world.alerts_are(tmp_path, HeartbeatNotificationsFailing="0*6 1*4 0*2")


def test_notifications_of_which_a_first_try_fails_are_well(world: World, tmp_path: Path) -> None:
    world.replica(
        "on*12",
        notifications_failed_total={'notifier="ops",reason="timeout"': "0*2 1*10"},
        **notifications(sent_total="0*4 1*8"),
    )
    world.alerts_are(tmp_path)


def test_a_configuration_that_was_not_taken(world: World, tmp_path: Path) -> None:
    world.replica("on*26", "a:1", config_last_reload_successful="1*2 0*22 1*2")
    world.replica("on*26", "b:1")
    world.alerts_are(tmp_path, HeartbeatConfigReloadFailed="0*22 1*2 0*2")


def test_heartbeats_that_may_not_arrive(world: World, tmp_path: Path) -> None:
    """Every replica knows it from the database; it is over with the hold."""
    world.replica("on*12", "a:1", ingest_suspect="0*2 1*6 0*4")
    world.replica("on*12", "b:1", ingest_suspect="0*3 1*6 0*3")
    world.alerts_are(tmp_path, HeartbeatIngestSuspect="0*2 1*7 0*3")


def test_a_database_that_refuses(world: World, tmp_path: Path) -> None:
    world.replica("on*12", storage_up="1*2 0*8 1*2")
    world.alerts_are(tmp_path, HeartbeatStorageErrors="0*6 1*4 0*2")


def test_a_database_that_refuses_now_and_then(world: World, tmp_path: Path) -> None:
    world.replica("on*12", "a:1", storage_outages_total="0*2 2*2 3*8")
    world.replica("on*12", "b:1", storage_outages_total="0*2 1*10")
    world.alerts_are(tmp_path, HeartbeatStorageErrors="0*8 1*4")


def test_a_database_that_works_again_is_not_held_against_it(world: World, tmp_path: Path) -> None:
    """Every thread has counted its errors meanwhile, and that is no reason for an alert of five minutes more."""
    errors = {'operation="stamp"': "0*2 1 2 4 6 8 10 12 14*12", 'operation="prune"': "0*2 1 2 3 5 7 9 11 12*12"}
    world.replica("on*21", storage_up="1*2 0*8 1*11", storage_outages_total="0*2 1*19", storage_errors_total=errors)
    world.alerts_are(tmp_path, HeartbeatStorageErrors="0*6 1*4 0*11")


# ── what they say ────────────────────────────────────────────────────────────────────────────────────────────────

OF_JOB = {"job": "heartbeat", "tag": "job"}
INFO = {"name": "Nightly backup", "group": "Storage", "label_team": "storage"}
LABELS = {**OF_JOB, **INFO}
METRICS = {
    "due_timestamp_seconds": "0*61",
    "last_success_timestamp_seconds": "0*61",
    "last_failure_timestamp_seconds": "300*61",
    "last_start_timestamp_seconds": "0*61",
    "last_exit_code": "7*61",
    "last_duration_seconds": "90*61",
    "consecutive_failures": "2*61",
}


def in_trouble(status: str, reason: str = "missed", **info: str) -> World:
    world = World()
    world.replica("on*61")
    world.monitor(f"{status}*61", reason=reason, info={**INFO, **info}, metrics=METRICS if status != "NO_DATA" else {})
    return world


def test_what_down_says(tmp_path: Path) -> None:
    in_trouble("DOWN").alert_is(
        tmp_path,
        "HeartbeatDown",
        60,
        {**LABELS, "status": "DOWN", "severity": "critical"},
        "Nightly backup is DOWN: its heartbeat is missing",
        "job has not reported success although it was due 15m 0s ago; it may be late by 10m 0s. Its "
        "last success was "
        "15m 0s ago. The job did not run, it hangs, or its heartbeat does not reach the exporter.",
    )


def test_a_severity_of_its_own(tmp_path: Path) -> None:
    world = in_trouble("DOWN", label_severity="info")
    world.values_are(
        tmp_path,
        60,
        {
            'count by (severity, label_severity, name, status) (ALERTS{alertname="HeartbeatDown"})': [
                ('{severity="info",label_severity="info",name="Nightly backup",status="DOWN"}', 1)
            ]
        },
    )


def test_what_down_says_when_nobody_answers_any_more(tmp_path: Path) -> None:
    world = World()
    world.replica("on*2 gone*4")
    world.monitor("DOWN*6")
    world.alert_is(
        tmp_path,
        "HeartbeatDown",
        5,
        {**OF_JOB, "name": "job", "status": "DOWN", "severity": "critical"},
        "job is DOWN: its heartbeat is missing",
        "job has not reported success. The job did not run, it hangs, or its heartbeat does not reach the exporter.",
    )


def test_what_failed_says(tmp_path: Path) -> None:
    in_trouble("DOWN", "failed").alert_is(
        tmp_path,
        "HeartbeatFailed",
        60,
        {**LABELS, "status": "DOWN", "severity": "critical"},
        "Nightly backup is DOWN: it reported a failure",
        "job ran and failed with exit code 7, the last time 10m 0s ago. The monitor's page shows its output. It stays "
        "DOWN until it reports a success.",
    )


def test_what_overrunning_says(tmp_path: Path) -> None:
    in_trouble("DOWN", "overrun").alert_is(
        tmp_path,
        "HeartbeatOverrunning",
        60,
        {**LABELS, "status": "DOWN", "severity": "critical"},
        "Nightly backup is DOWN: a run exceeds max_runtime",
        "A run of job started and has not ended within the monitor's max_runtime; its last start was 15m 0s ago, and "
        "the last run that ended took 1m 30s. It hangs, it died without reporting its end, or it reported its end "
        "with another rid than its start.",
    )


def test_what_degraded_says(tmp_path: Path) -> None:
    in_trouble("DEGRADED").alert_is(
        tmp_path,
        "HeartbeatDegraded",
        20,
        {**LABELS, "status": "DEGRADED", "severity": "warning"},
        "Nightly backup is late",
        "job has not reported success although it was due 5m 0s ago. It becomes DOWN when it is late by 10m 0s.",
    )


def test_what_degraded_says_of_failures_and_of_short_runs(tmp_path: Path) -> None:
    failing, short = in_trouble("DEGRADED", "failing"), in_trouble("DEGRADED", "too_short")
    for world, summary, description in (
        (
            failing,
            "Nightly backup is failing",
            "job reports failures, 2 in a row, and becomes DOWN when there are more than its failure_tolerance.",
        ),
        (
            short,
            "Nightly backup ran too short",
            "job reported success after a run that took less than its min_runtime, 1m 30s.",
        ),
    ):
        labels = {**LABELS, "status": "DEGRADED", "severity": "warning"}
        world.alert_is(tmp_path, "HeartbeatDegraded", 20, labels, summary, description)


def test_what_never_received_says(tmp_path: Path) -> None:
    in_trouble("NO_DATA").alert_is(
        tmp_path,
        "HeartbeatNeverReceived",
        60,
        {**LABELS, "status": "NO_DATA", "severity": "warning"},
        "Nightly backup has never reported a result",
        "job has been watched for 15m 0s now but has reported neither a success nor a failure, although its first run "
        "should be over. Is the job set up, and does it call the right URL with the right secret?",
    )


def test_what_flapping_says(tmp_path: Path) -> None:
    world = World(step=60)
    world.replica("on*14")
    world.monitor("UP DOWN UP DOWN UP DOWN UP*8", info=INFO)
    world.alert_is(
        tmp_path,
        "HeartbeatFlapping",
        13,
        {**LABELS, "severity": "warning"},
        "Nightly backup is flapping",
        "job has left UP or returned to it 6 times in the last hour. Either the job is unreliable, or degraded_after "
        "is shorter than the variation of its runs.",
    )


def test_what_slow_says(world: World, tmp_path: Path) -> None:
    world.replica("on*4")
    world.monitor("UP*4", info=INFO, metrics={"last_duration_seconds": "5400*4"})
    put_median(world, "120*4")
    world.alert_is(
        tmp_path,
        "HeartbeatSlow",
        3,
        {**LABELS, "severity": "warning"},
        "Nightly backup is slow: its last run took 1h 30m 0s",
        "The last run of job took 1h 30m 0s; the median of its recent runs is 2m 0s, and 95 % of them took at most "
        "2m 0s. The alert resolves with the next run that takes less than three times the median.",
    )


def test_what_notifications_failing_says(tmp_path: Path) -> None:
    world = World()
    world.replica("on*8", **notifications(dead="2*8", pending="3*8"))
    world.alert_is(
        tmp_path,
        "HeartbeatNotificationsFailing",
        7,
        {"job": "heartbeat", "notifier": "ops", "severity": "critical"},
        "Heartbeat Exporter cannot notify ops",
        "Notifications to ops are not delivered; waiting: 3; no longer retried: 2. Their recipients do not learn "
        "about alerts. The exporter's log has the response of the receiver.",
    )


def test_the_alerts_say_what_they_should_word_by_word() -> None:
    run_tool("promtool", "test", "rules", str(RULES.parent / "heartbeat-rules-test.yml"))
