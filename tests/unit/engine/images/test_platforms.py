"""Platforms: read as `--platform` and indexes say them, and the best one found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke.engine.images.platforms import Platform, native, parse
from pyke.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/amd64", Platform("linux", "amd64")),
        ("linux/x86_64", Platform("linux", "amd64")),
        ("linux/arm64/v8", Platform("linux", "arm64")),
        ("linux/arm/v7", Platform("linux", "arm")),
        ("linux/arm/v6", Platform("linux", "arm", "v6")),
        ("arm64", Platform("linux", "arm64")),
        ("Linux/AArch64", Platform("linux", "arm64")),
        ("windows/amd64", Platform("windows", "amd64")),
        ("", native()),
        ("linux", native()),
    ],
)
def test_a_platform_is_read(text: str, platform: Platform) -> None:
    assert parse(text) == platform


@pytest.mark.parametrize("text", ["/", "linux/", "a/b/c/d", "linux/amd64\n", "linux/../..", "lin ux"])
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse(text)


@pytest.mark.parametrize(
    ("wanted", "offers", "best"),
    [
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6", "linux/arm/v8"], "linux/arm/v6"),
        ("linux/arm/v7", ["linux/arm/v6", "linux/arm/v7"], "linux/arm/v7"),
        ("linux/amd64", ["linux/amd64/v3", "linux/amd64"], "linux/amd64"),
        ("linux/amd64/v3", ["linux/amd64/v4", "linux/amd64", "linux/amd64/v2"], "linux/amd64/v2"),
        ("linux/arm64", ["linux/arm/v7", "windows/arm64"], ""),
    ],
)
def test_the_best_offer_is_not_newer_than_the_machine(wanted: str, offers: list[str], best: str) -> None:
    rated = {parse(wanted).fitness(parse(offer)): offer for offer in offers}
    assert (rated[max(rated)] if max(rated) else "") == best


@given(st.from_regex(r"[a-z0-9]{1,9}(/[a-z0-9]{1,9}){1,2}", fullmatch=True))
def test_what_is_read_reads_the_same_again(text: str) -> None:
    assert parse(str(parse(text))) == parse(text)
