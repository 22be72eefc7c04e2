"""Broken bytes: exactly those that no character of UTF-8 contains."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from pyke.runtime.characters import BROKEN, mark_broken

EDGES = bytes.fromhex("41 7f 80 8f 90 9f a0 bf c0 c1 c2 df e0 e1 ec ed ee ef f0 f1 f3 f4 f5 ff")  # where table 3-7 changes


def as_decoded(text: bytes) -> bytes:
    """The same, by Python's decoder: a surrogate for each broken byte, and a question mark for each surrogate."""
    assert b"?" not in text
    return text.decode("utf-8", "surrogateescape").encode("utf-8", "replace").replace(b"?", BROKEN)


def test_all_of_one_two_three_and_four_bytes() -> None:
    for length in (1, 2, 3, 4):
        text = b" ".join(map(bytes, itertools.product(EDGES, repeat=length)))
        assert mark_broken(text) == as_decoded(text)


@given(st.lists(st.one_of(st.characters().map(str.encode), st.binary(max_size=3))).map(b"".join))
def test_texts_that_are_broken_in_places(text: bytes) -> None:
    text = text.replace(b"?", b"")
    assert mark_broken(text) == as_decoded(text)


def test_the_last_character_may_be_cut_off() -> None:
    for length in range(len("😀".encode())):
        assert mark_broken(b"a" + "😀".encode()[:length]) == b"a" + BROKEN * length
