"""One storm: a world, clients, blows one after the other and side by side, and then all checks."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.live.conftest import eventually
from tests.storm import checks
from tests.storm.blows import BLOWS, Hit, possible
from tests.storm.clients import Clients, Sent
from tests.storm.monitors import Plan
from tests.storm.record import Record, calendar, deliveries, records
from tests.storm.worlds import World, made

SETTLING = 90.0
"""Seconds in which all is quiet again after a storm: leases, retries of notifications, what waits in spools."""
FOLLOWING = 10.0
"""Seconds in which every replica shows what is stored."""
MAX_PAUSE = 4.0
CLOCKS_DIFFER = 5_000
"""Milliseconds between the moments in a state and in the log, after both were moved out of the future."""
TWO_AT_ONCE = 0.35
"""How often two blows hit at once."""


@dataclass
class Report:
    """What was measured, and what is not as it should be."""

    world: str
    spool: bool
    strict: bool
    seed: int
    seconds: float = 0.0
    blows: Counter[str] = field(default_factory=Counter)
    answers: Counter[int] = field(default_factory=Counter)
    stored: int = 0
    transitions: int = 0
    alerts: int = 0
    requests: int = 0
    blackouts: int = 0
    exact: int = 0
    """Monitors whose history is what the order of receipt says, transition for transition."""
    overtaken: int = 0
    """Alerts that a heartbeat contradicts which was received in time and could be stored only later."""
    problems: list[str] = field(default_factory=list)

    @property
    def acknowledged(self) -> int:
        return self.answers[200]

    def figures(self) -> dict[str, object]:
        """For JSON."""
        return {**vars(self), "blows": dict(self.blows), "answers": dict(self.answers)}

    def line(self) -> str:
        return (
            f"{self.world}{'+spool' if self.spool else ''}{'' if self.strict else ' (forgive)'}, seed {self.seed}: "
            f"{self.seconds:.0f} s, {sum(self.blows.values())} blows, {self.acknowledged} acknowledged, "
            f"{self.answers[503]} refused, {self.answers[0]} unanswered, {self.stored} stored, "
            f"{self.transitions} transitions, {self.alerts} alerts, {self.requests} notifications, "
            f"{self.blackouts} blackouts, {self.exact} histories exact, "
            f"{self.overtaken} overtaken, {len(self.problems)} problems"
        )


def storm(
    world: str,
    folder: Path,
    *,
    seed: int,
    seconds: float = 60,
    plan: Plan | None = None,
    blows: Sequence[str] | None = None,
    only: Sequence[str] | None = None,
    senders: int = 64,
    pace: float = 1.0,
    say: Callable[[str], None] = lambda line: None,
) -> Report:
    """Blows are those given, one after the other, or drawn by `seed` for so many `seconds`, of `only` those named."""
    plan = plan or Plan()
    report = Report(world, plan.spool, plan.strict, seed)
    with made(world, plan, folder) as place:
        clients = Clients(plan, place.ports, seed, senders, seconds * 0.8, pace)
        hit = Hit(place, clients, random.Random(f"blows {seed}"), list(range(plan.ordered)))
        began = time.monotonic()
        clients.start()
        try:
            for names in _given(place, blows) if blows is not None else _drawn(place, hit.dice, seconds, only):
                say(f"  {time.monotonic() - began:5.1f} s  {' + '.join(names)}")
                report.blows.update(names)
                _strike(hit, names)
                if blows is not None:
                    before = clients.ledger.acknowledged()
                    # Heartbeats are accepted again after each, by themselves.
                    eventually(lambda before=before: clients.ledger.acknowledged() > before + 50, 40)
                else:
                    hit.wait(0.2, MAX_PAUSE)
            place.ready()
        finally:
            clients.calm()
        report.seconds = time.monotonic() - began
        say(f"  {report.seconds:5.1f} s  settling")
        report.problems += _settle(place)
        _check(place, clients, report)
        for service in place.services:
            for line in service.output().splitlines():
                if "Traceback" in line:
                    report.problems.append(f"{service.log.name} has a traceback")
                    break
    return report


def _given(world: World, blows: Sequence[str]) -> list[list[str]]:
    """Without the disk filled, where none could be mounted."""
    return [[name] for name in blows if name != "disk_full" or world.disk is not None]


def _drawn(world: World, dice: random.Random, seconds: float, only: Sequence[str] | None) -> Iterator[list[str]]:
    names = [name for name in possible(world) if only is None or name in only]
    deadline, deck = time.monotonic() + seconds, []
    while time.monotonic() < deadline:
        if len(deck) < 2:  # each comes as often as any other
            deck += dice.sample(names, len(names))
        count = 2 if dice.random() < TWO_AT_ONCE else 1
        yield [deck.pop(0) for _ in range(count)]


def _strike(hit: Hit, names: Sequence[str]) -> None:
    with ThreadPoolExecutor(len(names)) as threads:
        for done in [threads.submit(BLOWS[name], hit) for name in names]:
            done.result()


def _settle(world: World) -> list[str]:
    """Waits until nothing moves any more."""
    awaited = {"steady", "quick", "dead"}

    def odd() -> list[str]:
        """Monitors whose clients are silent, and which are not DOWN."""
        rows = world.rows("SELECT tag, status FROM states JOIN monitors ON id = monitor_id WHERE removed_at IS NULL")
        return [tag for tag, status in rows if tag.partition("-")[0] in awaited and status != "DOWN"]

    def quiet() -> bool:
        return not odd() and not list(checks.settled(world)) and all(_spooled(world))

    try:
        eventually(quiet, SETTLING)
    except AssertionError as error:
        return [f"{error}: not DOWN {odd()}, {list(checks.settled(world))}, spools empty: {_spooled(world)}"]
    with suppress(AssertionError):  # replicas follow each other twice a second; what never follows is found by `_check`
        eventually(lambda: not list(_not_shown(world, records(world))), FOLLOWING)
    return []


def _not_shown(world: World, stored: dict[str, Record]) -> Iterator[str]:
    for service in world.services:
        metrics = service.metrics()
        for record in stored.values():
            yield from checks.shown(record, service.config.stem, metrics)


def _spooled(world: World) -> list[bool]:
    return [service.metrics().get(("heartbeat_exporter_spooled_heartbeats",), 0) == 0 for service in world.services]


def _check(world: World, clients: Clients, report: Report) -> None:
    stored, sent, forgiven = records(world), clients.ledger.by_tag(), calendar(world)
    delivered = deliveries(world)
    problems = list(checks.settled(world))
    report.answers = Counter(one.status for page in sent.values() for one in page)
    odd = set(report.answers) - {0, 200, 503}
    if odd:
        problems.append(f"answers other than 200 and 503: { {status: report.answers[status] for status in odd} }")
    problems += _not_shown(world, stored)
    for tag, record in stored.items():
        problems += checks.stored_once(record, sent.get(tag, []))
        problems += checks.order_of_receipt(record, CLOCKS_DIFFER if world.plan.clocks else 0)
        if world.plan.clocks:
            problems += checks.outline(record, sent.get(tag, []))
        else:
            problems += checks.history(record, sent.get(tag, []), forgiven)
            problems += checks.falsely_late(record, sent.get(tag, []))
        problems += checks.alarms(record, delivered, forgiven)
    known = {alarm.uid for record in stored.values() for alarm in record.alarms}
    unknown = set(delivered) - known
    if unknown:
        problems.append(f"{len(unknown)} alerts were sent that are not stored")
    report.stored = sum(len(record.log) for record in stored.values())
    report.transitions = sum(len(record.changes) for record in stored.values())
    report.alerts = sum(len(record.alarms) for record in stored.values())
    report.requests = len(world.receiver.received)
    report.blackouts = len(forgiven.blackouts)
    report.exact = sum(
        checks.transitions(one)[1:] == checks.expected(one, forgiven.of(one.monitor)) for one in stored.values()
    )
    report.overtaken = sum(map(checks.overtaken, stored.values()))
    report.problems += problems
    for tag, record in stored.items():
        if any(problem.startswith(f"{tag}:") for problem in problems):
            _keep(world.folder / f"{tag}.txt", record, sent.get(tag, []))


def _keep(path: Path, record: Record, sent: Sequence[Sent]) -> None:
    """All that is known of a monitor, by moments: what to look at when a check fails."""
    lines = [(one.sent_at, f"sent      {one}") for one in sent]
    lines += [(one.beat.received_at, f"stored    {one}") for one in record.log]
    lines += [(one.at, f"status    {one}") for one in record.changes]
    lines += [(one.triggered_at, f"alert     {one}") for one in record.alarms]
    path.write_text("".join(f"{at} {line}\n" for at, line in sorted(lines)) + f"{record.state} {record.runs}\n")
