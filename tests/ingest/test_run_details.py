"""What senders say of a run, in whatever notation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.heartbeat import Kind
from exporter.ingest.dialects.run_details import RID, lines_of, milliseconds_of, number_of, outcome_of, run_id
from exporter.ingest.intake import MAX_RUN
from exporter.ingest.request import parameters_of


@given(st.text())
def test_any_text_pairs_runs(text: str) -> None:
    rid = run_id(text)
    assert rid == run_id(text)
    assert (rid == "") == (text == "")
    assert not rid or RID.fullmatch(rid)
    assert run_id(text + "#") != rid


@pytest.mark.parametrize(
    ("given", "number"),
    [
        ("12.5", 12.5),
        ("+3", 3),
        (".5", 0.5),
        ("1e3", 1000),
        (7, 7),
        (0.0, 0),
        ("", None),
        ("-1", None),
        (-1, None),
        ("nan", None),
        ("1e999", None),
        (float("nan"), None),
        (float("inf"), None),
        (True, None),
        (None, None),
        ([], None),
        ("1 ", None),
        ("\u0663", None),
        ("1" * 5000, None),
    ],
)
def test_numbers(given: object, number: float | None) -> None:
    assert number_of(given) == number


@given(st.text() | st.floats() | st.integers() | st.none())
def test_no_duration_is_beyond_what_is_kept(given: object) -> None:
    milliseconds = milliseconds_of(given)
    assert milliseconds is None or 0 <= milliseconds <= MAX_RUN


def test_exit_codes() -> None:
    assert outcome_of("0") == outcome_of("-0") == (Kind.SUCCESS, 0)
    assert outcome_of("-7") == (Kind.FAILURE, -7)
    assert outcome_of("9" * 300) == (Kind.FAILURE, None)


@given(st.lists(st.text(), max_size=4))
def test_lines_can_be_stored(parts: list[str]) -> None:
    text = lines_of(*parts)
    assert "\0" not in text
    text.encode()


@given(st.text(alphabet="ab=&%+;4\xff ", max_size=40))
def test_parameters_are_what_the_standard_library_reads(text: str) -> None:
    from urllib.parse import parse_qs

    assert parameters_of(text) == parse_qs(text, keep_blank_values=True, errors="replace")
