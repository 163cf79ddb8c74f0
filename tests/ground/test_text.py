"""Text of others is one line, bounded and printable, whatever it was."""

from hypothesis import given
from hypothesis import strategies as st

from wsadapter.text import MAX_SAMPLE, first_line, printable, sample, shown


@given(st.text(max_size=500), st.integers(1, 100))
def test_what_a_venue_wrote_is_bounded_ascii(text: str, limit: int) -> None:
    found = printable(text, limit)

    assert len(found) <= limit
    assert found.isascii()
    assert found.isprintable()


@given(st.binary(max_size=2000))
def test_a_sample_is_bounded_ascii(octets: bytes) -> None:
    assert len(sample(octets)) <= MAX_SAMPLE
    assert sample(octets).isprintable()


def test_a_word_is_repeated_in_quotes_and_cut_short() -> None:
    assert shown("5 mins") == "'5 mins'"
    assert shown("\x1b[31m" + "x" * 99) == "'\\x1b[31m" + "x" * 35 + "...'"


def test_an_error_is_its_first_line() -> None:
    assert first_line(ValueError("one\ntwo")) == "one"
    assert first_line(ValueError()) == "ValueError"
