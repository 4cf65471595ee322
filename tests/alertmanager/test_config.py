"""The example configuration of Alertmanager: amtool takes it, everybody gets what is theirs, and messages read well."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from exporter.config.load import load_config
from exporter.core.clock import MINUTE
from exporter.notify.notifiers import OptionModels
from tests.alertmanager.test_rules import ALERTS, GROUPS
from tests.support.tools import need_tool, run_tool

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "alertmanager"
FILE = FOLDER / "alertmanager.yml"
CONFIG = YAML(typ="safe").load(FILE.read_text())
DOCS = (ROOT / "docs" / "alertmanager.md").read_text()
PROMETHEUS_DOCS = (ROOT / "docs" / "prometheus.md").read_text()


def receiver(*labels: str) -> str:
    """Where an alert of these labels goes."""
    said = run_tool("amtool", "config", "routes", "test", f"--config.file={FILE}", *labels)
    return re.sub(r"Warning: .*", "", said).strip()


def test_amtool_is_content() -> None:
    said = run_tool("amtool", "check-config", str(FILE))
    assert f"{len(CONFIG['receivers'])} receivers" in said
    assert "1 templates" in said


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("alertname=Watchdog severity=none", "heartbeat-watchdog"),
        ("alertname=Watchdog severity=critical label_team=storage", "heartbeat-watchdog"),
        ("alertname=HeartbeatDown severity=critical", "on-call"),
        ("alertname=HeartbeatFailed severity=critical label_team=web", "on-call"),
        ("alertname=HeartbeatDown severity=critical label_team=storage", "team-storage-on-call"),
        ("alertname=HeartbeatDegraded severity=warning label_team=storage", "team-storage"),
        ("alertname=HeartbeatDegraded severity=warning", "mail"),
        ("alertname=HeartbeatDown severity=warning", "mail"),
        ("alertname=HeartbeatDown severity=info", "nobody"),
        ("alertname=HeartbeatDown severity=none label_team=storage", "nobody"),
        ("alertname=HeartbeatExporterDown severity=critical", "on-call"),
        ("alertname=Other", "mail"),
    ],
)
def test_everybody_gets_what_is_theirs(labels: str, expected: str) -> None:
    assert receiver(*labels.split()) == expected


def test_every_alert_has_a_receiver_and_every_receiver_an_alert() -> None:
    routed = {
        receiver(f"alertname={alert['alert']}", f"severity={severity}", *team)
        for alert in ALERTS
        # The severity of alerts on monitors is a template: critical, unless a label says otherwise.
        for severity in [re.sub(r".*critical.*", "critical", alert["labels"]["severity"])]
        for team in ((), ("label_team=storage",))
    }
    assert routed | {"nobody"} == {one["name"] for one in CONFIG["receivers"]}


def test_timing_of_the_watchdog() -> None:
    """Alertmanager asks once in each group_interval whether repeat_interval is over."""
    route = CONFIG["route"]["routes"][0]
    assert route["receiver"] == "heartbeat-watchdog"
    assert (route["group_wait"], route["group_interval"], route["repeat_interval"]) == ("0s", "1m", "50s")


def test_inhibitions_name_alerts_and_labels_that_exist() -> None:
    names = {alert["alert"] for alert in ALERTS}
    targets = {
        re.sub(r".*: ", "", label.strip())
        for group in GROUPS
        for rule in group["rules"]
        for found in re.findall(r"by \(([^)]*)\)", rule["expr"])
        for label in found.split(",")
    }
    for rule in CONFIG["inhibit_rules"]:
        assert set(rule["equal"]) <= targets
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            pattern = re.fullmatch(r'alertname (=|=~|!=) "(.+)"', matcher)
            assert pattern is not None, matcher
            assert any(re.fullmatch(pattern[2], name) for name in names), matcher
            assert not re.fullmatch(pattern[2], "Watchdog"), "it is never inhibited"


def test_no_secret_is_in_the_file_or_in_a_url() -> None:
    text = FILE.read_text()
    assert not re.search(r"(password|api_url|routing_key|credentials|token):", text)
    assert len(re.findall(r"_file: secrets/", text)) == 5


# ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────


def alert(status: str = "firing", summary: str = "Backup is DOWN", **labels: str) -> dict[str, Any]:
    return {
        "status": status,
        "labels": {"alertname": "HeartbeatDown", "severity": "critical", "tag": "backup", **labels},
        "annotations": {
            "summary": summary,
            "description": "It did not run.",
            "runbook_url": "https://example.org/HeartbeatDown.md",
        },
        "startsAt": "2026-09-21T14:13:20Z",
        "endsAt": "2026-09-21T14:20:00Z",
    }


def rendered(folder: Path, name: str, *alerts: dict[str, Any], type: str = "text") -> str:
    def common(part: str) -> dict[str, str]:
        first = alerts[0][part]
        return {key: first[key] for key in first if all(one[part].get(key) == first[key] for one in alerts)}

    data = {
        "receiver": "x",
        "status": "firing" if any(one["status"] == "firing" for one in alerts) else "resolved",
        "alerts": list(alerts),
        "groupLabels": {},
        "commonLabels": common("labels"),
        "commonAnnotations": common("annotations"),
        "externalURL": "http://am.example.org",
    }
    file = folder / "data.json"
    file.write_text(json.dumps(data))
    return run_tool(
        "amtool",
        "template",
        "render",
        f"--template.glob={FOLDER}/templates/*.tmpl",
        f"--template.type={type}",
        f"--template.data={file}",
        f'--template.text={{{{ template "{name}" . }}}}',
    ).rstrip("\n")


def test_subjects(tmp_path: Path) -> None:
    def subject(*alerts: dict[str, Any]) -> str:
        return rendered(tmp_path, "heartbeat.subject", *alerts)

    assert subject(alert()) == "[CRITICAL] Backup is DOWN"
    assert subject(alert(), alert(summary="Mail is DOWN")) == "[CRITICAL ×2] HeartbeatDown"
    assert subject(alert(), alert("resolved", summary="Mail is DOWN")) == "[CRITICAL] HeartbeatDown"
    assert subject(alert("resolved")) == "[RESOLVED] Backup is DOWN"
    assert subject(alert("resolved"), alert("resolved", tag="b")) == "[RESOLVED ×2] Backup is DOWN"


def test_the_text(tmp_path: Path) -> None:
    other = alert("resolved", "Mail is DOWN", tag="mail", group="Post")
    assert (
        rendered(tmp_path, "heartbeat.text", alert(instance="a:1"), other)
        == """\
