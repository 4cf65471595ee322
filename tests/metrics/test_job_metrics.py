"""`/metrics/jobs`: what monitors disagree about spoils nothing, and a push costs the same among many groups."""

import gzip
import re
import time
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from exporter.core.heartbeat import Heartbeat, Kind
from exporter.core.job_metrics.model import JobGroup, Labels, Push, PushMode, group_id
from exporter.core.job_metrics.text import parse_text
from exporter.core.monitor import Monitor
from exporter.metrics.job_metrics import JobMetricsScrape
from exporter.recording.statements import Pending
from exporter.storage.job_metrics import GroupChange
from tests.conftest import ManualClock
from tests.metrics.test_telemetry import PREFIX
from tests.support.replica import Replica
from tests.support.tools import need_tool


@pytest.fixture
def replica(tmp_path: object, clock: ManualClock) -> Replica:
    replica = Replica(f"sqlite:///{tmp_path}/jobs.db", clock)
    yield replica
    replica.db.close()


def push(replica: Replica, tag: str, body: str, labels: Labels = (), mode: PushMode = PushMode.REPLACE) -> None:
    watched = replica.fleet.get(tag)
    assert watched is not None
    pending = Pending(watched, Heartbeat(Kind.SUCCESS, replica.clock.now()), None, Push(mode, labels, parse_text(body)))
    replica.recorder._commit([pending])
    assert pending.push is not None
    assert pending.push.refusal is None


def text(replica: Replica) -> str:
    return b"".join(JobMetricsScrape(replica.container.job_metrics).render()).decode()


