"""The rules in force, and which of them watch which monitor."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b

from exporter.core.alerts.alert_rule import AlertRule
from exporter.core.monitor import Monitor


def fingerprint(rule: AlertRule) -> str:
    """Differs as soon as anything about the rule does."""
    return blake2b(repr(rule).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class RuleSet:
    """Immutable but for what it remembers; a reload makes a new one."""

    def __init__(self, rules: Iterable[AlertRule] = ()) -> None:
        self._rules = {rule.name: rule for rule in rules}
        self._prints = {name: fingerprint(rule) for name, rule in self._rules.items()}
        self._watching: dict[str, tuple[Monitor, Sequence[AlertRule]]] = {}
        self._sets: dict[tuple[AlertRule, ...], tuple[AlertRule, ...]] = {}
        """Monitors by the thousand are watched by the same rules: each set of them is kept once."""

    def __bool__(self) -> bool:
        return bool(self._rules)

    def get(self, name: str) -> AlertRule | None:
        return self._rules.get(name)

    def fingerprint(self, name: str) -> str | None:
        return self._prints.get(name)

    def watching(self, monitor: Monitor) -> Sequence[AlertRule]:
        """The rules that select this monitor. Matching globs costs more than all the rest of an evaluation."""
        cached = self._watching.get(monitor.tag)
        if cached is None or (cached[0] is not monitor and cached[0] != monitor):
            rules = tuple(rule for rule in self._rules.values() if rule.selector.matches(monitor))
            cached = (monitor, self._sets.setdefault(rules, rules))
            self._watching[monitor.tag] = cached
        return cached[1]

    def idle(self, monitors: Iterable[Monitor]) -> list[str]:
        """The names of rules that select none of these."""
        left = dict(self._rules)
        for monitor in monitors:
            for name in [name for name, rule in left.items() if rule.selector.matches(monitor)]:
                del left[name]
            if not left:
                break
        return list(left)
