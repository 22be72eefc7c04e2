"""Documents from outside: how much of them is read."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke.archive.limits import DEFAULT_IMAGE_LIMITS
from pyke.engine.images.json_objects import json_value
from pyke.errors import BadArchive

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.sampled_from('ab,[]{}"\\\n ')),
    lambda each: st.lists(each) | st.dictionaries(st.text(st.sampled_from(',[{"\\')), each),
    max_leaves=30,
)


def count(value: Any) -> int:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(count, inside))


@given(JSON, st.sampled_from([None, 1]), st.booleans())
def test_values_are_counted_exactly(value: Any, indent: int | None, is_ascii: bool) -> None:
    """Whatever stands in strings is not counted, and no space changes anything."""
    text, values = json.dumps(value, indent=indent, ensure_ascii=is_ascii).encode(), count(value)
    assert json_value(text, "it", replace(DEFAULT_IMAGE_LIMITS, max_values=values)) == value
    with pytest.raises(BadArchive, match="values") as caught:
        json_value(text, "it", replace(DEFAULT_IMAGE_LIMITS, max_values=values - 1))
    assert caught.value.hint.endswith("# images.max_values")


def test_a_label_with_much_json_in_it_is_one_value() -> None:
    """As builders and packagers write them: a bill of materials, an SBOM, in a label."""
    text = json.dumps({"config": {"Labels": {"sbom": json.dumps([{"a": [1, 2]}] * 100_000)}}}).encode()
    assert json_value(text, "it", DEFAULT_IMAGE_LIMITS)["config"]["Labels"]["sbom"].startswith('[{"a": [1, 2]}')


@pytest.mark.parametrize("piece", [b'\\"', b'"', b"\\", b'",', b'"a', b'\\",["'])
def test_no_text_is_expensive_to_count(piece: bytes) -> None:
    text = b'["' + b",[" * 100_001 + piece * ((3 << 20) // len(piece))
    started = time.process_time()
    with pytest.raises(BadArchive):
        json_value(text, "it", DEFAULT_IMAGE_LIMITS)
    assert time.process_time() - started < 5


def test_a_document_has_its_size() -> None:
    with pytest.raises(BadArchive, match="it has more than 10 bytes") as caught:
        json_value(b"[         ]", "it", replace(DEFAULT_IMAGE_LIMITS, max_document=10))
    assert caught.value.hint.endswith("# images.max_document")
