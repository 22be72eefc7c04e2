"""Files with holes: what GNU tar writes in each of its forms comes back as it was, and a map that lies is refused."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest

from pyke.archive.extract import extract
from pyke.archive.limits import ArchiveLimits
from pyke.archive.pack import END, header, padding
from pyke.archive.source import Source
from pyke.archive.sparse import extents_of
from pyke.archive.tree import opened
from pyke.errors import BadArchive

FORMS = (("--format=gnu",), *(("--format=posix", f"--sparse-version={version}") for version in ("0.0", "0.1", "1.0")))


def unpack(archive: bytes, root: Path, limits: ArchiveLimits | None = None) -> Path:
    root.mkdir()
    with opened(str(root)) as directory:
        extract(Source(io.BytesIO(archive).read), directory, overlay=False, limits=limits or ArchiveLimits())
    return root


def with_holes(path: Path, pieces: int, gap: int) -> None:
    with path.open("wb") as file:
        for number in range(pieces):
            file.seek(number * gap)
            file.write(b"piece %d" % number)
        file.truncate(pieces * gap)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("pieces", [0, 1, 4, 5, 60])
def test_what_gnu_tar_writes_comes_back(form: tuple[str, ...], pieces: int, tmp_path: Path) -> None:
    with_holes(tmp_path / "holes", pieces, 1 << 18)
    (tmp_path / "plain").write_bytes(b"content")
    archive = subprocess.run(
        ["tar", "--sparse", *form, "-C", tmp_path, "-cf", "-", "holes", "plain"], capture_output=True, check=True
    ).stdout
    root = unpack(archive, tmp_path / "root")
    assert (root / "holes").read_bytes() == (tmp_path / "holes").read_bytes()
    assert (root / "plain").read_bytes() == b"content"
    assert os.stat(root / "holes").st_blocks <= os.stat(tmp_path / "holes").st_blocks


def test_holes_count_as_content(tmp_path: Path) -> None:
    with_holes(tmp_path / "holes", 1, 1 << 30)
    archive = subprocess.run(["tar", "--sparse", "-C", tmp_path, "-cf", "-", "holes"], capture_output=True, check=True).stdout
    with pytest.raises(BadArchive):
        unpack(archive, tmp_path / "root", ArchiveLimits(max_bytes=1 << 29))


@pytest.mark.parametrize("numbers", [[0, 5], [0, 11], [5, 5, 4, 5], [95, 10], [0, 5, 3, 5]])
def test_a_map_that_does_not_fit_is_refused(numbers: list[int]) -> None:
    with pytest.raises(BadArchive):
        extents_of(numbers, 10, 100)


@pytest.mark.parametrize("map_", [b"", b"1\n0\n", b"x\n", b"99999999999999999\n", b"-1\n0\n1\n"])
def test_a_map_that_cannot_be_read_is_refused(map_: bytes, tmp_path: Path) -> None:
    records = b"".join((b"22 GNU.sparse.major=1\n", b"22 GNU.sparse.minor=0\n", b"25 GNU.sparse.realsize=9\n"))
    content = map_ + padding(len(map_)) + b"x"
    archive = header(b"pax", b"x", len(records)) + records + padding(len(records))
    with pytest.raises(BadArchive):
        unpack(archive + header(b"a", b"0", len(content)) + content + padding(len(content)) + END, tmp_path / "root")
