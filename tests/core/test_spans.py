"""Spans, against the same worked out millisecond by millisecond."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from exporter.core.spans import Span, between, covering, merged, moment_after, overlap

MOMENTS = st.integers(0, 60)
SPANS = st.lists(st.builds(Span, MOMENTS, MOMENTS), max_size=6)


def taken(spans: list[Span]) -> set[int]:
    return {at for span in spans for at in range(span.start, span.end)}


@given(SPANS)
def test_merged_is_the_same_time_in_as_few_spans_as_possible(spans: list[Span]) -> None:
    found = merged(spans)
    assert taken(list(found)) == taken(spans)
    assert all(span.length > 0 for span in found)
    assert all(one.end < two.start for one, two in itertools.pairwise(found))


@given(SPANS, MOMENTS)
def test_covering(spans: list[Span], at: int) -> None:
    found = covering(merged(spans), at)
    assert (found is not None) == (at in taken(spans))
    assert found is None or found.start <= at < found.end


@given(SPANS, MOMENTS, MOMENTS)
def test_between_and_overlap(spans: list[Span], start: int, end: int) -> None:
    expected = taken(spans) & set(range(start, end))
    assert taken(list(between(merged(spans), start, end))) == expected
    assert overlap(merged(spans), start, end) == len(expected)


@given(SPANS, MOMENTS, st.integers(1, 60))
def test_moment_after_is_when_so_much_other_time_has_passed(spans: list[Span], start: int, length: int) -> None:
    at, passed = start, 0
    while passed < length:
        passed += at not in taken(spans)
        at += 1
    # In a span time stands still, so its moments up to the end are all the same: the first of them is meant.
    assert moment_after(start, length, merged(spans)) == at
