"""What jobs put out becomes readable, and fits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.notify.samples import NASTY_TEXTS
from exporter.presentation.text import one_line, readable, shorten, tail, utf8, utf16

ANY = st.one_of(st.text(), st.text(alphabet="ab \n\r\t\x1b[0m🔥\ud800…"), st.sampled_from(NASTY_TEXTS))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[1;31merror:\x1b[0m disk \x1b]0;title\x07full\x1b[K", "error: disk full"),
        ("1%\r20%\r100%\ndone\r\n", "100%\ndone\n"),
        ("waiting\r", "waiting"),
        ("a\tb\x00c\x7f\x9bd", "a\tbcd"),
        ("one\u2028two\u2029three", "one\ntwo\nthree"),
        ("x\u202egnp.exe", "xgnp.exe"),
        ("half \ud83d and \udc00", "half � and �"),
        ("naïve 漢字 👩‍👩‍👧", "naïve 漢字 👩‍👩‍👧"),
    ],
)
def test_readable(text: str, shown: str) -> None:
    assert readable(text) == shown


def test_one_line() -> None:
    assert one_line("  a\n\tb  \x1b[0m c ") == "a b c"


@given(ANY)
def test_what_is_readable_stays_and_can_be_encoded(text: str) -> None:
    shown = readable(text)
    assert readable(shown) == shown
    shown.encode()
    assert "\r" not in shown
    assert "\n" not in one_line(text)


@given(ANY, st.integers(0, 50), st.sampled_from([len, utf8, utf16]))
def test_what_is_cut_fits_and_was_there(text: str, limit: int, measure: type) -> None:
    text = readable(text)
    head, end = shorten(text, limit, measure), tail(text, limit, measure)
    assert measure(head) <= limit
    assert measure(end) <= limit
    if head != text:
        assert text.startswith(head.removesuffix("…"))
    if end != text.strip("\n"):
        assert text.strip("\n").endswith(end.removeprefix("…\n"))


def test_a_tail_begins_with_a_line() -> None:
    text = "\n".join(f"line {number}" for number in range(100))
    assert tail(text, 30) == "…\nline 97\nline 98\nline 99"
    assert tail(text, 1_000, lines=2) == "…\nline 98\nline 99"
    assert tail("\n\nall of it\n", 30) == "all of it"
    assert tail("x" * 100, 10) == "…\n" + "x" * 8


def test_measures() -> None:
    assert (utf16("a🔥"), utf8("a🔥é")) == (3, 7)


def test_long_texts_take_no_time() -> None:
    """Some megabytes at once; what takes the square of it would not end."""
    for text in ("x" * 3_000_000, "\r" * 3_000_000, "\x1b[" * 1_000_000, "\x1b]" * 1_000_000, "🔥" * 1_000_000):
        shorten(readable(text), 1_000, utf16)
        tail(readable(text), 1_000, utf8)
