"""Where a path of a container leads: on a directory of the host that stands for its root."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyke.errors import InvalidRequest, NotFound
from pyke.files.places import Place, destination, go_mode
from pyke.runtime.root import Root


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    (tmp_path / "outside").write_text("of the host")
    top = tmp_path / "root"
    (top / "d" / "e").mkdir(parents=True)
    (top / "d" / "f").write_text("x")
    (top / "link").symlink_to("/d")
    (top / "up").symlink_to("../../outside")
    (top / "chain").symlink_to("link/rel")
    (top / "d" / "rel").symlink_to("../d/f")
    (top / "loop").symlink_to("loop")
    with Root.at(str(top)) as root:
        yield root


@pytest.mark.parametrize(
    ("path", "called", "is_directory"),
    [
        ("/d", "d", True),
        ("d", "d", True),
        ("/d/", "d", True),
        ("/d/.", ".", True),
        ("/", "/", True),
        ("//d//f", "f", False),
        ("/d/../d/f", "f", False),
        ("/../../d", "d", True),
        ("/link/", "link", True),
        ("/link/f", "f", False),
    ],
)
def test_the_name_and_the_kind(root: Root, path: str, called: str, is_directory: bool) -> None:
    place = Place(root, path, "box")
    assert (place.called, stat.S_ISDIR(os.fstat(place.fd).st_mode)) == (called, is_directory)
    assert place.stat()["name"] == called and bool(place.stat()["mode"] & 1 << 31) == is_directory


@pytest.mark.parametrize(
    ("path", "target"), [("/link", "/d"), ("/chain", "/d/f"), ("/up", "/outside"), ("/d/rel", "/d/f"), ("/loop", "/loop")]
)
def test_a_link_is_told_with_where_it_leads(root: Root, path: str, target: str) -> None:
    found = Place(root, path, "box").stat()
    assert found["mode"] & 1 << 27 and found["linkTarget"] == target


@pytest.mark.parametrize("path", ["/nosuch", "/d/f/x", "/loop/x", "/up/", "/d/f/", "/outside"])
def test_what_is_not_there_is_told_by_the_name_that_was_given(root: Root, path: str) -> None:
    with pytest.raises(NotFound, match=f"Could not find the file {path} in container box"):
        Place(root, path, "box")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(st.lists(st.sampled_from(["d", "e", "f", "link", "up", "chain", "rel", "loop", "..", ".", "", "outside"]), max_size=8))
def test_no_path_leaves_the_root(root: Root, parts: list[str]) -> None:
    path = "/".join(parts)
    try:
        place = Place(root, path, "box")
    except NotFound:
        return
    assert os.readlink(f"/proc/self/fd/{place.fd}").startswith(os.readlink(f"/proc/self/fd/{root.fd}"))
    os.close(place.fd)
    os.close(place.parent)


def test_a_destination_is_a_directory_and_links_to_it_are_followed(root: Root) -> None:
    assert os.path.samestat(os.fstat(destination(root, "/link", "box")), os.stat("d", dir_fd=root.fd))
    for path, kind in (("/d/f", InvalidRequest), ("/d/f/x", InvalidRequest), ("/nosuch", NotFound), ("/up", NotFound)):
        with pytest.raises(kind):
            destination(root, path, "box")


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (stat.S_IFREG | 0o644, 0o644),
        (stat.S_IFDIR | 0o1777, 1 << 31 | 1 << 20 | 0o777),
        (stat.S_IFREG | 0o6755, 1 << 23 | 1 << 22 | 0o755),
        (stat.S_IFLNK | 0o777, 1 << 27 | 0o777),
        (stat.S_IFCHR | 0o600, 1 << 26 | 1 << 21 | 0o600),
        (stat.S_IFBLK | 0o600, 1 << 26 | 0o600),
        (stat.S_IFIFO, 1 << 25),
        (stat.S_IFSOCK, 1 << 24),
    ],
)
def test_modes_are_go_s(mode: int, expected: int) -> None:
    assert go_mode(mode) == expected
