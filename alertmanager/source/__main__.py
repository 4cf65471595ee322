"""`python -m alertmanager.source` writes what is built."""

from alertmanager.source import PROMETHEUS_RULE, RULES, prometheus_rule

PROMETHEUS_RULE.write_text(prometheus_rule(RULES.read_text()))
