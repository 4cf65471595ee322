"""What depends on what: tags and globs, several levels, cycles, and 100,000 monitors."""

import time
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.dependencies.graph import DependencyGraph, describe_cycle
from exporter.core.dependencies.patterns import TagIndex, check_pattern
from exporter.core.errors import InvalidValue
from exporter.core.monitor import Monitor

TAGS = st.text("ab.-", min_size=1, max_size=4)
PATTERNS = st.text("ab.-*?[]!", min_size=1, max_size=5)


def graph_of(**parents: tuple[str, ...]) -> DependencyGraph:
    return DependencyGraph(Monitor(tag=tag, depends_on=patterns) for tag, patterns in parents.items())


def test_several_levels() -> None:
    graph = graph_of(power=(), network=("power",), db=("network",), web=("db", "cache"), cache=("network",))
    assert graph.parents("web") == ("cache", "db")
    assert graph.children("network") == ["cache", "db"]
    assert list(graph.ancestors("web")) == ["cache", "db", "network", "power"]
    assert set(graph.descendants("power")) == {"network", "db", "cache", "web"}
    assert list(graph.pairs()) == [
        ("cache", "network"),
        ("db", "network"),
        ("network", "power"),
        ("web", "cache"),
        ("web", "db"),
    ]
    assert not graph.cycles
    assert not graph.unknown


def test_a_glob_never_matches_the_monitor_itself() -> None:
    graph = graph_of(**{"db-1": ("db-*",), "db-2": (), "web": ("db-*",)})
    assert graph.parents("db-1") == ("db-2",)
    assert graph.parents("web") == ("db-1", "db-2")
    assert not graph.cycles
    alone = graph_of(**{"db-1": ("db-*",)})
    assert not alone
    assert alone.unmatched == {"db-1": ("db-*",)}


def test_cycles_have_no_effect_and_are_named_with_their_path() -> None:
    graph = graph_of(a=("b", "outside"), b=("c",), c=("a",), outside=(), d=("a",))
    assert [describe_cycle(path) for path in graph.cycles] == ["a → b → c → a"]
    assert graph.parents("a") == ("outside",)
    assert graph.parents("b") == graph.parents("c") == ()
    assert list(graph.ancestors("d")) == ["a", "outside"]


def test_a_cycle_through_a_glob() -> None:
    graph = graph_of(**{"a": ("b*",), "b1": ("a",), "b2": ()})
    assert [describe_cycle(path) for path in graph.cycles] == ["a → b1 → a"]
    assert graph.parents("a") == ("b2",)


def test_unknown_parents_and_too_many() -> None:
    graph = graph_of(a=("ghost", "b"), b=())
    assert graph.unknown == {"a": ("ghost",)}
    many = graph_of(child=("p*",), **{f"p{number:02}": () for number in range(51)})
    assert many.crowded == {"child": 51}
    assert len(many.parents("child")) == 50
    among_them = graph_of(**{f"p{number:02}": ("p*",) if number == 7 else () for number in range(51)})
    assert not among_them.crowded
    assert len(among_them.parents("p07")) == 50


def test_a_long_cycle_is_shortened() -> None:
    tags = [f"t{number:02}" for number in range(30)]
    graph = graph_of(**{tag: (tags[(place + 1) % 30],) for place, tag in enumerate(tags)})
    text = describe_cycle(graph.cycles[0])
    assert text.startswith("t00 → t01 →")
    assert text.endswith("→ t00")
    assert "20 more" in text


@given(st.sets(TAGS, max_size=12), PATTERNS)
def test_the_index_finds_what_fnmatch_does(tags: set[str], pattern: str) -> None:
    assert list(TagIndex(tags).matching(pattern)) == sorted(tag for tag in tags if fnmatchcase(tag, pattern))


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.sets(st.sampled_from("abcdefgh*"), max_size=4)))
def test_the_graph_is_the_relation_without_its_cycles(parents: dict[str, set[str]]) -> None:
    given_parents = {
        tag: {other for other in parents for name in names if name in ("*", other)} - {tag}
        for tag, names in parents.items()
    }

    def reach(tag: str) -> set[str]:
        seen: set[str] = set()
        work = list(given_parents[tag])
        while work:
            other = work.pop()
            if other not in seen:
                seen.add(other)
                work += given_parents[other]
        return seen

    graph = graph_of(**{tag: tuple(sorted(names)) for tag, names in parents.items()})
    for tag, others in given_parents.items():
        effective = {other for other in others if tag not in reach(other)}
        assert set(graph.parents(tag)) == effective
        assert all(tag in graph.children(other) for other in effective)
        assert tag not in set(graph.ancestors(tag))
        assert (tag in {name for path in graph.cycles for name in path}) <= (tag in reach(tag))
    assert bool(graph.cycles) == any(tag in reach(tag) for tag in given_parents)


@pytest.mark.parametrize("pattern", ["", " ", "a b", "db/1", "é", "a" * 129, "\n*", "* x", "*" * 129])
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(InvalidValue):
        check_pattern(pattern)


def test_the_work_grows_with_the_fleet_and_not_with_its_square() -> None:
    """Every monitor with a glob of its own, and a glob that all share: work grows with the fleet, not its square."""

    def resolve(hosts: int) -> float:
        monitors = [Monitor(tag=f"gateway-{number}") for number in range(40)]
        for host in range(hosts):
            monitors.append(Monitor(tag=f"host-{host}", depends_on=("gateway-*",)))
            monitors += [
                Monitor(tag=f"host-{host}-job-{job}", depends_on=(f"host-{host}", f"ho?t-{host}-db"))
                for job in range(9)
            ]
        began = time.process_time()
        graph = DependencyGraph(monitors)
        took = time.process_time() - began
        assert len(list(graph.ancestors("host-5-job-3"))) == 41
        return took

    small, large = resolve(400), resolve(4_000)
    assert large < 30 * small + 1
