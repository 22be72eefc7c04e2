"""Model objects survive JSON, and records of other versions are still read."""

from __future__ import annotations

import dataclasses
import inspect
import json
import typing
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyke import model
from pyke.codec import from_data, to_data

CLASSES = [kind for _, kind in inspect.getmembers(model, dataclasses.is_dataclass) if isinstance(kind, type)]
MODELS = [kind for kind in CLASSES if bytes not in typing.get_type_hints(kind).values()]  # a route's body is bytes, and is never kept


def values(annotation: Any) -> st.SearchStrategy[Any]:
    """Every value that a field of the model may hold."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return st.deferred(lambda: objects(annotation))
    if type(None) in arguments:
        return st.none() | values(next(each for each in arguments if each is not type(None)))
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(values(arguments[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values, arguments))
    if origin is not None and issubclass(origin, Mapping):
        return st.dictionaries(st.text(max_size=3), values(arguments[1]), max_size=2)
    return {bool: st.booleans(), int: st.integers(), float: st.floats(allow_nan=False), str: st.text(max_size=5)}[annotation]


def objects(kind: type) -> st.SearchStrategy[Any]:
    return st.builds(kind, **{name: values(hint) for name, hint in typing.get_type_hints(kind).items()})


@pytest.mark.parametrize("kind", MODELS, ids=lambda kind: kind.__name__)
@settings(max_examples=30)
@given(data=st.data())
def test_a_model_object_survives_json(kind: type, data: st.DataObject) -> None:
    value = data.draw(objects(kind))
    assert from_data(kind, json.loads(json.dumps(to_data(value)))) == value


def test_a_newer_engines_keys_are_ignored() -> None:
    assert from_data(model.Subnet, {"subnet": "10.0.0.0/8", "colour": "blue"}) == model.Subnet("10.0.0.0/8")


def test_an_older_engines_record_gets_defaults() -> None:
    assert from_data(model.Caller, {"uid": 1, "gid": 2, "pid": 3}) == model.Caller(1, 2, 3)
    assert from_data(model.ContainerState, {"status": "running"}).restart_count == 0


def test_what_cannot_be_left_out_is_asked_for() -> None:
    with pytest.raises(TypeError):
        from_data(model.Network, {"id": "1"})
