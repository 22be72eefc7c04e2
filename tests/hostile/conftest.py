"""What every attack on a whole engine has in common: a host, other containers and an engine that must not notice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pyke.testing.engine import TestEngine
from pyke.testing.witness import Witness


@pytest.fixture(scope="module")
def witness(module_engine: TestEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Witness]:
    """The module's engine, with a bystander on it and canaries beside it."""
    with Witness(module_engine, tmp_path_factory.mktemp("host") / "outside") as witness:
        yield witness


@pytest.fixture
def siege(witness: Witness) -> Iterator[Witness]:
    """The same, watched: when the test is over and its containers are gone, nothing outside of them has changed."""
    with witness.watching():
        yield witness
        witness.clear()
