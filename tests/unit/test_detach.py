"""Detach keys: how they are written, and that nothing typed is lost while they are looked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke import detach
from pyke.detach import DetachKeys
from pyke.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "keys"),
    [("", "\x10\x11"), ("ctrl-p,ctrl-q", "\x10\x11"), ("ctrl-C", "\x03"), ("a,b", "ab"), ("ctrl-@", "\0"), ("ctrl-_,x", "\x1fx")],
)
def test_keys_are_written_as_in_docker(text: str, keys: str) -> None:
    assert detach.parse(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-1", "ab", "a,,b", "ctrl-p,ctrl-", ",".join("a" * 17)])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        detach.parse(text)


@given(st.lists(st.binary(max_size=6).map(lambda data: bytes(b"pqx"[each % 3] for each in data))), st.sampled_from([b"pq", b"ppq", b"q"]))
def test_all_but_the_keys_is_passed_on(pieces: list[bytes], keys: bytes) -> None:
    found, passed = DetachKeys(keys), b""
    for number, piece in enumerate(pieces):
        part, is_leaving = found.feed(piece)
        passed += part
        if is_leaving:
            typed = b"".join(pieces[: number + 1])
            assert keys in typed and typed.startswith(passed + keys)
            return
    assert passed + found.finish() == b"".join(pieces)
