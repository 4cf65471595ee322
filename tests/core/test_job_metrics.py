"""Metrics that jobs push: what is read and refused, what a push makes of a group, and how it is exposed."""

import gzip
import math
import zlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, Summary, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from exporter.core.job_metrics.merge import GroupSummary, after_push
from exporter.core.job_metrics.model import (
    MAX_BYTES,
    MAX_GROUPS,
    JobFamily,
    JobGroup,
    JobSample,
    Labels,
    Push,
    PushMode,
    PushRefused,
    check_grouping,
    group_id,
)
from exporter.core.job_metrics.openmetrics import parse_openmetrics
from exporter.core.job_metrics.payload import UnsupportedMedia, is_metrics, read_payload
from exporter.core.job_metrics.rendering import header, lines_by_name, rendered_families
from exporter.core.job_metrics.text import parse_text

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
TEXT = "text/plain; version=0.0.4"


def exposed(families: Sequence[JobFamily], labels: Labels = (), tag: str = "job") -> str:
    shown = rendered_families(JobGroup(labels, tuple(families), 1), tag)
    return b"".join(header(one.name, one.type, one.help) + one.lines for one in shown).decode()


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_text_format_is_read() -> None:
    families = parse_text(
        "# a comment\n\n"
        "# HELP size_bytes Size of\\nthe backup, in C:\\\\temp.\n"
        "# TYPE size_bytes gauge\n"
        'size_bytes{file="a \\"b\\"\\n",empty=""} 3.5e3\r\n'
        '\tsize_bytes { file = "ä" , } -0.25  \n'
        "plain 42\n"
        "# TYPE took histogram\n"
        'took_bucket{le="0.5"} 1\n'
        'took_bucket{le="+Inf"} 2\n'
        "took_sum 3\n"
        "took_count 2\n"
        "# TYPE quick summary\n"
        'quick{quantile="0.5"} NaN\n'
        "quick_sum +Inf\n"
        "quick_count 0"
    )
    assert [(family.name, family.type) for family in families] == [
        ("size_bytes", "gauge"),
        ("plain", "untyped"),
        ("took", "histogram"),
        ("quick", "summary"),
    ]
    assert families[0].help == "Size of\nthe backup, in C:\\temp."
    assert families[0].samples == (
        JobSample("size_bytes", (("empty", ""), ("file", 'a "b"\n')), "3500"),
        JobSample("size_bytes", (("file", "ä"),), "-0.25"),
    )
    assert [sample.value for sample in families[3].samples] == ["NaN", "+Inf", "0"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("heartbeat_age_seconds 1", "reserved"),
        ("# TYPE heartbeat summary\nheartbeat_count 1", "reserved"),
        ("scrape_duration_seconds 1", "reserved"),
        ("ALERTS_FOR_STATE 1", "reserved"),
        ("up 1", "reserved"),
        ("push_time_seconds 1", "reserved"),
        ("push_failure_time_seconds 1", "reserved"),
        ("job:size:sum 1", "colon"),
        ("size 1 1790000000000", "timestamp"),
        ("size 1 -5", "timestamp"),
        ("size 1 # {} 2", "more than"),
        ("size", "no sample"),
        ("size{} ", "no number"),
        ('size{a="1"', "cannot be read"),
        ('size{a="1" b="2"} 1', "cannot be read"),
        ('size{a="1",,b="2"} 1', "cannot be read"),
        ('size{a="1} 1', "cannot be read"),
        ('size{a="1",a="2"} 1', "twice"),
        ('size{__name__="up"} 1', "reserved"),
        ('size{1a="1"} 1', "no name of a label"),
        ('size{a="\\x"} 1', "escape"),
        ("size 1_000", "no number"),
        ("size 0x1F", "no number"),
        ("size 1e999", "too large"),
        ("size " + "9" * 200, "no number"),
        ("{} 1", "no sample"),
        ('{"size"} 1', "no sample"),
        ("größe 1", "no sample"),
        ("size 1\nsize 2", "twice"),
        ('size{tag="a"} 1\nsize{exported_tag="a"} 2', "twice"),
        ('size{a=""} 1\nsize 2', "twice"),
        ("# TYPE size gauge\n# TYPE size gauge", "two TYPE"),
        ("size 1\n# TYPE size gauge", "after its samples"),
        ("# HELP size a\n# HELP size a", "two HELP"),
        ("# TYPE size stateset", "unknown type"),
        ("# TYPE size", "unknown type"),
        ("# TYPE 9 gauge", "names no metric"),
        ("# TYPE took histogram\ntook 1", "no sample of this name"),
        ("# TYPE took histogram\ntook_bucket 1", "label le"),
        ('# TYPE took histogram\ntook_bucket{le="x"} 1', "label le"),
        ('# TYPE took histogram\ntook_bucket{le="1"} 1\ntook_bucket{le="1.0"} 1', "twice"),
        ("# TYPE quick summary\nquick 1", "label quantile"),
        ("# TYPE took_count gauge\ntook_count 1\n# TYPE took histogram\ntook_sum 1", "both have series"),
        ("n" * 201 + " 1", "longer than"),
        ("size{" + ",".join(f'l{n}="1"' for n in range(65)) + "} 1", "more than 64 labels"),
        ("\n".join(f"size_{n} 1" for n in range(501)), "more than 500 samples"),
    ],
)
def test_what_would_spoil_a_scrape_is_refused(body: str, reason: str) -> None:
    with pytest.raises(PushRefused, match=reason):
        parse_text(body)


