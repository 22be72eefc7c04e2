"""What new files have without being told: the metadata that an archive asks for comes out, whatever the directory gives."""

from __future__ import annotations

import io
import os
import stat
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from pyke.archive.birth import NOTHING, Birth
from pyke.archive.extract import extract
from pyke.archive.pack import END, header, padding
from pyke.archive.source import Source
from pyke.archive.tar import DIRECTORY, FILE, SYMBOLIC_LINK
from pyke.archive.tree import opened

ACL = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", tag, 5, -1) for tag in (1, 4, 32))  # user, group and others may read

MODES = (0o644, 0o755, 0o600, 0o777, 0o4755, 0o2755, 0o1777, 0o000, 0o444)


def archive() -> bytes:
    entries = [header(b"d%o" % mode, DIRECTORY, 0, mode=mode, mtime=7) for mode in MODES]
    entries += [header(b"d%o/f%o" % (mode, mode), FILE, 3, mode=mode, mtime=7) + b"abc" + padding(3) for mode in MODES]
    entries += [header(b"d755/others", FILE, 0, uid=1, gid=2), header(b"d755/link", SYMBOLIC_LINK, 0, link=b"x", uid=3, gid=4)]
    entries += [header(b"implied/f", FILE, 0), header(b"implied", DIRECTORY, 0, mode=0o700)]
    entries += [header(b"d755", DIRECTORY, 0, mode=0o711, uid=9, gid=9, mtime=8)]  # of two entries the last one counts
    return b"".join(entries) + END


def told(root: Path) -> dict[str, tuple[str, int, int, int]]:
    found = {}
    for each in sorted(root.rglob("*")):
        seen = each.lstat()
        found[str(each.relative_to(root))] = (oct(stat.S_IMODE(seen.st_mode)), seen.st_uid, seen.st_gid, int(seen.st_mtime))
    return found


def unpack(root: Path) -> dict[str, tuple[str, int, int, int]]:
    with opened(str(root)) as directory:
        extract(Source(io.BytesIO(archive()).read), directory, overlay=True)
    return told(root)


def plain(tmp_path: Path) -> Path:
    root = tmp_path / "plain"
    root.mkdir()
    return root


def test_a_plain_directory_gives_what_the_archive_says(tmp_path: Path) -> None:
    found = unpack(plain(tmp_path))
    assert {mode: found[f"d{mode:o}/f{mode:o}"] for mode in MODES} == {mode: (oct(mode), 0, 0, 7) for mode in MODES}
    assert {mode: found[f"d{mode:o}"] for mode in MODES if mode != 0o755} == {mode: (oct(mode), 0, 0, 7) for mode in MODES if mode != 0o755}
    assert found["d755"] == ("0o711", 9, 9, 8)
    assert found["d755/others"][1:3] == (1, 2) and found["d755/link"][1:3] == (3, 4)
    assert found["implied"][0] == "0o700"


@pytest.mark.parametrize("kind", ["set-group-ID", "group", "ACL", "filled"])
def test_a_directory_that_gives_something_else_changes_nothing(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    if kind == "set-group-ID":
        os.chown(root, 0, 5)
        os.chmod(root, 0o2755)
    elif kind == "group":
        os.chown(root, 0, 5)
    elif kind == "ACL":
        os.setxattr(root, "system.posix_acl_default", ACL)
    else:
        (root / "before").mkdir()
    with opened(str(root)) as directory:
        assert Birth.below(directory) == NOTHING
    found = unpack(root)
    found.pop("before", None)
    assert found == unpack(plain(tmp_path))


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_the_umask_changes_nothing(tmp_path: Path, umask: int) -> None:
    root = plain(tmp_path)
    (tmp_path / "archive.tar").write_bytes(archive())
    code = f"import os, sys; sys.path = {sys.path!r}; os.umask({umask}); from pyke.archive.extract import extract; "
    code += "from pyke.archive.source import Source; extract(Source.of_descriptor(0), os.open(sys.argv[1], os.O_RDONLY), overlay=True)"
    with open(tmp_path / "archive.tar", "rb") as stream:
        subprocess.run([sys.executable, "-c", code, str(root)], stdin=stream, check=True, timeout=60)
    other = tmp_path / "other"
    other.mkdir()
    assert told(root) == unpack(other)
