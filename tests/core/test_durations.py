"""Durations as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.durations import MAX_DURATION, describe_duration, format_duration, parse_duration
from exporter.core.errors import InvalidValue


@given(st.integers(0, MAX_DURATION))
def test_what_is_formatted_reads_back(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds)) == milliseconds


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("5m", 300), ("1h30m", 5400), ("2d", 172_800), ("1w", 604_800), ("0s", 0)]
)
def test_spellings(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds * 1000


@pytest.mark.parametrize(
    "text", ["", "5", "5 m", "m", "1m1h", "-5m", "1.5h", "5mm", "9" * 400 + "s", "20y", "99999d", "٥m"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse_duration(text)


@given(st.text(max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        assert parse_duration(text) >= 0
    except InvalidValue:
        pass


def test_for_people() -> None:
    assert describe_duration(0) == "0 s"
    assert describe_duration(250_000) == "4 min 10 s"
    assert describe_duration(183_600_000) == "2 d 3 h"
    assert describe_duration(86_400_000) == "1 d"
