"""The engine's own log stays small, whoever prints to it."""

import os
from pathlib import Path

from pyke.engine.own_log import KEPT, LIMIT, shorten


def test_the_end_of_a_log_that_grew_too_large_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, b"first\n")
    assert not shorten(str(path), descriptor)
    os.write(descriptor, b"x" * LIMIT + b"\nlast\n")
    assert shorten(str(path), descriptor)
    os.write(descriptor, b"next\n")
    os.close(descriptor)
    assert path.stat().st_size < KEPT
    assert path.read_bytes().endswith(b"last\nnext\n") and b"dropped" in path.read_bytes()


def test_what_is_not_the_log_is_left_alone(tmp_path: Path) -> None:
    path, other = tmp_path / "engine.log", tmp_path / "other"
    path.write_bytes(b"x" * (LIMIT + 1))
    other.write_bytes(b"x" * (LIMIT + 1))
    with open(other, "ab") as file:
        assert not shorten(str(path), file.fileno())
    assert not shorten(str(tmp_path / "missing"), 0)
    assert path.stat().st_size == other.stat().st_size == LIMIT + 1
