"""Keeps which monitors are suppressed by what they depend on, with or without alert rules.

Works from what the database has, in the transactions of the evaluator, so that a process that takes over goes on where
another one ended. While no monitor depends on another one, it does nothing.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from exporter.core.dependencies.graph import NO_DEPENDENCIES, DependencyGraph, describe_cycle
from exporter.core.dependencies.suppression import HELD, SUPPRESSING, Suppression, Suppressions, Trouble, advance
from exporter.core.fleet import Fleet
from exporter.core.monitor import MAX_PARENTS
from exporter.core.status import Reason
from exporter.evaluation.outcomes import Outcome
from exporter.fleet.loader import load_statuses
from exporter.storage.database import Database, Transaction
from exporter.storage.repositories.suppressions import SuppressionTable

log = logging.getLogger(__name__)

MAX_LOGGED = 10
"""Cycles, and monitors with too many parents, that are logged one by one."""


class SuppressionTracker:
    """Belongs to the evaluator's thread. Methods block and raise StorageUnavailable."""

    def __init__(self, database: Database, fleet: Fleet, table: SuppressionTable) -> None:
        self._db = database
        self._fleet = fleet
        self._table = table
        self._graph = NO_DEPENDENCIES
        self._reasons: dict[str, Reason] = {}
        """Of the monitors that are part of the graph or suppressed, by tag, as the database has them."""
        self._kept: dict[int, Suppression] = {}
        """As the database has them, by monitor."""
        self._revision = -1
        self._stale = True
        """Whether another process, or a commit without an answer, may have changed what the database has."""
        self._doubts = database.doubts
        self._logged: set[tuple[str, ...]] = set()

    def took_over(self) -> None:
        self._stale = True

    def clock_set_back(self, transaction: Transaction, by: int, now: int) -> None:
        self._table.set_back(by, now)
        self._stale = True

    @property
    def graph(self) -> DependencyGraph:
        """As of the last look."""
        return self._graph

    def of(self, monitor_id: int) -> Suppression | None:
        """As of the last change that was committed or, inside a transaction, is about to be."""
        return self._kept.get(monitor_id)

    def reason(self, tag: str) -> Reason | None:
        """That of a monitor which is part of the graph or suppressed; None for any other one."""
        return self._reasons.get(tag)

    def trouble(self) -> Trouble:
        """Which monitors suppress others."""
        return Trouble(self._graph, self._reasons)

    def next_due(self) -> int | None:
        """When the next suppression changes by the clock alone."""
        return min((at for at in (each.next_at for each in self._kept.values()) if at is not None), default=None)

    def look(self, transaction: Transaction, now: int) -> set[int]:
        """Takes over what has changed in the database and in the configuration, and what the clock has changed.
        Returns the monitors whose suppression changed.
        """
        changed = self._refresh(transaction, now)
        due = [id for id, each in self._kept.items() if each.next_at is not None and each.next_at <= now]
        return changed | self._advance(transaction, self._tags(due), {}, now)

    def is_out_of_date(self, now: int) -> bool:
        """Whether `look` has anything to do."""
        if self._is_idle():
            return False
        if self._stale or self._db.doubts != self._doubts or self._fleet.dependencies is not self._graph:
            return True
        if self._table.read(self._revision) is not None:
            self._stale = True
        due = self.next_due()
        return self._stale or (due is not None and due <= now)

    def observe(self, transaction: Transaction, outcomes: Sequence[Outcome], now: int) -> set[int]:
        """After evaluations, in their transaction. Returns the monitors whose suppression changed."""
        if self._is_idle():
            return set()
        changed = self._refresh(transaction, now)
        moments: dict[str, int] = {}
        turned: dict[str, int] = {}
        for outcome in outcomes:
            tag, reason = outcome.watched.monitor.tag, outcome.after.reason
            before = self._reasons.get(tag)
            if before is None or before is reason:
                continue
            at = outcome.transitions[-1].at if outcome.transitions else now
            self._set_reason(transaction, tag, reason)
            if outcome.watched.monitor.depends_on or outcome.watched.id in self._kept:
                moments[tag] = at
            if (before in SUPPRESSING, before is Reason.MAINTENANCE) != (
                reason in SUPPRESSING,
                reason is Reason.MAINTENANCE,
            ):
                turned[tag] = at
        seen: set[str] = set()
        for tag, at in sorted(turned.items(), key=lambda one: -one[1]):
            for child in self._graph.descendants(tag):
                if child in seen:
                    continue
                seen.add(child)
                moments[child] = max(at, moments.get(child, at))
        return changed | self._advance(transaction, moments, moments, now)

    # ── inside a transaction ─────────────────────────────────────────────────────────────────────────────────

    def _is_idle(self) -> bool:
        """Whether there is nothing that depends on anything, and nothing left of what did."""
        return not self._stale and not self._kept and not self._fleet.dependencies and not self._graph

    def _refresh(self, transaction: Transaction, now: int) -> set[int]:
        graph, doubts = self._fleet.dependencies, self._db.doubts
        if not self._stale and graph is self._graph and doubts == self._doubts:
            return set()
        kept = self._table.read()
        assert kept is not None
        tags = graph.tags()
        for id in kept.by_monitor:
            watched = self._fleet.with_id(id)
            if watched is not None:
                tags.add(watched.monitor.tag)
        present = [(tag, watched.id) for tag in tags if (watched := self._fleet.get(tag)) is not None]
        statuses = load_statuses(self._db, sorted(id for _, id in present))
        self._graph, self._kept, self._revision = graph, dict(kept.by_monitor), kept.revision
        self._reasons = {tag: statuses[id].reason for tag, id in present if id in statuses}
        self._stale, self._doubts = False, doubts
        self._unless_committed(transaction)
        transaction.after_commit.append(lambda: self._fleet.show_suppressions(kept))
        self._report(graph)
        removed = {id for id in self._kept if self._fleet.with_id(id) is None}
        if removed:
            self._write(transaction, {}, removed)
        late = [tag for tag, reason in self._reasons.items() if reason in HELD]
        return removed | self._advance(transaction, {*late, *self._tags(self._kept)}, {}, now)

    def _advance(self, transaction: Transaction, tags: Iterable[str], moments: Mapping[str, int], now: int) -> set[int]:
        trouble = self.trouble()
        changed: dict[int, Suppression] = {}
        over: set[int] = set()
        for tag in tags:
            watched, reason = self._fleet.get(tag), self._reasons.get(tag)
            if watched is None or reason is None:
                continue
            before, late = self._kept.get(watched.id), reason in HELD
            if before is None and not late:
                continue
            after = advance(
                before,
                watched.monitor,
                watched.state.last_success_at,
                late=late,
                trouble=trouble.of(tag),
                at=min(now, moments.get(tag, now)),
            )
            causes = trouble.causes(tag)
            cause = self._fleet.get(causes[-1]) if causes else None
            if after is not None and cause is not None:
                after = replace(after, cause_id=cause.id)
            if after is None and before is not None:
                over.add(watched.id)
            elif after is not None and after != before:
                changed[watched.id] = after
        if changed or over:
            self._write(transaction, changed, over)
        return {*changed, *over}

    def _write(self, transaction: Transaction, changed: Mapping[int, Suppression], over: Iterable[int]) -> None:
        self._unless_committed(transaction)
        self._revision = self._table.write(transaction, changed, over)
        self._kept.update(changed)
        for id in over:
            self._kept.pop(id, None)
        shown = Suppressions(dict(self._kept), self._revision)
        transaction.after_commit.append(lambda: self._fleet.show_suppressions(shown))

    def _set_reason(self, transaction: Transaction, tag: str, reason: Reason) -> None:
        self._unless_committed(transaction)
        self._reasons[tag] = reason

    def _unless_committed(self, transaction: Transaction) -> None:
        """What is in memory may be ahead of the database until the transaction is committed."""
        if not self._stale:
            self._stale = True
            transaction.after_commit.append(self._committed)

    def _committed(self) -> None:
        self._stale = False

    def _tags(self, ids: Iterable[int]) -> list[str]:
        members = (self._fleet.with_id(id) for id in list(ids))
        return [watched.monitor.tag for watched in members if watched is not None]

    def _report(self, graph: DependencyGraph) -> None:
        """Logs once what arose at run time and has no effect."""
        new = [path for path in graph.cycles if path not in self._logged]
        crowded = [(tag,) for tag in graph.crowded if (tag,) not in self._logged]
        for path in new[:MAX_LOGGED]:
            log.warning("a cycle of dependencies has no effect: %s", describe_cycle(path))
        for (tag,) in crowded[:MAX_LOGGED]:
            log.warning(
                "%s depends on %d monitors: only the first %d have an effect", tag, graph.crowded[tag], MAX_PARENTS
            )
        self._logged.update(new, crowded)
