"""Whether a value fits an annotation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from pyke.drivers import NetworkDriver, StorageDriver
from pyke.model import Endpoint, Network, RootFilesystem, Subnet
from pyke.plugins.results import fits, return_type


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (None, None),
        (1, int),
        (1, float),
        ("x", str | None),
        (None, str | None),
        (["a", "b"], Sequence[str]),
        (("a",), Sequence[str]),
        ((1, "a"), tuple[int, str]),
        ((), tuple[str, ...]),
        ({"a": 1}, Mapping[str, int]),
        ({"a": [1, None]}, dict[str, Any]),
        (Subnet("10.0.0.0/24"), Subnet),
        (object(), Any),
    ],
)
def test_what_fits(value: object, annotation: Any) -> None:
    assert fits(value, annotation)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (True, int),
        (1, None),
        ("abc", Sequence[str]),
        (iter(["a"]), Sequence[str]),
        ([1], Sequence[str]),
        ((1,), tuple[int, str]),
        ({1: 1}, Mapping[str, int]),
        ({"a": "1"}, Mapping[str, int]),
        (Subnet(7), Subnet),  # type: ignore[arg-type]
        (Network("id", "name", "driver", subnets=("10.0.0.0/8",)), Network),  # type: ignore[arg-type]
        ({"kind": "overlay"}, RootFilesystem),
    ],
)
def test_what_does_not_fit(value: object, annotation: Any) -> None:
    assert not fits(value, annotation)


def test_what_contracts_promise() -> None:
    assert return_type([NetworkDriver], "attach") is Endpoint
    assert return_type([StorageDriver], "layers") == Sequence[str]
    assert return_type([], "anything") is Any
