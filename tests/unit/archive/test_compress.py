"""Gzip that is the same for the same content, and that others read."""

from __future__ import annotations

import gzip
import io

from hypothesis import given
from hypothesis import strategies as st

from pyke.archive.compress import gzipped


@given(st.lists(st.binary(max_size=3000), max_size=5))
def test_what_was_compressed_comes_back(pieces: list[bytes]) -> None:
    content = b"".join(pieces) * 300
    made = b"".join(gzipped(io.BytesIO(content).read))
    assert gzip.decompress(made) == content
    assert made == b"".join(gzipped(io.BytesIO(content).read))
    assert made[4:8] == bytes(4), "a time would make another digest of it each time"
