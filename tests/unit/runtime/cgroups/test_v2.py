"""OCI resources in the words of version 2."""

from pyke.runtime.cgroups import parse_mountinfo, v2


def test_version_1s_words_become_version_2s() -> None:
    resources = {
        "memory": {"limit": 100, "swap": 300, "reservation": 50},
        "cpu": {"shares": 1024, "quota": 50000, "period": 100000, "cpus": "0"},
        "pids": {"limit": 7},
    }
    assert v2.settings(resources) == {
        "memory.max": "100", "memory.swap.max": "200", "memory.low": "50", "cpu.weight": "39", "cpu.max": "50000 100000",
        "cpuset.cpus": "0", "pids.max": "7",
    }  # fmt: skip


def test_what_is_not_limited_is_not_mentioned() -> None:
    assert v2.settings({}) == {}
    assert v2.settings({"memory": {"limit": -1, "swap": -1}, "pids": {"limit": -1}}) == {
        "memory.max": "max", "memory.swap.max": "max", "pids.max": "max",
    }  # fmt: skip


def test_io_statistics() -> None:
    assert v2.parse_io("8:0 rbytes=1 wbytes=2 rios=3\n") == [
        {"major": 8, "minor": 0, "op": "Read", "value": 1},
        {"major": 8, "minor": 0, "op": "Write", "value": 2},
    ]


def test_the_three_ways_of_mounting_are_told_apart() -> None:
    line = "30 25 0:26 / /sys/fs/cgroup/{} rw,nosuid shared:9 - {} cgroup rw,{}"
    hybrid = "\n".join(
        (
            line.format("cpu,cpuacct", "cgroup", "cpu,cpuacct"),
            line.format("systemd", "cgroup", "xattr,name=systemd"),
            line.format("unified", "cgroup2", "nsdelegate"),
        )
    )
    assert parse_mountinfo(hybrid) == {
        ("cpu", "cpuacct"): "/sys/fs/cgroup/cpu,cpuacct", ("name=systemd",): "/sys/fs/cgroup/systemd", (): "/sys/fs/cgroup/unified",
    }  # fmt: skip