Firing:

- Backup is DOWN
  It did not run.
  since 2026-09-21 14:13:20 UTC, monitor backup, instance a:1
Resolved:

- Mail is DOWN
  It did not run.
  since 2026-09-21 14:13:20 UTC, until 2026-09-21 14:20:00 UTC, monitor mail, group Post

What to do: https://example.org/HeartbeatDown.md
Silence: http://am.example.org"""
    )


def test_html_and_slack_let_nobody_in(tmp_path: Path) -> None:
    nasty = alert(summary="<!channel> <b>&amp;", tag="<i>")
    page = rendered(tmp_path, "heartbeat.html", nasty, type="html")
    assert "&lt;!channel&gt; &lt;b&gt;&amp;amp;" in page
    assert "<i>" not in page
    for name in ("heartbeat.slack.title", "heartbeat.slack.text"):
        text = rendered(tmp_path, name, nasty)
        assert "&lt;!channel&gt; &lt;b&gt;&amp;amp;" in text
        assert "<" not in text
    assert rendered(tmp_path, "heartbeat.slack.title", nasty).startswith("[CRITICAL] ")
    assert (
        rendered(tmp_path, "heartbeat.slack.text", alert("resolved"))
        == "• _resolved:_ *Backup is DOWN* It did not run."
    )
    assert rendered(tmp_path, "heartbeat.slack.color", nasty) == "danger"
    assert rendered(tmp_path, "heartbeat.slack.color", alert(severity="warning")) == "warning"
    assert rendered(tmp_path, "heartbeat.slack.color", alert("resolved")) == "good"
    assert rendered(tmp_path, "heartbeat.runbook", nasty) == "https://example.org/HeartbeatDown.md"


@pytest.mark.parametrize("name", ["heartbeat.text", "heartbeat.html", "heartbeat.slack.text"])
def test_many_are_counted(tmp_path: Path, name: str) -> None:
    many = [alert(summary=f"Job {number} is DOWN", tag=f"job-{number}") for number in range(500)]
    text = rendered(tmp_path, name, *many, type="html" if name.endswith("html") else "text")
    assert text.count("is DOWN") == 20
    assert "500 in all" in text
    assert len(text) < 10_000


