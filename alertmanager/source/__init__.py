"""Builds the PrometheusRule for the Operator from the rules file: `make rules`."""

from pathlib import Path

FOLDER = Path(__file__).parent.parent
RULES = FOLDER / "heartbeat-rules.yml"
PROMETHEUS_RULE = FOLDER / "kubernetes" / "prometheusrule.yaml"
_HEAD = """\
# Built from heartbeat-rules.yml: change that one, then `make rules`.
#
# An Operator takes those PrometheusRules that its Prometheus selects: look at spec.ruleSelector of yours, and add the
# label that it asks for (with kube-prometheus-stack `release: NAME`).
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: heartbeat-exporter
  labels:
    app.kubernetes.io/name: heartbeat-exporter
spec:
"""


def prometheus_rule(rules: str) -> str:
    """The manifest with these rules, comments and all."""
    before, start, groups = rules.partition("groups:\n")
    assert start, "a rules file has groups"
    assert all(line.startswith("#") for line in before.splitlines())
    return _HEAD + "".join(f"  {line}" if line.strip() else line for line in (start + groups).splitlines(keepends=True))
