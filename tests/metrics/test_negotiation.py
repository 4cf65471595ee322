"""Every Accept header has an answer, and it is one that we speak."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.exposition.negotiation import Format, accepts_gzip, negotiate

OPEN, TEXT = Format.OPENMETRICS, Format.TEXT


@pytest.mark.parametrize(
    ("accept", "format"),
    [
        (None, TEXT),
        ("", TEXT),
        ("*/*", TEXT),
        ("text/plain", TEXT),
        # Prometheus 2.42
        (
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
            "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            OPEN,
        ),
        # Prometheus 2.5x
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
            "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            OPEN,
        ),
        # Prometheus 3, told to escape, and to prefer the text
        (
            "application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.5,"
            "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=underscores;q=0.3,"
            "text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            OPEN,
        ),
        (
            "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,"
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.4,*/*;q=0.2",
            TEXT,
        ),
        # Prometheus 3
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
            "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
            "text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            OPEN,
        ),
        # … asking for protobuf first
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
            OPEN,
        ),
        # curl, wget, Python
        ("*/*;q=1", TEXT),
        ("text/html, */*", TEXT),
        ("application/json", TEXT),
        # browsers
        (
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,"
            "application/signed-exchange;v=b3;q=0.7",
            TEXT,
        ),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8", TEXT),
        ("application/openmetrics-text", OPEN),
        ('application/openmetrics-text; version="1.0.0"', OPEN),
        ("APPLICATION/OpenMetrics-Text;Version=1.0.0", OPEN),
        ("application/openmetrics-text;version=0.0.1", OPEN),
        ("application/openmetrics-text;version=2.0.0", TEXT),
        ("application/openmetrics-text;version=2.0.0,application/openmetrics-text;version=1.0.0;q=0.1", OPEN),
        ("application/openmetrics-text;version=2.0.0;q=1,text/plain;q=0.1", TEXT),
        ('application/openmetrics-text; version="abc"', TEXT),
        ('application/openmetrics-text; version="1.0.0', OPEN),
        ("application/openmetrics-text ; version = 1.0.0 ; q = 0.9", OPEN),
        ("application/openmetrics-text;q=0.5,text/plain;q=0.5", OPEN),
        ("text/plain;q=0.5,application/openmetrics-text;q=0.5", OPEN),
        ("application/openmetrics-text;q=0.0001,text/plain", TEXT),
        ("application/openmetrics-text;q=1.1", TEXT),
        ("application/openmetrics-text;q=", TEXT),
        ("application/openmetrics-text;q=1e0", TEXT),
        ("application/openmetrics-text;q=٠٫٥", TEXT),
        ("application/openmetrics-text;version=abc", TEXT),
        ("application/openmetrics-text;q=0", TEXT),
        ("application/openmetrics-text;q=0.2,text/plain;q=0.9", TEXT),
        ("application/openmetrics-text;q=abc,text/plain;q=0.1", TEXT),
        ("application/openmetrics-text;q=-1", TEXT),
        ("application/openmetrics-text;q=nan", TEXT),
        (";;;===,,,", TEXT),
        ("x" * 10_000, TEXT),
        ("," * 10_000, TEXT),
        ("a/b;" * 2_500 + ",application/openmetrics-text", TEXT),
        ("application/openmetrics-text," + "a/b;q=0.1," * 1_000, OPEN),
    ],
)
def test_real_and_unreal_headers(accept: str | None, format: Format) -> None:
    assert negotiate(accept) is format


KINDS = st.sampled_from(["application/openmetrics-text", "text/plain", "text/*", "*/*", "*", "gzip", "", "a/b"])
PARAMETERS = st.sampled_from([";", ";q=", ";q=0", ";q=0.5", ";q=inf", ";version=", ';version="1.0.0"', "=", ";=;", " "])
ITEMS = st.builds(str.__add__, KINDS, st.lists(PARAMETERS, max_size=4).map("".join))


@given(
    st.text()
    | st.text(alphabet="apliction/openmetrics-text;version=1.0,q *\"'\\é\0")
    | st.lists(ITEMS, max_size=8).map(",".join)
)
def test_whatever_is_sent_there_is_an_answer(header: str) -> None:
    assert isinstance(negotiate(header), Format)
    assert isinstance(accepts_gzip(header), bool)


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("deflate, GZIP;q=1.0, *;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip;q=0.0, deflate", False),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("br, zstd", False),
        ("gzip;q=abc", False),
        ("gzip, deflate, br, zstd", True),
        ("identity", False),
        ("identity;q=0.5, *;q=0", False),
        ("gzip;q=0.001", True),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", True),
        ("x" * 10_000 + ", gzip", False),
    ],
)
def test_gzip(header: str | None, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted
