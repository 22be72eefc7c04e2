"""What a kernel lacks is seen in the control files below its hierarchies."""

from __future__ import annotations

from pathlib import Path

from pyke.runtime.cgroups import support

ROOT_FILES = {
    "memory": ("memory.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.swappiness", "memory.oom_control"),
    "cpu": ("cpu.shares",),
    "cpuset": ("cpuset.cpus", "cpuset.mems"),
    "blkio": ("blkio.throttle.read_bps_device",),
    "pids": (),
}


def hierarchies(root: Path, files: dict[str, tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """Version 1: each controller's mount with its files, and one cgroup in it."""
    for controller, names in files.items():
        (root / controller / "below").mkdir(parents=True)
        for name in names:
            (root / controller / name).touch()
    return {(controller,): str(root / controller) for controller in files}


def test_a_kernel_without_swap_accounting_bandwidth_and_weights(tmp_path: Path) -> None:
    mounts = hierarchies(tmp_path, ROOT_FILES)
    (tmp_path / "pids" / "below" / "pids.max").touch()  # which is in no root
    assert support.lacking(mounts) == {"memory_swap", "cpu_period", "cpu_quota", "blkio_weight"}
    (tmp_path / "blkio" / "below" / "blkio.bfq.weight").touch()
    (tmp_path / "memory" / "memory.memsw.limit_in_bytes").touch()
    assert support.lacking(mounts) == {"cpu_period", "cpu_quota"}


def test_a_controller_that_is_not_mounted(tmp_path: Path) -> None:
    files = {**ROOT_FILES, "pids": ("pids.max",), "cpu": ("cpu.shares", "cpu.cfs_period_us", "cpu.cfs_quota_us")}
    del files["cpuset"]
    assert support.lacking(hierarchies(tmp_path, files)) == {"memory_swap", "cpuset_cpus", "cpuset_mems", "blkio_weight"}


def test_version_2_has_no_swappiness_and_no_oom_control(tmp_path: Path) -> None:
    below = tmp_path / "system.slice"
    below.mkdir()
    for name in (
        "memory.max",
        "memory.low",
        "memory.swap.max",
        "cpu.weight",
        "cpu.max",
        "cpuset.cpus",
        "cpuset.mems",
        "pids.max",
        "io.weight",
    ):
        (below / name).touch()
    assert support.lacking({(): str(tmp_path)}) == {"memory_swappiness", "oom_kill_disable"}
    (below / "memory.swap.max").unlink()
    (below / "io.weight").unlink()
    assert support.lacking({(): str(tmp_path)}) == {"memory_swappiness", "oom_kill_disable", "memory_swap", "blkio_weight"}


def test_where_nothing_is_below_a_root_a_limit_is_tried(tmp_path: Path) -> None:
    assert support.lacking({(): str(tmp_path)}) == {"memory_swappiness", "oom_kill_disable"}
