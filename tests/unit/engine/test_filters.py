"""The filters that prunes take."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke.engine.filters import has_label, moment, prune_filter
from pyke.errors import InvalidRequest


def test_labels_are_asked_for_and_excluded() -> None:
    wanted = prune_filter({"label": ["a", "b=1"], "label!": ["c"]})
    assert wanted({"a": "", "b": "1"}, 0)
    assert not wanted({"a": "", "b": "2"}, 0)
    assert not wanted({"a": "", "b": "1", "c": "x"}, 0)


def test_until_takes_what_is_older() -> None:
    wanted = prune_filter({"until": ["1h"]})
    assert wanted({}, time.time_ns() - 2 * 3600 * 10**9)
    assert not wanted({}, time.time_ns())


@pytest.mark.parametrize(
    ("text", "expected"), [("1700000000", 1700000000 * 10**9), ("2023-11-14T22:13:20Z", 1700000000 * 10**9), ("1.5", 1_500_000_000)]
)
def test_instants(text: str, expected: int) -> None:
    assert moment(text) == expected


def test_a_span_counts_back_from_now() -> None:
    assert abs(moment("1h30m") - (time.time_ns() - 5400 * 10**9)) < 10**9


@pytest.mark.parametrize("text", ["", "h", "inf", "nan", "1x", "1.2.3h", "tomorrow", "1h30"])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        moment(text)


@given(st.text())
def test_any_text_is_a_time_or_refused(text: str) -> None:
    try:
        assert isinstance(moment(text), int)
    except InvalidRequest as error:
        assert error.hint


def test_an_unknown_filter_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="Invalid filter 'colour'"):
        prune_filter({"colour": ["red"]})


def test_a_label_with_a_value_must_match_it() -> None:
    assert has_label({"a": "b=c"}, "a=b=c")
    assert not has_label({"a": "b"}, "a=")
    assert has_label({"a": ""}, "a=")
