"""What older kernels refuse and this one does not: watched while a container's root is really put together.

This file is also the script that does so, in a mount namespace of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from pyke.runtime import linux, rootfs
from pyke.runtime.plan import MaskOperation, MountOperation, ReadOnlyOperation
from pyke.runtime.root import Root

HIDDEN = ["/hidden", "/concealed", "/secret", "/key"]


def test_only_attached_mounts_are_cloned_and_mounted_on(tmp_path: Path) -> None:
    """Both is allowed since Linux 6.15; before, it is EINVAL, and no container starts."""
    played = subprocess.run([sys.executable, __file__, str(tmp_path)], capture_output=True, text=True, check=False)
    assert played.returncode == 0, played.stderr
    found = json.loads(played.stdout)
    assert found["refused"] == []
    assert found["clones"] == 4 and found["attached"] >= 7  # or nothing was seen of what is to be looked at
    assert found["hidden"] == [[], [], "", ""]


class Watch:
    """Looks on (sys.setprofile) at the calls of `linux`, and remembers which mounts are attached nowhere."""

    def __init__(self) -> None:
        self.descriptors = os.open("/proc/self/fdinfo", os.O_RDONLY)  # also when /proc is out of sight
        self.detached: set[str] = set()
        self.refused: list[str] = []
        self.clones = self.attached = 0

    def __call__(self, frame: FrameType, event: str, result: Any) -> None:
        name, given = frame.f_code.co_name, frame.f_locals
        if frame.f_code.co_filename != linux.__file__ or event not in ("call", "return"):
            return
        is_clone = name == "open_tree" and bool(given["flags"] & linux.OPEN_TREE_CLONE)
        if event == "call" and is_clone and not given["path"]:
            self.clones += 1
            self.refuse(given["directory"], "cloned")
        if event == "call" and name == "move_mount":
            self.attached += 1
            self.refuse(given["target"], "mounted on")
            self.detached.discard(self.mount_id(given["mount"]))
        if event == "return" and result is not None and (is_clone or name == "fsmount"):
            self.detached.add(self.mount_id(result))

    def mount_id(self, fd: int) -> str:
        with open(f"{fd}", opener=lambda name, flags: os.open(name, flags, dir_fd=self.descriptors)) as file:
            return next(line for line in file if line.startswith("mnt_id:"))

    def refuse(self, fd: int, what: str) -> None:
        if self.mount_id(fd) in self.detached:
            self.refused.append(f"a mount that is attached nowhere was {what}")


def play(house: str) -> None:
    """Put a container's root together and hide some of it."""
    furnish(Path(house))
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", "/", "", linux.MS_REC | linux.MS_PRIVATE)
    plan: dict[str, object] = {"kind": "overlay", "lower": [f"{house}/lower"], "upper": f"{house}/upper", "work": f"{house}/work"}
    stand = f"{house}/stand"
    watch = Watch()
    sys.setprofile(watch)
    mount = rootfs.root_operation(plan, stand).execute()
    with Root.at(stand) as place:
        root = rootfs.enter(mount, place)
    MountOperation("/proc", "proc", "proc", []).execute(root)
    rootfs.forget_host(root)
    ReadOnlyOperation("/proc/sys").execute(root)
    MaskOperation(HIDDEN).execute(root)
    sys.setprofile(None)
    hidden = [os.listdir(path) if os.path.isdir(path) else Path(path).read_text() for path in HIDDEN]
    sys.stdout.write(json.dumps({"refused": watch.refused, "clones": watch.clones, "attached": watch.attached, "hidden": hidden}))


def furnish(house: Path) -> None:
    for name in ("lower/dev", "lower/proc", "lower/hidden", "lower/concealed", "upper", "work", "stand"):
        (house / name).mkdir(parents=True)
    os.mknod(house / "lower/dev/null", 0o20666, os.makedev(1, 3))
    for name in ("secret", "key", "hidden/file", "concealed/file"):
        (house / "lower" / name).write_text("told")


if __name__ == "__main__":
    play(sys.argv[1])
