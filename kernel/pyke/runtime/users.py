"""Who a container's process is: USER resolved in the container's own passwd and group, as Docker does.

Read are regular files below the root, up to a limit, a line at a time; the host's users, its NSS modules and its libraries are never asked.
"""

from __future__ import annotations

import errno

from pyke.errors import StartFailed
from pyke.runtime.root import Root

HIGHEST = 2**31 - 1
LARGEST_FILE = 16 * 1024 * 1024  # bytes
OUT_OF_RANGE = "uids and gids must be in range 0-2147483647"


class Identity:
    """Whom a process is to be: `groups` are all supplementary ones, the primary among them (CVE-2022-36109)."""

    __slots__ = ("gid", "groups", "home", "uid")

    def __init__(self, uid: int, gid: int, groups: list[int], home: str) -> None:
        self.uid, self.gid, self.groups, self.home = uid, gid, groups, home


def resolve(root: Root, user: str, additional: list[str]) -> Identity:
    """The identity for `user`: "", "name", "uid", and either with ":group" or ":gid". `additional` are more groups, by name or number.

    A number is always a number, although a line of passwd may be named so (CVE-2016-3697). An unknown number is itself; an unknown name is
    an error, as is a number above 2^31 - 1 (CVE-2024-40635).
    """
    wanted_user, _, wanted_group = user.partition(":")
    name, uid, gid, home = _user(_lines(root, "/etc/passwd", is_needed=not _is_number(wanted_user or "0")), wanted_user)
    group_lines = _lines(root, "/etc/group", is_needed=any(each and not _is_number(each) for each in (wanted_group, *additional)))
    if wanted_group:
        gid, groups = _group(group_lines, wanted_group), []
    else:
        groups = [group_gid for _, group_gid, members in _groups(group_lines) if name and name in members and 0 <= group_gid <= HIGHEST]
    groups += [_additional(group_lines, each) for each in additional]
    return Identity(uid, gid, list(dict.fromkeys([gid, *groups])), home)


def _user(lines: list[str], wanted: str) -> tuple[str, int, int, str]:
    """(name, uid, gid, home) of the first matching line; the name is "" where there is none."""
    number = _number(wanted or "0")
    for fields in (line.split(":") for line in lines):
        uid = _number(fields[2]) if len(fields) >= 4 else None
        if uid is not None and (uid == number if number is not None else fields[0] == wanted):
            gid = _number(fields[3])
            return fields[0], _checked(uid), _checked(gid or 0), fields[5] if len(fields) > 5 and fields[5] else "/"
    if number is None:
        raise StartFailed(f"unable to find user {wanted}: no matching entries in passwd file", hint="pyke run --help")
    return "", _checked(number), 0, "/"


def _group(lines: list[str], wanted: str) -> int:
    number = _number(wanted)
    if number is not None:
        return _checked(number)
    for name, gid, _ in _groups(lines):
        if name == wanted:
            return _checked(gid)
    raise StartFailed(f"unable to find group {wanted}: no matching entries in group file", hint="pyke run --help")


def _additional(lines: list[str], wanted: str) -> int:
    try:
        return _group(lines, wanted)
    except StartFailed as error:
        raise StartFailed(error.message.replace("unable", "Unable", 1), hint=error.hint) from None


def _groups(lines: list[str]) -> list[tuple[str, int, list[str]]]:
    groups = []
    for fields in (line.split(":") for line in lines):
        gid = _number(fields[2]) if len(fields) >= 3 else None
        if gid is not None:
            groups.append((fields[0], gid, fields[3].split(",") if len(fields) > 3 else []))
    return groups


def _lines(root: Root, path: str, *, is_needed: bool) -> list[str]:
    """The lines of a file, stripped; none where it is missing, is not a file, or is too large while no name has to be looked up."""
    try:
        content = root.open_file(path, LARGEST_FILE)
    except OSError as error:
        if error.errno == errno.EFBIG and not is_needed:
            return []
        raise StartFailed(f"{path} in the container cannot be read: {error.strerror}") from error
    text = (content or b"").decode("utf-8", "surrogateescape")
    return [line.strip() for line in text.split("\n") if line.strip()[:1] not in ("", "#")]


def _is_number(word: str) -> bool:
    return _number(word) is not None


def _number(word: str) -> int | None:
    """A decimal number, signed as strconv.Atoi takes it, or None. `int` alone would take "1_0" and the digits of other scripts too."""
    digits = word[1:] if word[:1] in ("-", "+") else word
    return int(word) if digits.isascii() and digits.isdigit() and len(digits) < 20 else None


def _checked(number: int) -> int:
    if not 0 <= number <= HIGHEST:
        raise StartFailed(f"{OUT_OF_RANGE}: {number}", hint="pyke run --user 1000:1000 --help")
    return number
