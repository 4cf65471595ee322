"""What monitors depend on, as the database keeps it: checked when it is written, on every engine."""

import pytest

from exporter.app.provisioning import provision, unresolved_problems
from exporter.config.settings import ProvisionedMonitor, Secret
from exporter.core.dependencies.suppression import Suppression
from exporter.core.errors import ConfigError, Conflict, InvalidValue, Problem
from exporter.core.monitor import RELEASE_AFTER, Monitor
from exporter.storage.repositories.suppressions import SuppressionTable
from tests.conftest import START
from tests.support.replica import Replica


def entries(**parents: tuple[str, ...]) -> list[ProvisionedMonitor]:
    return [ProvisionedMonitor(Monitor(tag=tag, depends_on=some), Secret("s" * 20)) for tag, some in parents.items()]


def put(replica: Replica, *wanted: ProvisionedMonitor) -> tuple[int, int, int]:
    return provision(replica.db, replica.monitors, replica.clock, wanted, b"k" * 32)


def test_settings_are_kept(replica: Replica) -> None:
    replica.add("db")
    replica.add("web", depends_on=("db", "d*"), release_after=90_000)
    for tag, expected in (("db", ((), RELEASE_AFTER)), ("web", (("db", "d*"), 90_000))):
        watched = replica.fleet.get(tag)
        assert watched is not None
        assert (watched.monitor.depends_on, watched.monitor.release_after) == expected


def test_a_monitor_that_is_added_depends_on_what_is_there(replica: Replica) -> None:
    with pytest.raises(InvalidValue, match="depends_on: there is no monitor 'db'"):
        replica.add("web", depends_on=("db",))
    assert len(replica.fleet) == 0
    replica.add("db", depends_on=("web*",))
    with pytest.raises(InvalidValue, match="cycle of dependencies: db → web → db"):
        replica.add("web", depends_on=("db",))
    replica.add("web")
    for number in range(51):
        replica.monitors.add(Monitor(tag=f"p{number}"), b"d" * 32)
    with pytest.raises(InvalidValue, match="matches 51 monitors"):
        replica.add("many", depends_on=("p*",))


def test_provisioned_monitors_may_depend_on_those_made_by_hand(replica: Replica) -> None:
    with pytest.raises(ConfigError, match="'web' depends on 'db', but there is no such monitor"):
        put(replica, *entries(web=("db",)))
    assert replica.execute("SELECT COUNT(*) FROM monitors") == [(0,)]
    replica.add("db")
    assert put(replica, *entries(web=("db",), api=("web", "x*"))) == (2, 0, 0)
    # One that the file had before is no monitor any more.
    with pytest.raises(ConfigError, match="'api'"):
        put(replica, *entries(web=("api",)))


def test_unresolved_parents_keep_their_place(replica: Replica) -> None:
    replica.add("db")
    places = [("db", Problem("a")), ("ghost", Problem("b")), ("ghost", Problem("c"))]
    assert unresolved_problems(replica.db, places) == [Problem("b"), Problem("c")]


def test_what_the_file_depends_on_by_name_is_not_removed(replica: Replica) -> None:
    replica.add("db")
    replica.add("cache")
    put(replica, *entries(web=("db", "c*"), api=("db",)))
    with pytest.raises(Conflict, match="'api' and 1 more of the configuration file depends on 'db'"):
        replica.monitors.remove("db")
    replica.monitors.remove("cache")
    put(replica)
    replica.monitors.remove("db")


def test_suppressions_are_read_when_they_have_changed(replica: Replica) -> None:
    table = SuppressionTable(replica.db)
    first = Suppression(START, START, None, True, False)
    with replica.db.write("test") as transaction:
        revision = table.write(transaction, {1: first, 2: Suppression(START, released=True)}, ())
    read = table.read()
    assert read is not None
    assert (read.revision, read.by_monitor[1]) == (revision, first)
    assert table.read(revision) is None
    with replica.db.write("test") as transaction:
        table.write(transaction, {}, [2])
    read = table.read(revision)
    assert read is not None
    assert read.by_monitor == {1: first}


def test_a_clock_that_steps_releases_nothing_late(replica: Replica) -> None:
    table = SuppressionTable(replica.db)
    ahead = Suppression(START + 5_000_000, START + 5_000_000, START + 5_600_000)
    before = Suppression(START - 1_000, None, START + 600_000)
    with replica.db.write("test") as transaction:
        table.write(transaction, {1: ahead, 2: before}, ())
        table.set_back(5_000_000, START)
    read = table.read()
    assert read is not None
    assert read.by_monitor == {1: Suppression(START, START, START + 600_000), 2: before}
    with replica.db.write("test"):
        table.set_forward(1_000)
    read = table.read()
    assert read is not None
    assert read.by_monitor[2] == Suppression(START, None, START + 601_000)
