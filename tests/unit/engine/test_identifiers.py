"""IDs and names: what may become a path, and what may be typed."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke.engine.identifiers import check_id, check_name, is_full_id, new_id, random_name
from pyke.errors import InvalidRequest


def test_new_ids_are_full_ids_and_differ() -> None:
    ids = {new_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(is_full_id(id) for id in ids)


@given(st.text())
def test_whatever_passes_as_an_id_can_be_a_path(text: str) -> None:
    try:
        assert re.fullmatch("[0-9a-f]{64}", check_id(text))
    except InvalidRequest:
        assert not re.fullmatch("[0-9a-f]{64}", text, re.ASCII)


@given(st.text(alphabet="ab./-_\n\0 é%", max_size=300))
def test_whatever_passes_as_a_name_can_be_a_path(text: str) -> None:
    try:
        name = check_name(text)
    except InvalidRequest:
        return
    assert "/" not in name and name not in (".", "..") and "\n" not in name and len(name) <= 255


@pytest.mark.parametrize("name", ["a", "-a", ".a", "a b", "a\n", "ü1", ""])
def test_names_that_docker_refuses_are_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="only"):
        check_name(name)


def test_a_random_name_is_a_valid_name_that_is_free() -> None:
    taken: set[str] = set()
    for _ in range(300):
        name = random_name(taken.__contains__)
        assert name not in taken
        taken.add(check_name(name))


def test_random_names_do_not_run_out() -> None:
    assert random_name(lambda name: name[-1].isalpha())[-1].isdigit()
