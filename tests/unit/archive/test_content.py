"""The content of files, sent by the kernel and read by us: the same bytes, and as many as were announced."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pyke.archive.content import Content, send_all
from pyke.archive.pack import gathered, pack, read
from pyke.archive.tree import opened

Write = Callable[[int], None]
SIZES = (1, 4096, 300_001, 3 << 20)


def received(write: Write, *, through_a_pipe: bool) -> bytes:
    """What `write` writes to a pipe or a socket."""
    if through_a_pipe:
        reading, writing = os.pipe()
    else:
        reading, writing = (end.detach() for end in socket.socketpair())

    def write_and_close() -> None:
        write(writing)
        os.close(writing)

    thread = threading.Thread(target=write_and_close)
    thread.start()
    found = b"".join(iter(lambda: os.read(reading, 1 << 16), b""))
    thread.join()
    os.close(reading)
    return found


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("through_a_pipe", [True, False])
def test_it_is_sent_as_it_is(tmp_path: Path, size: int, through_a_pipe: bool) -> None:
    data = os.urandom(size)
    (tmp_path / "file").write_bytes(data)
    with (tmp_path / "file").open("rb") as file:
        content = Content(file.fileno(), size)
        assert len(content) == size
        assert received(content.send, through_a_pipe=through_a_pipe) == data
    with (tmp_path / "file").open("rb") as file:
        assert b"".join(Content(file.fileno(), size).pieces()) == data


def test_what_a_file_has_lost_is_filled_with_zeros_and_what_it_won_is_left(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    for size in (250_000, 70_000):
        expected = (b"x" * 100_000 + bytes(150_000))[:size]
        with (tmp_path / "file").open("rb") as file:
            assert received(Content(file.fileno(), size).send, through_a_pipe=True) == expected
        with (tmp_path / "file").open("rb") as file:
            assert b"".join(Content(file.fileno(), size).pieces()) == expected


def test_a_file_that_sendfile_does_not_take_is_read() -> None:
    with open("/proc/self/maps", "rb") as file:
        assert received(Content(file.fileno(), 100).send, through_a_pipe=False).count(b"-")


def test_a_tree_is_sent_as_it_is_read(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for number, size in enumerate((0, 10, 70_000, 65_536, 65_535, 1_000_000, 3)):
        (tree / f"file{number}").write_bytes(os.urandom(size))
    with opened(str(tree)) as directory:
        expected = b"".join(read(pack(directory)))
        assert received(lambda end: send_all(end, gathered(pack(directory))), through_a_pipe=True) == expected
