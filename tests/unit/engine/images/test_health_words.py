"""HEALTHCHECK in a Dockerfile's words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke.engine.images.health_words import parse
from pyke.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NONE", {"Test": ["NONE"]}),
        ("CMD test -f /ok || exit 1", {"Test": ["CMD-SHELL", "test -f /ok || exit 1"]}),
        ('cmd ["test", "-f", "/ok"]', {"Test": ["CMD", "test", "-f", "/ok"]}),
        (
            "--interval=1m30s --timeout=2s --start-period=500ms --start-interval=1s --retries=5 CMD true",
            {
                "Test": ["CMD-SHELL", "true"],
                "Interval": 90 * 10**9,
                "Timeout": 2 * 10**9,
                "StartPeriod": 5 * 10**8,
                "StartInterval": 10**9,
                "Retries": 5,
            },
        ),
    ],
)
def test_what_it_means(text: str, expected: dict[str, object]) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("true", "Unknown type 'true' in HEALTHCHECK"),
        ("CMD", "Missing command"),
        ("--interval=1 CMD true", "invalid duration"),
        ("--interval=1us CMD true", "cannot be less than 1ms"),
        ("--retries=0 CMD true", "--retries must be at least 1"),
        ("--colour=red CMD true", "Unknown flag: colour"),
        ("--interval=5s NONE", "Unknown type 'NONE'"),
    ],
)
def test_what_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        parse(text)


@given(st.text(max_size=100))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        assert parse(text)["Test"]
    except InvalidRequest as error:
        assert error.message