def of_jobs(text: str) -> str:
    """Without the series of the groups themselves."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not re.match(r"(# \w+ )?push_", line))


def test_nothing_is_an_empty_answer(replica: Replica) -> None:
    replica.add("job")
    assert text(replica) == ""


def test_a_family_is_written_once_whatever_monitors_push(replica: Replica) -> None:
    for tag in ("a", "b", "c"):
        replica.add(tag)
    push(replica, "b", "# HELP size First.\n# TYPE size gauge\nsize 2\n# TYPE took histogram\n"
         'took_bucket{le="+Inf"} 1\ntook_sum 1\ntook_count 1')  # fmt: skip
    push(replica, "a", "# HELP size Other.\n# TYPE size gauge\nsize 1")
    body = of_jobs(text(replica))
    assert body == (
        "# HELP size Other.\n# TYPE size gauge\n"
        'size{tag="a"} 1\nsize{tag="b"} 2\n'
        "# TYPE took histogram\n"
        'took_bucket{le="+Inf",tag="b"} 1\ntook_sum{tag="b"} 1\ntook_count{tag="b"} 1\n'
    )
    push(replica, "c", "# TYPE size counter\nsize 3\n# TYPE took_count gauge\ntook_count 5")
    assert of_jobs(text(replica)) == (
        "# HELP size Other.\n# TYPE size untyped\n"
        'size{tag="a"} 1\nsize{tag="b"} 2\nsize{tag="c"} 3\n'
        '# TYPE took_bucket untyped\ntook_bucket{le="+Inf",tag="b"} 1\n'
        '# TYPE took_count untyped\ntook_count{tag="b"} 1\ntook_count{tag="c"} 5\n'
        '# TYPE took_sum untyped\ntook_sum{tag="b"} 1\n'
    )
    replica.fleet.update(removed=[replica.fleet.get("c").id])  # type: ignore[union-attr]
    assert of_jobs(text(replica)) == body


def test_a_chain_of_disagreements_ends(replica: Replica) -> None:
    for tag in ("a", "b", "c"):
        replica.add(tag)
    push(replica, "a", "# TYPE x gauge\nx 1")
    push(replica, "b", '# TYPE x summary\nx{quantile="0.5"} 1\nx_sum 2\nx_count 3')
    push(replica, "c", '# TYPE x_sum histogram\nx_sum_bucket{le="+Inf"} 1\nx_sum_count 2')
    body = text(replica)
    names = [line.split()[2] for line in body.splitlines() if line.startswith("# TYPE")]
    assert len(set(names)) == len(names)
    assert names[2:] == ["x", "x_count", "x_sum", "x_sum_bucket", "x_sum_count"]
    assert {family.type for family in text_string_to_metric_families(of_jobs(body))} == {"unknown"}


def test_promtool_reads_it(replica: Replica) -> None:
    import subprocess

    promtool = need_tool("promtool")
    for tag in ("a", "b"):
        replica.add(tag)
    push(replica, "a", 'job_size{x="ä\\n\\"\\\\",tag="mine"} -Inf\njob_b NaN\njob_c 1e21', (("job", "a/b c"),))
    push(replica, "b", "# HELP job_size A\\nB\n# TYPE job_size gauge\njob_size 1e-300")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text(replica).encode(), capture_output=True, check=False
    )
    assert done.returncode in (0, 3), done.stderr  # 3: the names are not to its taste
    assert b"parsing" not in done.stderr


def test_it_is_compressed_on_request(replica: Replica) -> None:
    replica.add("a")
    push(replica, "a", "size 1")
    scrape = JobMetricsScrape(replica.container.job_metrics)
    plain, packed = scrape.answer(None), scrape.answer("gzip")
    assert (plain.content_encoding, packed.content_encoding) == (None, "gzip")
    assert plain.content_type == packed.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert gzip.decompress(b"".join(packed.chunks)) == b"".join(plain.chunks) != b""


def filled(replica: Replica, groups: int) -> None:
    """So many groups of five samples, in monitors of a hundred groups each."""
    monitors = [(Monitor(tag=f"job-{number:04d}"), b"%032d" % number) for number in range(groups // 100)]
    replica.monitors.provision(monitors)
    replica.refresh()
    families = parse_text("".join(f"# HELP m_{n} Help.\n# TYPE m_{n} gauge\nm_{n} {n}.5\n" for n in range(5)))
    replica.container.job_metrics.refresh()
    changes = []
    for watched in replica.fleet:
        for number in range(100):
            labels = (("instance", f"host-{number}.example.org"), ("job", watched.monitor.tag))
            changes.append(
                GroupChange(watched.id, group_id(labels), JobGroup(labels, families, replica.clock.now()), 1)
            )
    replica.container.job_metrics.apply(changes)


def fastest(what: Callable[[], object], times: int = 3) -> float:
    best = 1e9
    for _ in range(times):
        began = time.perf_counter()
        what()
        best = min(best, time.perf_counter() - began)
    return best


def test_rendering_takes_a_small_share_of_what_prometheus_client_takes(replica: Replica) -> None:
    filled(replica, 1000)
    registry = CollectorRegistry()
    gauges = [Gauge(f"m_{n}", "Help.", ["instance", "job", "tag"], registry=registry) for n in range(5)]
    for watched in replica.fleet:
        for number in range(100):
            for gauge in gauges:
                tag = watched.monitor.tag
                gauge.labels(f"host-{number}.example.org", tag, tag).set(0.5)
    ours, theirs = fastest(lambda: text(replica), 5), fastest(lambda: generate_latest(registry), 5)
    assert text(replica).count("\n") == 1000 * 7 + 4 + 10
    assert ours < theirs / 2
    view = replica.container.job_metrics
    assert (view.groups, view.samples) == (1000, 5000)


def test_a_push_is_no_more_work_among_many_groups(replica: Replica) -> None:
    """Measured in steps of SQLite's machine, which do not depend on the computer."""
    replica.add("lonely")
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    def work() -> int:
        nonlocal steps
        with replica.db.write("test"):
            replica.db.peewee.connection().set_progress_handler(count, 1)
            steps = 0
            pending = Pending(
                replica.fleet.get("lonely"),  # type: ignore[arg-type]
                Heartbeat(Kind.SUCCESS, replica.clock.now()),
                None,
                Push(PushMode.MERGE, (), parse_text("a 1\nb 2")),
            )
            from exporter.recording.group import GroupCommit
            from exporter.storage.database import Transaction

            transaction = Transaction(replica.db.engine.cursor)
            GroupCommit(replica.db, "one").write(transaction, [pending])
            replica.db.peewee.connection().set_progress_handler(None, 0)
        return steps

    work()
    alone = work()
    replica.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000) "
        "INSERT INTO job_metrics SELECT 1000 + i, 'x', '[]', '{}', '[]', 5, 5, 0, 0, NULL, 1, 'two' FROM n"
    )
    assert work() < 1.5 * alone + 50


def test_what_is_exposed_is_counted(replica: Replica) -> None:
    replica.add("a")
    push(replica, "a", "size 1\nother 2")
    shown = generate_latest(replica.container.registry).decode()
    assert f"{PREFIX}job_metric_groups 1.0\n" in shown
    assert f"{PREFIX}job_metric_samples 2.0\n" in shown


def test_what_takes_the_place_of_as_much_is_kept_even_if_there_is_no_room(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica.add("a")
    view, id = replica.container.job_metrics, replica.fleet.get("a").id  # type: ignore[union-attr]
    labels = (("job", "a"),)
    push(replica, "a", "x 1\ny 2", labels)

    def admitted(body: str, id: int | None = id, labels: Labels = labels) -> bool:
        return view.admits(id, Push(PushMode.REPLACE, labels, parse_text(body)))

    assert admitted("x 1\ny 1\nz 1")
    for bound in ("MAX_TOTAL_SAMPLES", "MAX_TOTAL_BYTES"):
        with monkeypatch.context() as patched:
            patched.setattr(f"exporter.fleet.job_metrics.{bound}", 2)
            assert admitted("x 1\nz 1")
            assert not admitted("x 1\ny 1\nz 1")
            assert not admitted("x 1", labels=())
            assert not admitted("x 1", id=None)
            assert not admitted("x 1", id=id + 1)
