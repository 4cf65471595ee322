"""docs/metrics.md names every metric, label, status and reason there is, and none that there is not."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from exporter.core.status import Reason, Status
from exporter.core.telemetry import Rejection, Silent, Telemetry
from exporter.metrics.families import FAMILIES
from exporter.metrics.telemetry import ExporterTelemetry
from exporter.storage.fleet import Fleet

ROOT = Path(__file__).parent.parent.parent
DOCS = (ROOT / "docs" / "metrics.md").read_text()


def own_families() -> dict[str, tuple[str, set[str]]]:
    """Sample name → (type, labels) of everything that we register, each instrument used once."""
    registry = CollectorRegistry()
    telemetry = ExporterTelemetry(registry, Fleet(), "1")
    telemetry.request_served("page", "GET", 200, 0.1)
    telemetry.heartbeat_rejected(Rejection.STORAGE)
    telemetry.batch_committed(3, 0.01)
    telemetry.storage_failed("commit")
    telemetry.storage_up(True)
    telemetry.evaluated(2, 0.1)
    telemetry.evaluation_failed()
    telemetry.transition("UP")
    telemetry.lease_held(True)
    telemetry.config_reloaded(True, 5.0)
    telemetry.config_reloaded(False, 6.0)
    telemetry.scraped(0.1)
    found = {}
    for family in registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = (family.type, {key for sample in family.samples for key in sample.labels} - {"le"})
    return found


def test_every_instrument_moves() -> None:
    registry = CollectorRegistry()
    telemetry = ExporterTelemetry(registry, Fleet(), "1")
    before = {(s.name, *s.labels.values()): s.value for family in registry.collect() for s in family.samples}
    telemetry.request_served("page", "GET", 200, 0.1)
    telemetry.heartbeat_rejected(Rejection.WRONG_SECRET)
    telemetry.batch_committed(3, 0.01)
    telemetry.storage_failed("commit")
    telemetry.storage_up(True)
    telemetry.evaluated(2, 0.1)
    telemetry.evaluation_failed()
    telemetry.transition("DOWN")
    telemetry.lease_held(True)
    telemetry.config_reloaded(True, 5.0)
    telemetry.scraped(0.2)
    after = {(s.name, *s.labels.values()): s.value for family in registry.collect() for s in family.samples}
    moved = {key for key, value in after.items() if value != before.get(key, 0.0) and not key[0].startswith("process_")}
    prefix = "heartbeat_exporter_"
    for key in [
        ("http_requests_total", "page", "GET", "200"),
        ("http_request_duration_seconds_sum", "page"),
        ("heartbeats_rejected_total", "wrong_secret"),
        ("commit_duration_seconds_count",),
        ("commit_batch_size_sum",),
        ("storage_errors_total", "commit"),
        ("storage_up",),
        ("evaluations_total",),
        ("evaluation_failures_total",),
        ("evaluation_lag_seconds_count",),
        ("transitions_total", "DOWN"),
        ("lease_held",),
        ("config_last_reload_successful",),
        ("config_last_reload_success_timestamp_seconds",),
        ("scrape_duration_seconds_count",),
    ]:
        assert (prefix + key[0], *key[1:]) in moved
    telemetry.config_reloaded(False, 9.0)
    assert registry.get_sample_value(f"{prefix}config_last_reload_successful") == 0
    assert registry.get_sample_value(f"{prefix}config_last_reload_success_timestamp_seconds") == 5.0


def test_silence_and_metrics_implement_the_same() -> None:
    wanted = {name for name in vars(Telemetry) if not name.startswith("_")}
    assert wanted <= set(vars(Silent))
    assert wanted <= set(vars(ExporterTelemetry))


def test_every_metric_is_documented_with_its_type_and_labels() -> None:
    metrics = {family.sample_name: (family.type, set[str]()) for family in FAMILIES}
    metrics |= {name: spec for name, spec in own_families().items() if name.startswith("heartbeat_")}
    for name, (kind, labels) in metrics.items():
        row = re.search(rf"^\| `{name}` \| (\w+) \| (.*)$", DOCS, re.MULTILINE)
        assert row is not None, f"{name} is not in docs/metrics.md"
        assert row[1] == kind
        for label in labels:
            assert f"`{label}`" in row[2], f"the label {label} of {name}"


def test_no_metric_is_documented_that_does_not_exist() -> None:
    exist = {family.sample_name for family in FAMILIES} | set(own_families())
    for file in [*ROOT.glob("docs/*.md"), ROOT / "README.md"]:
        for name in re.findall(r"\bheartbeat_[a-z_]+\b(?!\.)", file.read_text()):
            name = re.sub(r"_(bucket|count|sum)$", "", name)
            if name not in ("heartbeat_exporter", "heartbeat_exporter_"):
                assert name in exist, f"{name} in {file.name}"


def test_every_status_and_reason_is_documented() -> None:
    for word in [*Status, *Reason, *Rejection]:
        assert re.search(rf"^\| `{word.value}` \|", DOCS, re.MULTILINE), word