def test_names_that_only_begin_alike_are_taken() -> None:
    names = ["upload_bytes", "uptime_seconds", "heartbeats", "alerts", "push_time_second", "scraped"]
    assert [family.name for family in parse_text("".join(f"{name} 1\n" for name in names))] == names


def test_openmetrics_becomes_what_the_text_format_has() -> None:
    families = parse_openmetrics(
        '# TYPE files counter\n# UNIT files files\n# HELP files Copied \\"files\\".\n'
        'files_total{a="1"} 3 # {trace_id="x"} 0.5 1790000000.5\n'
        'files_created{a="1"} 1790000000\n'
        '# TYPE build info\nbuild_info{version="1"} 1\n'
        '# TYPE state stateset\nstate{state="on"} 1\n'
        '# TYPE took histogram\ntook_bucket{le="+Inf"} 2 # {} 1\ntook_count 2\ntook_sum 3\n'
        '# TYPE waiting gaugehistogram\nwaiting_bucket{le="+Inf"} 2\nwaiting_gcount 2\nwaiting_gsum 3\n'
        "# TYPE any unknown\nany 1\nnothing 1\n# EOF\n"
    )
    assert [(family.name, family.type, len(family.samples)) for family in families] == [
        ("files_total", "counter", 1),
        ("files_created", "gauge", 1),
        ("build_info", "gauge", 1),
        ("state", "gauge", 1),
        ("took", "histogram", 3),
        ("waiting", "histogram", 1),
        ("waiting_gcount", "gauge", 1),
        ("waiting_gsum", "gauge", 1),
        ("any", "untyped", 1),
        ("nothing", "untyped", 1),
    ]
    assert families[0].help == 'Copied "files".'


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("size 1\n", "EOF"),
        ("", "EOF"),
        ("# EOF\nsize 1\n# EOF\n", "follows"),
        ("size 1 1790000000.5\n# EOF", "timestamp"),
        ('size 1 # {a="1"}\n# EOF', "exemplar"),
        ('size 1 # {a="1"} x\n# EOF', "exemplar"),
        ("size 1 # {a 1\n# EOF", "cannot be read"),
        ("size 1 and more\n# EOF", "more than"),
        ("# TYPE files counter\nfiles 1\n# EOF", "no sample of this name"),
        (
            "# TYPE files counter\nfiles_total 1\n# TYPE files_total gauge\nfiles_total 2\n# EOF",
            "twice|clash|no sample",
        ),
        ("# TYPE Size GAUGE\n# EOF", "unknown type"),
        ("# TYPE hear info\nhear_info 1\nheartbeat_total 1\n# EOF", "reserved"),
    ],
)
def test_openmetrics_that_cannot_be_kept(body: str, reason: str) -> None:
    with pytest.raises(PushRefused, match=reason):
        parse_openmetrics(body)


