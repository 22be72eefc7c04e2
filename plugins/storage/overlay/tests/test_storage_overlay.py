"""The storage driver `overlay`: the conformance suite, and what is its own."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pyke.api import DriverHome, InvalidRequest
from pyke.testing.images import directory
from pyke.testing.patience import eventually
from pyke.testing.stacks import Stack, inside
from pyke.testing.storage import StorageConformance
from pyke_storage_overlay.driver import OverlayDriver
from pyke_storage_overlay.trash import Trash


class TestOverlay(StorageConformance):
    @pytest.fixture
    def driver_class(self) -> type[OverlayDriver]:
        return OverlayDriver

    def test_a_layer_is_a_directory_that_only_root_reaches(self, stack: Stack, home: DriverHome) -> None:
        stack.add({"tool": b"x"})
        place = Path(home.directory, "layers", stack.chain_ids[0].removeprefix("sha256:"))
        assert (place / "diff" / "tool").read_bytes() == b"x"
        assert (place.parent.stat().st_mode & 0o777) == 0o700

    def test_an_image_with_too_many_layers_is_refused(self, driver: OverlayDriver) -> None:
        with pytest.raises(InvalidRequest, match="501 layers"):
            driver.prepare("a" * 64, ["sha256:" + "b" * 64] * 501)

    def test_what_was_removed_is_really_gone_after_a_while(self, stack: Stack, home: DriverHome) -> None:
        stack.add({f"file{number}": b"x" for number in range(100)})
        stack.driver.remove_layer(stack.chain_ids[0])
        eventually(lambda: not os.listdir(os.path.join(home.directory, "trash")))

    def test_reconcile_empties_what_a_dead_engine_left(self, driver: OverlayDriver, home: DriverHome) -> None:
        for left in ("staging/half.1/diff", "trash/old.2/upper"):
            os.makedirs(os.path.join(home.directory, left))
        assert driver.reconcile([], []) == ["removed half-made half.1"]
        eventually(lambda: not os.listdir(os.path.join(home.directory, "trash")))

    def test_removing_a_layer_removes_what_a_killed_process_left_of_it(self, stack: Stack, home: DriverHome) -> None:
        stack.add({"a": b"1"})
        stack.add({"b": b"1"})
        first, second = (chain_id.removeprefix("sha256:") for chain_id in stack.chain_ids)
        for left in (f"staging/{first}.1/diff", f"staging/{second}.2/diff", "trash/old.3/upper"):
            os.makedirs(os.path.join(home.directory, left))
        stack.driver.remove_layer(stack.chain_ids[0])
        assert os.listdir(os.path.join(home.directory, "staging")) == [f"{second}.2"]
        eventually(lambda: not os.listdir(os.path.join(home.directory, "trash")))

    def test_preparing_takes_less_than_a_few_milliseconds(self, stack: Stack) -> None:
        for number in range(5):
            stack.add({"d": directory(), f"d/{number}": b""})
        begin = time.perf_counter()
        for _ in range(20):
            stack.prepare()
        assert (time.perf_counter() - begin) / 20 < 0.02

    def test_renamed_directories_and_changed_modes_are_whole_in_the_upper_directory(self, stack: Stack) -> None:

        stack.add({"tool": b"content"})
        snapshot, rootfs = stack.prepare()
        inside(rootfs, "os.chmod('tool', 0o700)")
        assert Path(stack.driver.changes_path(snapshot), "tool").read_bytes() == b"content"


def test_trash_takes_what_is_not_there(tmp_path: Path) -> None:
    Trash(str(tmp_path / "trash")).take(str(tmp_path / "nothing"))
    assert os.listdir(tmp_path / "trash") == []


def test_trash_deletes_trees_deeper_than_any_path(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    try:
        os.mkdir("deep", dir_fd=here)
        bottom = os.open("deep", os.O_RDONLY, dir_fd=here)
        for _ in range(2500):
            os.mkdir("d", dir_fd=bottom)
            below = os.open("d", os.O_RDONLY, dir_fd=bottom)
            os.close(bottom)
            bottom = below
        os.close(bottom)
    finally:
        os.close(here)
    Trash(str(tmp_path / "trash")).take(str(tmp_path / "deep"))
    eventually(lambda: not os.listdir(tmp_path / "trash"))