def test_every_template_is_defined_used_and_documented() -> None:
    text = (FOLDER / "templates" / "heartbeat.tmpl").read_text()
    defined = set(re.findall(r'define "([\w.]+)"', text))
    used = set(re.findall(r'template "([\w.]+)"', text + FILE.read_text()))
    assert defined == used
    for name in re.findall(r"`(heartbeat\.[\w.]+)`", DOCS):
        assert name in defined | {"heartbeat.tmpl"}


# ── documents ────────────────────────────────────────────────────────────────────────────────────────────────────


def blocks(text: str, language: str) -> list[str]:
    found = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert found
    return found


def test_the_examples_of_the_documents_are_good(tmp_path: Path) -> None:
    ours, theirs = blocks(DOCS, "yaml")
    (tmp_path / "am.yml").write_text(theirs)
    run_tool("amtool", "check-config", str(tmp_path / "am.yml"))
    assert YAML(typ="safe").load(theirs)["route"]["routes"][0] == CONFIG["route"]["routes"][0]
    assert YAML(typ="safe").load(theirs)["receivers"][1] == CONFIG["receivers"][1]
    (tmp_path / "heartbeats.yml").write_text(ours)
    environment = {"WATCHDOG_SECRET": "w" * 24, "SMTP_PASSWORD": "p"}
    settings = load_config(tmp_path / "heartbeats.yml", environment, OptionModels()).settings
    (monitor,) = settings.monitors
    assert monitor.monitor.tag == CONFIG["receivers"][1]["webhook_configs"][0]["url"].rpartition("/")[2]
    assert monitor.monitor.degraded_after > 2 * MINUTE, "one post may be missed"
    for block in blocks(PROMETHEUS_DOCS, "yaml"):
        (tmp_path / "prometheus.yml").write_text(block)
        run_tool("promtool", "check", "config", "--syntax-only", str(tmp_path / "prometheus.yml"))
    queries = [line for line in "".join(blocks(PROMETHEUS_DOCS, "promql")).splitlines() if line and line[0] != "#"]
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "docs", "rules": rules}]}))
    run_tool("promtool", "check", "rules", str(tmp_path / "rules.yml"))


def test_the_prometheus_example_is_good() -> None:
    assert "1 rule files found" in run_tool("promtool", "check", "config", str(FOLDER / "prometheus.yml"))


def test_the_documents_list_every_alert_inhibition_and_file() -> None:
    for one in ALERTS:
        severity = "critical †" if "label_severity" in one["labels"]["severity"] else one["labels"]["severity"]
        row = rf"^\| \[{one['alert']}\]\(runbooks/{one['alert']}\.md\) \| {severity} \| {one.get('for', '')} ?\|"
        assert re.search(row, PROMETHEUS_DOCS, re.MULTILINE), one["alert"]
    for file in FOLDER.rglob("*"):
        if file.suffix in (".yml", ".yaml"):
            assert f"`{file.relative_to(FOLDER)}`" in PROMETHEUS_DOCS
    for rule in CONFIG["inhibit_rules"]:
        source = re.findall(r'"(.+)"', rule["source_matchers"][0])[0].replace("|", ", ")
        assert f"| {source} |" in DOCS
    for name in ("Watchdog", *(one["name"] for one in CONFIG["receivers"])):
        assert name in DOCS


def test_links_of_the_documents_lead_somewhere() -> None:
    documents = [ROOT / "docs" / "alertmanager.md", ROOT / "docs" / "prometheus.md", *ROOT.glob("docs/runbooks/*.md")]
    for file in documents:
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", file.read_text()):
            found = (file.parent / target) if target else file
            assert found.exists(), f"{target} in {file.name}"
            if anchor:
                headings = re.findall(r"^#+ (.+)$", found.read_text(), re.MULTILINE)
                slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
                assert anchor in slugs, f"{target}#{anchor} in {file.name}"


def test_a_configuration_with_a_mistake_is_noticed(tmp_path: Path) -> None:
    """amtool would say so: the check above can fail."""
    (tmp_path / "bad.yml").write_text(FILE.read_text().replace("receiver: mail", "receiver: nowhere"))
    done = subprocess.run([need_tool("amtool"), "check-config", str(tmp_path / "bad.yml")], check=False)
    assert done.returncode != 0