def registry() -> CollectorRegistry:
    made = CollectorRegistry()
    Gauge("size_bytes", "Size.\nIn bytes.", ["file"], registry=made).labels('a"b\\c\n').set(1e21)
    Counter("files", "Files.", registry=made).inc(3)
    Histogram("took_seconds", "Time.", registry=made).observe(0.3)
    Summary("quick_seconds", "Time.", registry=made).observe(0.3)
    Info("build", "Build.", registry=made).info({"version": "1"})
    return made


def test_what_prometheus_client_writes_is_read_and_comes_out_the_same() -> None:
    text = generate_latest(registry()).decode()
    families = parse_text(text)
    assert values(exposed(families, tag="job")) == {
        (name, tuple(sorted((*labels, ("tag", "job"))))): value for (name, labels), value in values(text).items()
    }
    openmetrics = parse_openmetrics(generate_openmetrics(registry()).decode())  # type: ignore[no-untyped-call]
    names = {family.name for family in families if not family.name.endswith("_created")}
    assert names == {family.name for family in openmetrics if not family.name.endswith("_created")}


def values(text: str) -> dict[tuple[str, Labels], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


LABEL_NAMES = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,8}", fullmatch=True)
LABEL_VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
LABELS = st.dictionaries(LABEL_NAMES, LABEL_VALUES, max_size=4)
NAMES = st.from_regex(r"job_[a-z]{1,3}", fullmatch=True)
BODIES = st.dictionaries(
    NAMES, st.tuples(st.sampled_from(["gauge", "counter", "untyped"]), LABEL_VALUES, st.floats(), LABELS), max_size=6
)


@settings(max_examples=60)
@given(BODIES, LABELS)
def test_what_is_read_is_exposed_and_read_again(
    body: dict[str, tuple[str, str, float, dict[str, str]]], grouping: dict[str, str]
) -> None:
    text = "".join(
        header(name, type, help.strip()).decode()
        + f"{name}{{{','.join(f'{key}={quoted(value)}' for key, value in labels.items())}}} {number!r}\n"
        for name, (type, help, number, labels) in body.items()
    )
    families = parse_text(text)
    again = parse_text(exposed(families, tuple(sorted(grouping.items()))))
    assert [(one.name, one.type, one.help) for one in again] == [(one.name, one.type, one.help) for one in families]
    for family in again:
        number, labels = body[family.name][2:]
        (sample,) = family.samples
        assert float(sample.value) == number or math.isnan(number)
        wanted = {**labels, **grouping}
        if "tag" in wanted:
            name = "exported_tag"
            while name in wanted:
                name = f"exported_{name}"
            wanted[name] = wanted["tag"]
        assert dict(sample.labels) == {**wanted, "tag": "job"}


def quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


@settings(max_examples=150)
@given(st.text(st.sampled_from('ab_{}=",\\ \t\n#1.5eE+-HELPTYOF'), max_size=60))
def test_no_text_is_anything_but_read_or_refused(text: str) -> None:
    for read in (parse_text, parse_openmetrics):
        try:
            families = read(text)
        except PushRefused:
            continue
        assert parse_text(exposed(families)) or not families


def test_lines_are_told_apart_by_line_feeds_alone() -> None:
    (family,) = rendered_families(JobGroup((), parse_text('size{a="1\r2\x85"} 1\n'), 1), "job")
    assert list(lines_by_name(family.lines)) == [("size", family.lines)]


# ── bodies ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_which_bodies_are_metrics() -> None:
    assert is_metrics(TEXT)
    assert is_metrics('Text/Plain; charset=utf-8; version="0.0.4"')
    assert is_metrics(OPENMETRICS)
    for other in ("text/plain", "", "text/plain; version=0.0.5", "application/json; version=0.0.4", "text/html"):
        assert not is_metrics(other)


