"""Unit tests of rules by promtool: what replicas would have told, step by step, and which alerts fire at which step."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from exporter.core.status import Status
from tests.support.tools import run_tool

RULES = Path(__file__).parent.parent.parent / "alertmanager" / "heartbeat-rules.yml"
GONE = "gone"
"""Of a replica: Prometheus cannot reach it. Of a monitor: there is none."""
REASONS = {"UP": "on_time", "DEGRADED": "late", "DOWN": "missed", "NO_DATA": "never_received", "PAUSED": "paused"}


@cache
def both_ends() -> int:
    """1 where a range such as `[15m]` holds the sample at its beginning too, as before Prometheus 3; 0 since."""
    version = re.search(r"version (\d+)", run_tool("promtool", "--version"))
    assert version is not None
    return int(int(version[1]) < 3)


def steps(spec: str) -> list[str]:
    """`UP*3 DOWN` is UP, UP, UP, DOWN."""
    found: list[str] = []
    for part in spec.split():
        word, _, times = part.partition("*")
        found += [word] * int(times or 1)
    return found


@dataclass
class World:
    """What Prometheus scrapes. A step is `step` seconds, and step 0 is Unix time 0."""

    step: int = 15
    series: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _reach: dict[str, list[str]] = field(default_factory=dict)

    def replica(
        self, spec: str, instance: str = "a:1", job: str = "heartbeat", **values: str | Mapping[str, str]
    ) -> None:
        """`spec` is of `on` and `gone`. `values` are steps of its own metrics, by name without the prefix and, where
        they have labels, by those."""
        reach = steps(spec)
        self._reach[instance] = reach
        names = f'job="{job}",instance="{instance}"'
        self._put(f"up{{{names}}}", ["0" if one == GONE else "1" for one in reach])
        own: dict[str, list[str]] = {
            f'build_info{{version="1",{names}}}': ["1"] * len(reach),
            f'monitors{{status="UP",{names}}}': ["1"] * len(reach),
            f"evaluated_until_timestamp_seconds{{{names}}}": [str(place * self.step) for place in range(len(reach))],
            f"storage_up{{{names}}}": ["1"] * len(reach),
            f"config_last_reload_successful{{{names}}}": ["1"] * len(reach),
            f"evaluation_failures_total{{{names}}}": ["0"] * len(reach),
        }
        for name, given in values.items():
            for labels, spec in given.items() if isinstance(given, Mapping) else [("", given)]:
                own[f"{name}{{{labels}{',' if labels else ''}{names}}}"] = steps(spec)
        for key, told in own.items():
            self._put(f"heartbeat_exporter_{key}", self._reached(instance, told))

    def monitor(self, spec: str, tag: str = "job", instance: str = "a:1", job: str = "heartbeat", **given: Any) -> None:
        """`spec` is of statuses. `given`: `reason` while DOWN or, if it is one of those, while DEGRADED; `info`
        (labels); `metrics` (steps by name).
        """
        told = steps(spec)
        names = f'job="{job}",instance="{instance}",tag="{tag}"'
        for status in Status:
            values = ["" if one == GONE else str(int(one == status)) for one in told]
            self._put(f'heartbeat_status{{status="{status.value}",{names}}}', self._reached(instance, values))
        reason = given.get("reason", "missed")
        status = "DEGRADED" if reason in ("failing", "too_short") else "DOWN"
        reasons = [reason if one == status else REASONS.get(one, "") for one in told]
        for reason in sorted(set(reasons) - {""}):
            values = ["1" if one == reason else "" for one in reasons]
            self._put(f'heartbeat_status_reason{{reason="{reason}",{names}}}', self._reached(instance, values))
        labels = {"name": tag, "group": "", "schedule": "", "timezone": "UTC", **given.get("info", {})}
        pairs = ",".join(f"{key}={json.dumps(value)}" for key, value in labels.items())
        there = ["" if one == GONE else "1" for one in told]
        self._put(f"heartbeat_info{{{pairs},{names}}}", self._reached(instance, there))
        since = 0
        moments = []
        for place, one in enumerate(told):
            since = place * self.step if place and one != told[place - 1] else since
            moments.append("" if one == GONE else str(since))
        metrics = {
            "status_since_timestamp_seconds": moments,
            "down_after_seconds": ["600" if one else "" for one in there],
        }
        metrics |= {
            name: ["" if one == GONE else one for one in steps(values)]
            for name, values in given.get("metrics", {}).items()
        }
        for name, values in metrics.items():
            self._put(f"heartbeat_{name}{{{names}}}", self._reached(instance, values))

    def _reached(self, instance: str, values: list[str]) -> list[str]:
        reach = self._reach.get(instance, ["on"] * len(values))
        assert len(values) == len(reach), (len(values), len(reach))
        return ["" if one == GONE else value for one, value in zip(reach, values, strict=True)]

    def _put(self, key: str, values: list[str]) -> None:
        """What is not there any more is stale, as after a scrape that does not have it."""
        written, before = [], ""
        for value in values:
            written.append(value or ("stale" if before else "_"))
            before = value
        self.series[key] = written

    def alerts_are(self, folder: Path, **expected: str) -> None:
        """How many of each alert fire, step by step; of those that are not named none does, but for the Watchdog."""
        length = max(len(values) for values in self.series.values())
        counts = {alert: steps(spec) for alert, spec in expected.items()}
        for alert, values in counts.items():
            assert len(values) == length, (alert, len(values), length)
        queries = []
        for place in range(length):
            firing = Counter({"Watchdog": 1}) + Counter({alert: int(counts[alert][place]) for alert in counts})
            queries.append(
                {
                    "expr": 'sum by (alertname) (ALERTS{alertstate="firing"})',
                    "eval_time": f"{place * self.step}s",
                    "exp_samples": [
                        {"labels": f'{{alertname="{alert}"}}', "value": count} for alert, count in firing.items()
                    ],
                }
            )
        self._run(folder, promql_expr_test=queries)

    def alert_is(
        self, folder: Path, alert: str, at: int, labels: Mapping[str, str], summary: str, description: str
    ) -> None:
        """All that it says at a step, to the letter."""
        texts = {"summary": summary, "description": description}
        expected = {"exp_labels": dict(labels), "exp_annotations": texts}
        test = {"eval_time": f"{at * self.step}s", "alertname": alert, "exp_alerts": [expected]}
        self._run(folder, alert_rule_test=[test])

    def values_are(self, folder: Path, at: int, expected: Mapping[str, Iterable[tuple[str, float]]]) -> None:
        """Of queries, at a step: labels and values."""
        tests = [
            {
                "expr": expr,
                "eval_time": f"{at * self.step}s",
                "exp_samples": [{"labels": labels, "value": value} for labels, value in samples],
            }
            for expr, samples in expected.items()
        ]
        self._run(folder, promql_expr_test=tests)

    def _run(self, folder: Path, **tests: Any) -> None:
        inputs = [{"series": key, "values": " ".join(values)} for key, values in self.series.items()]
        test = {"interval": f"{self.step}s", "input_series": inputs, **tests}
        file = folder / "test.yml"
        document = {
            "rule_files": [str(RULES)],
            "evaluation_interval": f"{self.step}s",
            "group_eval_order": ["heartbeat-history", "heartbeat-alerts"],
            "tests": [test],
        }
        file.write_text(json.dumps(document))
        run_tool("promtool", "test", "rules", str(file))
