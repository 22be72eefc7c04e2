"""What a host holds that a container engine may leave behind: compare before and after."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator

from pyke.testing.patience import PATIENCE, remaining

CGROUPS = "/sys/fs/cgroup"
# Of what an engine keeps for half a minute after its last layer, and after the last container that asks for names.
KEPT = ("pyke.engine.images.worker", "pyke.runtime import names")


def snapshot() -> set[str]:
    """Every mount, interface, nft table and cgroup of this host, and every process that descends from this one, a line each."""
    return {*_mounts(), *_interfaces(), *_tables(), *_cgroups(), *_descendants(os.getpid())}


def left_behind(before: set[str], marks: tuple[str, ...], patience: float = PATIENCE) -> list[str]:
    """What is there now, was not before, and carries one of `marks`; given `patience` seconds to go away (kernels tear down lazily).

    Descendants of this process always count. On a host where nobody else runs engines, let "pyke" be one of the marks.
    """

    def look() -> list[str]:
        return sorted(line for line in snapshot() - before if line.startswith("process") or any(mark in line for mark in marks))

    return remaining(look, within=patience)


def _mounts() -> Iterator[str]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields = line.split()
            yield f"mount {fields[4]} of {fields[fields.index('-') + 1]}"  # network namespaces that are kept are mounts of nsfs


def _interfaces() -> Iterator[str]:
    return (f"interface {name}" for name in os.listdir("/sys/class/net"))


def _tables() -> Iterator[str]:
    try:
        done = subprocess.run(["nft", "-j", "list", "tables"], capture_output=True, timeout=20, check=False)
        entries = json.loads(done.stdout or b"{}").get("nftables", [])
    except FileNotFoundError:
        return
    for entry in entries:
        if table := entry.get("table"):
            yield f"nft table {table['family']} {table['name']}"


def _cgroups() -> Iterator[str]:
    for directory, folders, _ in os.walk(CGROUPS):
        for folder in folders:
            yield f"cgroup {os.path.join(directory, folder)}"


def _descendants(process: int) -> Iterator[str]:
    """A line for each; not for what an engine keeps for a while, unless it has lost its engine: it is a child of this process then."""
    children = _children()
    waiting = list(children.get(process, ()))
    orphans = set(waiting)
    while waiting:
        child = waiting.pop()
        told = _command(child)
        if child not in orphans and any(each in told for each in KEPT):
            continue
        waiting.extend(children.get(child, ()))
        if told:
            yield f"process {child}: {told[:200]}"


def _children() -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as file:
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError):
                continue  # it ended meanwhile
            children.setdefault(parent, []).append(int(entry))
    return children


def _command(process: int) -> str:
    """The command line of a process, "" for a zombie and for one that has ended."""
    try:
        with open(f"/proc/{process}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""