def test_a_body_is_decompressed_within_bounds() -> None:
    body = b"size 1\n"
    for encoding, packed in (("", body), ("identity", body), (" GZIP ", gzip.compress(body))):
        assert read_payload(packed, False, TEXT, encoding)[0].name == "size"
    assert [one.name for one in read_payload(gzip.compress(b"a 1\n") + gzip.compress(b"b 2\n"), False, "", "gzip")] == [
        "a",
        "b",
    ]
    bomb = gzip.compress(b"#" * 50_000_000)
    assert len(bomb) < MAX_BYTES
    for hostile, encoding, reason in (
        (bomb, "gzip", "longer than 64 kB"),
        (gzip.compress(b"") * 3000, "gzip", ""),
        (gzip.compress(body)[:-4], "gzip", "ends too early"),
        (gzip.compress(body) + b"x" * 20, "gzip", "no gzip"),
        (body, "gzip", "no gzip"),
        (zlib.compress(body), "deflate", "only gzip"),
        (body, "snappy", "only gzip"),
        (b"size \xff", "", "no UTF-8, at byte 5"),
        (b'size{a="\0"} 1', "", "NUL"),
        (b"#" * (MAX_BYTES + 1), "", "longer than 64 kB"),
    ):
        if reason:
            with pytest.raises(PushRefused, match=reason):
                read_payload(hostile, False, TEXT, encoding)
        else:
            assert read_payload(hostile, False, TEXT, encoding) == ()
    with pytest.raises(PushRefused, match="did not arrive whole"):
        read_payload(body, True, TEXT, "")
    with pytest.raises(PushRefused, match="longer than"):
        read_payload(b"#" * (MAX_BYTES + 1024), True, TEXT, "")
    for type, encoding in (("application/vnd.google.protobuf; proto=x", ""), (TEXT, "snappy")):
        with pytest.raises(UnsupportedMedia):
            read_payload(body, False, type, encoding)
    assert read_payload(body, False, "application/x-www-form-urlencoded", "")[0].name == "size"
    assert read_payload(b"size 1\n# EOF\n", False, OPENMETRICS, "")[0].name == "size"


# ── pushes ───────────────────────────────────────────────────────────────────────────────────────────────────────

ONE, TWO = (("instance", "1"), ("job", "job")), (("instance", "2"), ("job", "job"))


class Groups:
    """The groups of one monitor."""

    def __init__(self) -> None:
        self.groups: dict[str, JobGroup] = {}

    def push(self, body: str, labels: Labels = (), mode: PushMode = PushMode.REPLACE, at: int = 1) -> None:
        summaries = {id: GroupSummary.of(group) for id, group in self.groups.items()}
        push = Push(mode, labels, parse_text(body))
        id = group_id(labels)
        group, summary = after_push(summaries, id, push, at, lambda other: self.groups[other].families)
        assert summary == GroupSummary.of(group)
        self.groups[id] = group

    def names(self, labels: Labels = ()) -> list[str]:
        return [family.name for family in self.groups[group_id(labels)].families]


def test_put_replaces_a_group_and_post_its_names() -> None:
    groups = Groups()
    groups.push("a 1\nb 1", ONE)
    groups.push("c 1", TWO)
    groups.push("b 2\nd 1", ONE, PushMode.MERGE, at=5)
    assert (groups.names(ONE), groups.names(TWO)) == (["a", "b", "d"], ["c"])
    assert groups.groups[group_id(ONE)].pushed_at == 5
    assert groups.groups[group_id(ONE)].families[1].samples[0].value == "2"
    groups.push("e 1", ONE)
    assert groups.names(ONE) == ["e"]
    groups.push("", ONE)
    assert groups.names(ONE) == []


def test_labels_without_a_value_are_none() -> None:
    assert group_id((("job", "job"), ("instance", ""))) == group_id((("job", "job"),))
    assert len({group_id(labels) for labels in (ONE, TWO, (), (("instance", "1job"), ("job", "")))}) == 4


def test_types_and_series_clash_within_a_monitor() -> None:
    groups = Groups()
    groups.push("# TYPE a gauge\na 1", ONE)
    for body, reason in (
        ("# TYPE a counter\na 1", "type counter here and gauge elsewhere|type gauge here and counter elsewhere"),
        ("# TYPE a_sum gauge\na_sum 1\nb 1\n# TYPE b_x gauge", ""),
    ):
        if reason:
            with pytest.raises(PushRefused, match=reason):
                groups.push(body, TWO)
        else:
            groups.push(body, TWO)
    groups.push('# TYPE a gauge\na{x="1"} 1', TWO)
    with pytest.raises(PushRefused, match=r'a\{instance="1",job="job"\} is there twice'):
        groups.push('# TYPE a gauge\na{instance="1",job="job"} 5')
    groups.push('# TYPE a gauge\na{instance="3",job="job"} 5')
    with pytest.raises(PushRefused, match="is there twice"):
        groups.push('# TYPE a gauge\na{y="",x="1"} 1\na{x="1",job="other"} 1', (("job", "job"),))


