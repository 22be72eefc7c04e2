"""USER, resolved in a directory that plays the container's root."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyke.errors import StartFailed
from pyke.runtime import users
from pyke.runtime.root import Root

PASSWD = "root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:33:44:www:/var/www:/bin/false\n77:x:1:1::/:\n"
GROUP = "root:x:0:\nwheel:x:10:root,web\nstaff:x:50:web\nbroken:x:no:web\n"


def resolve(directory: Path, user: str, *groups: str) -> tuple[int, int, list[int], str]:
    (directory / "etc").mkdir(exist_ok=True)
    (directory / "etc/passwd").write_text(PASSWD)
    (directory / "etc/group").write_text(GROUP)
    with Root.at(str(directory)) as root:
        found = users.resolve(root, user, list(groups))
    return found.uid, found.gid, found.groups, found.home


@pytest.mark.parametrize(
    ("user", "groups", "expected"),
    [
        ("", (), (0, 0, [0, 10], "/root")),
        ("web", (), (33, 44, [44, 10, 50], "/var/www")),
        ("33", (), (33, 44, [44, 10, 50], "/var/www")),
        ("web:wheel", (), (33, 10, [10], "/var/www")),
        (":staff", (), (0, 50, [50], "/root")),
        ("77", (), (77, 0, [0], "/")),
        ("1000:2000", ("wheel", "3000"), (1000, 2000, [2000, 10, 3000], "/")),
    ],
)
def test_known_and_unknown(tmp_path: Path, user: str, groups: tuple[str, ...], expected: object) -> None:
    assert resolve(tmp_path, user, *groups) == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(alphabet="0123456789:-+ab\u0661_ ", max_size=25))
def test_any_words_give_an_identity_in_range_or_a_refusal(tmp_path: Path, user: str) -> None:
    try:
        uid, gid, groups, _ = resolve(tmp_path, user)
    except StartFailed as error:
        assert error.exit_status == 125
    else:
        assert all(0 <= number <= users.HIGHEST for number in (uid, gid, *groups))


def test_groups_of_a_file_that_lies_are_passed_over(tmp_path: Path) -> None:
    """A membership in a group that cannot be: it is the image's word, which nobody asked for."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("mail:x:8:8::/var/mail:/bin/sh\n")
    (tmp_path / "etc/group").write_text("good:x:4242:mail\nhuge:x:99999999999:mail\nnegative:x:-1:mail\n:::\n")
    with Root.at(str(tmp_path)) as root:
        assert users.resolve(root, "mail", []).groups == [8, 4242]


def test_a_directory_in_place_of_a_file_holds_nobody(tmp_path: Path) -> None:
    (tmp_path / "etc/passwd").mkdir(parents=True)
    (tmp_path / "etc/group").mkdir()
    with Root.at(str(tmp_path)) as root:
        assert users.resolve(root, "5:6", []).uid == 5
