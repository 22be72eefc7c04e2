"""Plans as data: what would be done, in which order."""

from typing import Any

from pyke.runtime import cgroups, linux
from pyke.runtime.options import Options
from pyke.runtime.planning import covers, mounts
from pyke.runtime.rootfs import root_operation


def config(*entries: dict[str, Any], **further: Any) -> dict[str, Any]:
    return {"mounts": list(entries), "linux": {"namespaces": [], **further}}


def test_a_new_dev_is_filled_at_once() -> None:
    dev = {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}
    data = {"destination": "/data", "type": "bind", "source": "/src", "options": ["rbind"]}
    lines = [
        each.describe()
        for each in mounts(config(dev, data, devices=[{"path": "/dev/x", "type": "b", "major": 7, "minor": 1}]), cgroups.at("/x"))
    ]
    assert lines[0] == "mount -t tmpfs tmpfs /dev -o mode=755"
    assert lines[1] == "mknod -m 666 /dev/null c 1 3" and "mknod -m 666 /dev/x b 7 1" in lines
    assert lines[-2].startswith("ln -s /proc/self/fd=/dev/fd") and lines[-1] == "mount --rbind /src /data"


def test_a_dev_of_the_users_own_is_left_alone() -> None:
    dev = {"destination": "/dev", "type": "bind", "source": "/dev", "options": ["rbind"]}
    assert [each.describe() for each in mounts(config(dev), cgroups.at("/x"))] == ["mount --rbind /dev /dev"]


def test_read_only_comes_before_hidden() -> None:
    found = [each.describe() for each in covers(config(maskedPaths=["/proc/keys"], readonlyPaths=["/proc/sys"]))]
    assert found == ["mount --bind -o ro /proc/sys /proc/sys", "mask /proc/keys"]


def test_roots_are_described() -> None:
    rootfs: dict[str, object] = {"kind": "overlay", "lower": ["/b", "/a"], "upper": "/u", "work": "/w"}
    assert root_operation(rootfs, "/").describe() == "mount -t overlay overlay / -o lowerdir=/b:/a,upperdir=/u,workdir=/w"
    assert root_operation({"kind": "bind", "source": "/r"}, "/").describe() == "mount --rbind /r /"


def test_options_are_sorted_by_who_wants_to_hear_them() -> None:
    options = Options(["ro", "nosuid", "rw", "rro", "rslave", "rbind", "noatime", "size=5k", "sync", "defaults"])
    assert options.set == linux.MOUNT_ATTR_NOSUID | linux.MOUNT_ATTR_NOATIME and options.clear & linux.MOUNT_ATTR_RDONLY
    assert options.recursive_set == linux.MOUNT_ATTR_RDONLY and options.is_bind and options.is_recursive
    assert (options.propagation, options.propagation_is_recursive) == (linux.MS_SLAVE, True)
    assert options.data == [("size", "5k"), ("sync", None)]