def test_the_grouping_key_overrides_what_was_pushed() -> None:
    text = exposed(parse_text('a{instance="mine",job="mine",b="2"} 1'), ONE)
    assert text == '# TYPE a untyped\na{b="2",instance="1",job="job",tag="job"} 1\n'
    with pytest.raises(PushRefused, match="is there twice"):
        Groups().push('a{instance="1"} 1\na{instance="2"} 1', ONE)


def test_names_clash_across_groups_whatever_comes_first() -> None:
    took = '# TYPE took histogram\ntook_bucket{le="+Inf"} 1\ntook_sum 1\ntook_count 1'
    quick = "# TYPE took summary\ntook_sum 1\ntook_count 1"
    for first, second in (
        (took, "# TYPE took_count gauge\ntook_count 1"),
        (took, "# TYPE took_bucket gauge\ntook_bucket 1"),
        (took, quick),
        (quick, "took_sum 1"),
        ("took_sum 1", "took 1\n" + quick.replace("took", "other") + "\n" + took.replace("took", "took2")),
    ):
        for bodies in ((first, second), (second, first)):
            groups = Groups()
            groups.push(bodies[0], ONE)
            groups.push("unrelated 1", (("x", "1"),))
            if "took2" in first + second:
                groups.push(bodies[1], TWO)
                continue
            with pytest.raises(PushRefused, match=r"both have series|type .* elsewhere"):
                groups.push(bodies[1], TWO)
    merged = Groups()
    merged.push(quick, ONE)
    with pytest.raises(PushRefused, match="both have series"):
        merged.push("took_sum 1", ONE, PushMode.MERGE)


def test_labels_called_tag_clash_as_they_are_exposed() -> None:
    groups = Groups()
    groups.push("a 1", (("tag", "x"),))
    with pytest.raises(PushRefused, match="is there twice"):
        groups.push("a 1", (("exported_tag", "x"),))
    groups.push("a 1", (("exported_tag", "y"),))
    with pytest.raises(PushRefused, match="is there twice"):
        groups.push('b{exported_tag="g"} 1\nb{exported_exported_tag="g"} 1', (("tag", "g"),))


def test_a_monitor_has_limits() -> None:
    groups = Groups()
    groups.push("\n".join(f"a_{n} 1" for n in range(300)), ONE)
    with pytest.raises(PushRefused, match="more than 500 samples"):
        groups.push("\n".join(f"b_{n} 1" for n in range(300)), TWO)
    groups.push("\n".join(f"a_{n} 1" for n in range(200, 500)), ONE, PushMode.REPLACE)
    with pytest.raises(PushRefused, match="more than 500 samples"):
        groups.push("\n".join(f"c_{n} 1" for n in range(300)), ONE, PushMode.MERGE)
    full = Groups()
    full.push('a{x="' + "y" * 40_000 + '"} 1', ONE)
    with pytest.raises(PushRefused, match="more than 64 kB"):
        full.push('a{x="' + "y" * 40_000 + '"} 1', TWO)
    many = Groups()
    for number in range(MAX_GROUPS):
        many.push("", (("instance", str(number)),))
    many.push("a 1", (("instance", "7"),))
    with pytest.raises(PushRefused, match="more than 500 groups"):
        many.push("", ONE)


def test_grouping_keys_have_limits() -> None:
    assert check_grouping([("job", "j"), ("a", "ä/b")]) == (("a", "ä/b"), ("job", "j"))
    for labels in ([("__x", "1")], [("a-b", "1")], [("", "1")], [("a", "\0")], [("a", "x" * 1100)]):
        with pytest.raises(PushRefused):
            check_grouping(labels)
    with pytest.raises(PushRefused):
        check_grouping([(f"l{number}", "1") for number in range(65)])
