"""Every Accept header has an answer, and it is one that we speak."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.negotiation import Format, accepts_gzip, negotiate

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
        # a browser
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8", TEXT),
        ("application/openmetrics-text", OPEN),
        ('application/openmetrics-text; version="1.0.0"', OPEN),
        ("APPLICATION/OpenMetrics-Text;Version=1.0.0", OPEN),
        ("application/openmetrics-text;version=0.0.1", OPEN),
        ("application/openmetrics-text;version=2.0.0", TEXT),
        ("application/openmetrics-text;version=abc", TEXT),
        ("application/openmetrics-text;q=0", TEXT),
        ("application/openmetrics-text;q=0.2,text/plain;q=0.9", TEXT),
        ("application/openmetrics-text;q=abc,text/plain;q=0.1", TEXT),
        ("application/openmetrics-text;q=-1", TEXT),
        ("application/openmetrics-text;q=nan", TEXT),
        (";;;===,,,", TEXT),
        ("x" * 10_000, TEXT),
    ],
)
def test_real_and_unreal_headers(accept: str | None, format: Format) -> None:
    assert negotiate(accept) is format


@given(st.text(alphabet="apliction/openmetrics-text;version=1.0,q *\"'\\é\0"))
def test_whatever_is_sent_there_is_an_answer(accept: str) -> None:
    assert negotiate(accept) in Format
    assert accepts_gzip(accept) in (True, False)


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
    ],
)
def test_gzip(header: str | None, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted
