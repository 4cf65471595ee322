"""docs/metrics.md names every metric, label, status and reason there is, and none that there is not."""

import json
import re
from pathlib import Path
from unittest.mock import Mock

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.config.models import StorageSection
from exporter.core.alerts.alert_rule import Severity
from exporter.core.alerts.held import AlertHold, HoldKind
from exporter.core.alerts.notification import Hold
from exporter.core.status import Reason, Status
from exporter.core.telemetry import Dropped, Fault, RejectReason
from exporter.ingest.dialects.alertmanager import TAG_LABEL
from exporter.metrics.exposition.families import FAMILIES
from exporter.metrics.own.alerts import AlertCollector
from exporter.metrics.own.blackouts import BlackoutSeconds
from exporter.metrics.own.job_metrics import JobMetricsCollector
from exporter.metrics.own.telemetry import PREFIX
from exporter.notify.notifier import Failure
from exporter.storage.delivery.notifications import Queue
from exporter.storage.repositories.alert_board import AlertBoard
from tests.conftest import ManualClock
from tests.metrics.test_telemetry import exercised
from tests.support.tools import run_tool

ROOT = Path(__file__).parent.parent.parent
DOCS = (ROOT / "docs" / "metrics.md").read_text()
GOLDEN = ROOT / "tests" / "golden" / "metrics.txt"


def documented() -> dict[str, tuple[str, str]]:
    """Name → (type, the rest of its row)."""
    rows = re.findall(r"^\| `(heartbeat_\w+)` \| (\w+) \| (.*)$", DOCS, re.MULTILINE)
    assert len(rows) == len({name for name, _, _ in rows}), "a metric has two rows"
    return {name: (kind, rest) for name, kind, rest in rows}


def shipped() -> dict[str, tuple[str, set[str]]]:
    """Sample name → (type, labels) of everything that a scrape answers, but for process_*."""
    found: dict[str, tuple[str, set[str]]] = {}
    for family in parse_text(GOLDEN.read_text()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {key for sample in family.samples for key in sample.labels}
        # That `tag` is on all of them is said once.
        found[name] = (family.type, {re.sub("^label_.*", "label_<key>", label) for label in labels - {"tag"}})
    for name, metric in exercised().families().items():
        if name.startswith(PREFIX):
            found[name] = (metric.type, {key for sample in metric.samples for key in sample.labels} - {"le"})
    of_jobs = JobMetricsCollector(Mock(groups=0, samples=0))
    for metric in (
        *on_the_board().collect(),
        *BlackoutSeconds(lambda: 0, PREFIX).collect(),
        *of_jobs.collect(),
    ):
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        found[name] = (metric.type, {key for sample in metric.samples for key in sample.labels})
    assert {family.sample_name for family in FAMILIES} <= set(found)
    return found


def on_the_board() -> AlertCollector:
    """Series of alerts and what is owed, with one of each."""
    board = AlertBoard(Mock(), Mock(), Mock(), ManualClock())
    holds = (AlertHold(HoldKind.INGEST_GUARD, 0, 1),)
    board.firing = {1: Mock(tag="job", rule="down", severity=Severity.CRITICAL, holds=holds)}
    board.queues = [Queue("ops", 1, 0, 0)]
    board.holds = {"ops": Hold("ops", 0, 1, "busy")}
    return AlertCollector(board, ManualClock(), PREFIX)


def blocks(language: str, beginning: str = "") -> list[str]:
    found = [text for text in re.findall(rf"```{language}\n(.*?)```", DOCS, re.DOTALL) if text.startswith(beginning)]
    assert found
    return found


@pytest.mark.parametrize("name", shipped())
def test_every_metric_is_documented_with_its_type_and_labels(name: str) -> None:
    assert name in documented(), f"{name} is not in docs/metrics.md"
    kind, labels = shipped()[name]
    documented_kind, row = documented()[name]
    assert documented_kind == kind
    for label in labels:
        assert f"`{label}`" in row, f"the label {label} of {name}"


def test_no_metric_is_documented_that_does_not_exist() -> None:
    exist = set(shipped())
    assert set(documented()) <= exist
    for file in [*ROOT.glob("docs/*.md"), ROOT / "README.md"]:
        # What has a colon before it is a recording rule's; those are looked at in test_rules.py.
        for name in re.findall(r"(?<![\w:])heartbeat_[a-z_]+\b(?!\.)", file.read_text()):
            name = re.sub(r"_(bucket|count|sum)$", "", name)
            if name not in ("heartbeat_exporter", "heartbeat_exporter_", TAG_LABEL, *StorageSection.model_fields):
                assert name in exist, f"{name} in {file.name}"


@pytest.mark.parametrize("word", [*Status, *Reason, *RejectReason, *Fault, *Dropped, *Failure])
def test_every_status_and_reason_is_documented(
    word: Status | Reason | RejectReason | Fault | Dropped | Failure,
) -> None:
    assert re.search(rf"^\| `{word.value}` \|", DOCS, re.MULTILINE), word


def test_every_query_uses_labels_that_exist() -> None:
    labels = {label for _, found in shipped().values() for label in found} | {"tag", "job", "instance", "le"}
    for query in blocks("promql"):
        for name in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", query):
            assert re.sub("^label_.*", "label_<key>", name) in labels, name


def test_every_query_is_promql(tmp_path: Path) -> None:
    """Each line that is no comment is a query of its own."""
    queries = [line for text in blocks("promql") for line in text.splitlines() if line and not line.startswith("#")]
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "docs", "rules": rules}]}))
    run_tool("promtool", "check", "rules", str(tmp_path / "rules.yml"))


def test_rules_and_scrape_configurations_are_prometheuss(tmp_path: Path) -> None:
    file = tmp_path / "block.yml"
    for text in blocks("yaml", "groups:"):
        file.write_text(text)
        run_tool("promtool", "check", "rules", str(file))
    for text in blocks("yaml", "scrape_configs:"):
        file.write_text(text)
        run_tool("promtool", "check", "config", "--syntax-only", str(file))
