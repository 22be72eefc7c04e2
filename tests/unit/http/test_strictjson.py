from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke.errors import InvalidRequest
from pyke.http.fields import Fields
from pyke.http.strictjson import MAX_DEPTH, parse

TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"))
KEY = st.text(st.characters(codec="ascii", min_codepoint=32))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner),
)


@given(VALUES)
def test_what_is_well_formed_is_read_as_it_is(value: Any) -> None:
    assert parse(json.dumps(value).encode()) == value


@given(st.binary(max_size=200))
def test_whatever_bytes_come_are_a_value_or_a_refusal(body: bytes) -> None:
    try:
        parse(body)
    except InvalidRequest as error:
        assert error.status == 400


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"a": 1, "a": 2}', "the body has the key 'a' twice in one object"),
        (b'{"x": [{"a": 1, "b": 1, "a": 1}]}', "the body has the key 'a' twice in one object"),
        (b"[" * 100_000, "the body is nested deeper than 32 levels"),
        (b"[" * (MAX_DEPTH + 2) + b"]" * (MAX_DEPTH + 2), "the body is nested deeper than 32 levels"),
        (b'{"a": NaN}', "the body is not valid JSON: NaN is not a number"),
        (b'{"a": -Infinity}', "the body is not valid JSON: -Infinity is not a number"),
        (rb'{"a": "\u0000"}', "the body has a NUL character in a string"),
        (rb'{"a\u0000": 1}', "the body has a NUL character in a string"),
        (rb'["\ud800"]', "the body has half of a surrogate pair in a string"),
    ],
)
def test_refusals(body: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(body)
    assert caught.value.message == message


@pytest.mark.parametrize("body", [b"{", b"{} {}", b"\xff", b"1" * 5000, b"'a'", b"\xef\xbb\xbf{}"])
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="not valid JSON"):
        parse(body)


def test_keys_that_differ_in_case_alone_are_refused() -> None:
    """Docker's Go would take the last one; an authoriser might look at the first."""
    with pytest.raises(InvalidRequest, match="the key 'privileged' is given twice in HostConfig"):
        Fields({"HostConfig": {"Privileged": False, "privileged": True}}).object("HostConfig")


def test_a_wrong_type_names_the_field_and_both_types() -> None:
    fields = Fields({"A": {"B": [1], "C": None}})
    for read, message in (
        (lambda: fields.text("A"), "A must be a string, not an object"),
        (lambda: fields.object("A").flag("B"), "A.B must be a boolean, not an array"),
        (lambda: fields.object("A").texts("B"), "A.B[0] must be a string, not an integer"),
        (lambda: list(fields.object("A").objects("B")), "A.B[0] must be an object, not an integer"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            read()
        assert caught.value.message == message
    assert fields.object("A").text("C", "default") == "default"
    with pytest.raises(InvalidRequest, match="the body must be an object, not an array"):
        Fields([])
