"""What every storage driver promises, as tests. A driver's own test file is one fixture:

    class TestMine(StorageConformance):
        @pytest.fixture
        def driver_class(self) -> type[MyDriver]:
            return MyDriver

Needs root: stacks are really mounted, each in a mount namespace of its own, and looked at from inside.
"""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pyke.archive.tar import FIFO, HARD_LINK
from pyke.codec import to_data
from pyke.drivers import DriverHome, LayerRequest, RenamesLayers, StorageDriver
from pyke.errors import BadArchive, NotFound, PykeError
from pyke.testing.images import Node, character_device, digest, directory, executable, hard_link, layer, symbolic_link
from pyke.testing.stacks import Cut, Pieces, Stack, inside


def tree_of(path: Path) -> set[str]:
    """Every name below a directory."""
    return {str(each.relative_to(path)) for each in path.rglob("*")}


class StorageConformance:
    """The suite. Give it the fixture `driver_class`."""

    @pytest.fixture
    def driver_class(self) -> type[StorageDriver]:
        raise NotImplementedError("give your test class a fixture `driver_class` that returns the class of your driver")

    @pytest.fixture
    def home(self, tmp_path: Path) -> DriverHome:
        return DriverHome(str(tmp_path / "driver"), str(tmp_path / "run"), "c0ffee")

    @pytest.fixture
    def driver(self, driver_class: type[StorageDriver], home: DriverHome) -> Iterator[StorageDriver]:
        driver = driver_class(home)
        yield driver
        driver.reconcile([], [])

    @pytest.fixture
    def stack(self, driver: StorageDriver) -> Stack:
        return Stack(driver)

    # --- being there ---

    def test_making_a_driver_touches_nothing(self, driver_class: type[StorageDriver], home: DriverHome) -> None:
        driver_class(home)
        assert not os.path.exists(home.directory)

    def test_it_is_supported_here_and_asking_leaves_nothing(self, driver: StorageDriver) -> None:
        assert driver.is_supported() == ""
        assert driver.layers() == []

    # --- layers ---

    def test_a_layer_is_there_after_adding_and_its_size_is_returned(self, stack: Stack) -> None:
        size = stack.add({"etc": directory(), "etc/motd": b"x" * 5000, "etc/other": b"y" * 3000})
        assert size >= 8000
        assert stack.driver.has_layer(stack.chain_ids[0])
        assert list(stack.driver.layers()) == stack.chain_ids

    def test_a_layer_that_was_never_added_is_not_there(self, driver: StorageDriver) -> None:
        assert not driver.has_layer(digest(b"nobody"))

    def test_adding_twice_reads_the_stream_to_its_end_and_changes_nothing(self, stack: Stack) -> None:
        first = stack.add({"a": b"1"})
        chain_id = stack.chain_ids[0]
        stream = io.BytesIO(stack.archives[0])
        assert stack.driver.add_layer(LayerRequest(chain_id), stream) == first
        assert stream.read() == b""
        assert list(stack.driver.layers()) == [chain_id]

    @pytest.mark.parametrize("size", [1, 511, 100_000])
    def test_a_layer_comes_in_pieces_of_any_size(self, driver: StorageDriver, size: int) -> None:
        archive = layer({"a": b"x" * 30_000, "d": directory(), "d/b": b"y"})
        assert driver.add_layer(LayerRequest(digest(archive)), Pieces(archive, size)) >= 30_000
        assert driver.has_layer(digest(archive))

    def test_what_goes_wrong_with_a_stream_comes_through_and_leaves_nothing(self, driver: StorageDriver, home: DriverHome) -> None:
        archive = layer({"a": b"x" * 300_000})
        with pytest.raises(Cut):
            driver.add_layer(LayerRequest(digest(archive)), Pieces(archive[:200_000], 1000, Cut()))
        assert not driver.has_layer(digest(archive)) and not driver.layers()
        assert not driver.reconcile([], [])

    def test_layers_are_added_at_the_same_time(self, driver: StorageDriver) -> None:
        archives = [layer({f"file{number}": b"x"}) for number in range(8)] * 2

        def add(archive: bytes) -> int:
            return driver.add_layer(LayerRequest(digest(archive)), io.BytesIO(archive))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(add, archives))
        assert sorted(driver.layers()) == sorted({digest(archive) for archive in archives})

    def test_an_empty_layer_is_a_layer(self, stack: Stack) -> None:
        stack.add({})
        stack.add({"a": b"1"})
        assert inside(stack.prepare()[1], "print(os.listdir())") == "['a']"

    def test_removing_a_layer_twice_succeeds(self, stack: Stack) -> None:
        stack.add({"a": b"1"})
        stack.driver.remove_layer(stack.chain_ids[0])
        stack.driver.remove_layer(stack.chain_ids[0])
        assert not stack.driver.has_layer(stack.chain_ids[0])
        assert list(stack.driver.layers()) == []

    def test_a_removed_layer_can_come_back(self, stack: Stack) -> None:
        stack.add({"a": b"1"})
        archive = stack.archives.pop()
        stack.driver.remove_layer(digest(archive))
        stack.add(archive)
        assert inside(stack.prepare()[1], "print(open('a').read())") == "1"

    @pytest.mark.parametrize("name", ["", "x", "sha256:", "sha256:" + "A" * 64, "sha256:../../etc", "sha256:" + "a" * 63, "a" * 64 + "\n"])
    def test_what_is_no_chain_id_is_refused(self, driver: StorageDriver, name: str, tmp_path: Path) -> None:
        before = tree_of(tmp_path)
        with pytest.raises(PykeError):
            driver.remove_layer(name)
        assert tree_of(tmp_path) == before

    # --- layers that get another name, where the driver can do that ---

    @pytest.fixture
    def renaming(self, driver: StorageDriver) -> RenamesLayers:
        if not isinstance(driver, RenamesLayers):
            pytest.skip("this driver does not rename layers")
        return driver

    def test_a_layer_that_got_its_name_later_is_a_layer_like_others(self, stack: Stack, renaming: RenamesLayers) -> None:
        stack.add({"a": b"1"})
        upper, unnamed = layer({"b": b"2"}), digest(b"nobody's")
        stack.archives.append(upper)
        stack.driver.add_layer(LayerRequest(unnamed), io.BytesIO(upper))
        renaming.rename_layer(unnamed, stack.chain_ids[1], stack.chain_ids[0])
        assert sorted(stack.driver.layers()) == sorted(stack.chain_ids) and not stack.driver.has_layer(unnamed)
        assert inside(stack.prepare()[1], "print(sorted(os.listdir()))") == "['a', 'b']"
        assert inside(stack.driver.layer_path(stack.chain_ids[1]), "print(sorted(os.listdir()))") == "['a', 'b']"

    def test_a_name_that_is_taken_stays_with_its_layer(self, stack: Stack, renaming: RenamesLayers) -> None:
        stack.add({"a": b"first"})
        unnamed = digest(b"nobody's")
        stack.driver.add_layer(LayerRequest(unnamed), io.BytesIO(layer({"a": b"second"})))
        renaming.rename_layer(unnamed, stack.chain_ids[0], "")
        assert list(stack.driver.layers()) == stack.chain_ids
        assert inside(stack.prepare()[1], "print(open('a').read())") == "first"

    def test_what_is_not_there_or_no_chain_id_is_not_renamed(self, stack: Stack, renaming: RenamesLayers) -> None:
        stack.add({"a": b"1"})
        with pytest.raises(NotFound):
            renaming.rename_layer(digest(b"nobody"), digest(b"somebody"), "")
        for name, parent in (("sha256:../../x", ""), (digest(b"x"), "sha256:../x")):
            with pytest.raises(PykeError):
                renaming.rename_layer(stack.chain_ids[0], name, parent)
        assert list(stack.driver.layers()) == stack.chain_ids

    # --- content ---

    def test_files_keep_content_mode_owner_time_and_links(self, stack: Stack) -> None:
        stack.add(
            {
                "bin": directory(0o751, uid=1, gid=2, mtime=1_000_000_000),
                "bin/tool": executable(b"#!", 0o4755, uid=1000, gid=1000, mtime=1_100_000_000),
                "bin/same": replace(hard_link("bin/tool"), mode=0o4755, uid=1000, gid=1000, mtime=1_100_000_000),
                "bin/link": symbolic_link("/bin/tool"),
                "tmp": directory(0o1777),
                "null": character_device(1, 3),
                "pipe": Node(FIFO, mode=0o600),
            }
        )
        code = """
def told(name):
    s = os.lstat(name)
    return [oct(s.st_mode), s.st_uid, s.st_gid, int(s.st_mtime), s.st_nlink if not os.path.isdir(name) else 0]
print(json.dumps({name: told(name) for name in ("bin", "bin/tool", "tmp", "null", "pipe")}))
print(os.readlink("bin/link"), os.path.samefile("bin/tool", "bin/same"), os.stat("null").st_rdev == os.makedev(1, 3))
"""
        first, second = inside(stack.prepare()[1], code).splitlines()
        told = json.loads(first)
        assert told["bin"] == ["0o40751", 1, 2, 1_000_000_000, 0]
        assert told["bin/tool"] == ["0o104755", 1000, 1000, 1_100_000_000, 2]
        assert told["tmp"][0] == "0o41777"
        assert [told["null"][0], told["pipe"][0]] == ["0o20666", "0o10600"]
        assert second == "/bin/tool True True"

    def test_attributes_of_files_are_kept(self, stack: Stack) -> None:
        capability = b"\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
        stack.add({"ping": executable(b"x", xattrs={"security.capability": capability, "user.note": b"\x00\xff"})})
        code = "print(os.getxattr('ping', 'security.capability').hex(), os.getxattr('ping', 'user.note').hex())"
        assert inside(stack.prepare()[1], code) == f"{capability.hex()} 00ff"

    def test_names_are_bytes(self, stack: Stack) -> None:
        names = ["caf\udce9", "new\nline", "-rf", "grüße", "x" * 255]
        stack.add({name: b"" for name in names})
        assert json.loads(inside(stack.prepare()[1], "print(json.dumps(sorted(os.listdir())))")) == sorted(names)

    @pytest.mark.parametrize("name", ["./", ".", "/"])
    def test_no_layer_says_what_the_root_is_like(self, stack: Stack, name: str) -> None:
        stack.add({"a": b"1", name: directory(0o750, uid=5, gid=6)})
        code = "s = os.stat('.'); print(oct(stat.S_IMODE(s.st_mode)), s.st_uid, s.st_gid)"
        for rootfs in (stack.prepare()[1], stack.driver.layer_path(stack.chain_ids[-1])):
            assert inside(rootfs, f"import stat; {code}") == "0o755 0 0"

    # --- whiteouts ---

    def test_a_whiteout_hides_what_lies_below(self, stack: Stack) -> None:
        stack.add({"a": b"1", "b": b"2", "d": directory(), "d/x": b"3"})
        stack.add({".wh.a": b"", ".wh.d": b""})
        assert inside(stack.prepare()[1], "print(sorted(os.listdir()))") == "['b']"

    def test_an_opaque_directory_hides_all_below_but_not_its_own(self, stack: Stack) -> None:
        stack.add({"d": directory(), "d/old": b"1", "e": b""})
        stack.add({"d": directory(), "d/new": b"2", "d/.wh..wh..opq": b""})
        assert inside(stack.prepare()[1], "print(sorted(os.listdir()), os.listdir('d'))") == "['d', 'e'] ['new']"

    def test_a_directory_that_was_deleted_and_made_again_is_empty(self, stack: Stack) -> None:
        stack.add({"d": directory(), "d/old": b"1"})
        stack.add({".wh.d": b"", "d": directory(), "d/new": b"2"})
        assert inside(stack.prepare()[1], "print(os.listdir('d'))") == "['new']"

    def test_a_file_takes_the_place_of_a_directory_and_back(self, stack: Stack) -> None:
        stack.add({"x": directory(), "x/y": b"1", "z": b"file"})
        stack.add({"x": b"now a file", "z": directory(), "z/in": b"2"})
        assert inside(stack.prepare()[1], "print(open('x').read(), os.listdir('z'))") == "now a file ['in']"

    # --- stacks ---

    def test_more_than_a_hundred_layers_are_mounted(self, stack: Stack) -> None:
        for number in range(128):
            stack.add({f"layer{number}": str(number).encode(), "last": str(number).encode()})
        code = "print(len(os.listdir()), open('last').read(), open('layer0').read())"
        assert inside(stack.prepare()[1], code) == "129 127 0"

    def test_a_stack_can_be_mounted_without_a_snapshot_and_not_be_written(self, stack: Stack) -> None:
        stack.add({"a": b"1"})
        stack.add({"b": b"2"})
        rootfs = stack.driver.layer_path(stack.chain_ids[-1])
        code = """
try:
    open("c", "w")
except OSError as error:
    print(sorted(os.listdir()), error.errno)
"""
        assert inside(rootfs, code) == "['a', 'b'] 30"
        assert inside(stack.driver.layer_path(stack.chain_ids[0]), "print(os.listdir())") == "['a']"

    # --- snapshots ---

    def test_what_a_container_writes_stays_in_its_snapshot(self, stack: Stack) -> None:
        stack.add({"a": b"1"})
        snapshot, rootfs = stack.prepare()
        other = stack.prepare()[1]
        inside(rootfs, "open('a', 'w').write('changed'); open('b', 'w').write('x' * 1000)")
        assert inside(stack.driver.mount_plan(snapshot), "print(open('a').read(), len(open('b').read()))") == "changed 1000"
        assert inside(other, "print(open('a').read(), os.listdir())") == "1 ['a']"
        assert stack.driver.usage(snapshot) >= 1007

    def test_changes_are_found_where_the_driver_says(self, stack: Stack) -> None:
        stack.add({"a": b"1", "gone": b""})
        snapshot, rootfs = stack.prepare()
        inside(rootfs, "open('new', 'w').write('x'); os.unlink('gone')")
        changes = Path(stack.driver.changes_path(snapshot))
        assert sorted(os.listdir(changes)) == ["gone", "new"]
        gone = os.lstat(changes / "gone")
        assert stat.S_ISCHR(gone.st_mode) and gone.st_rdev == 0

    def test_a_snapshot_over_nothing_is_empty(self, driver: StorageDriver) -> None:
        assert inside(driver.prepare("e" * 64, []), "print(os.listdir()); open('a', 'w')") == "[]"

    def test_preparing_twice_gives_the_same(self, stack: Stack) -> None:
        stack.add({"a": b"1"})
        snapshot, rootfs = stack.prepare()
        inside(rootfs, "open('kept', 'w')")
        assert stack.driver.prepare(snapshot, stack.chain_ids) == rootfs
        assert "kept" in os.listdir(stack.driver.changes_path(snapshot))

    def test_a_snapshot_over_a_missing_layer_is_refused_and_leaves_nothing(self, driver: StorageDriver) -> None:
        with pytest.raises(PykeError):
            driver.prepare("f" * 64, [digest(b"nobody")])
        with pytest.raises(PykeError):
            driver.mount_plan("f" * 64)

    def test_removing_a_snapshot_twice_succeeds_and_layers_stay(self, stack: Stack) -> None:
        stack.add({"a": b"1"})
        snapshot = stack.prepare()[0]
        stack.driver.remove(snapshot)
        stack.driver.remove(snapshot)
        with pytest.raises(PykeError):
            stack.driver.mount_plan(snapshot)
        assert list(stack.driver.layers()) == stack.chain_ids

    @pytest.mark.parametrize("name", ["", "..", "../../etc", "a" * 63, "A" * 64, "a" * 64 + "/..", "a" * 64 + "\n"])
    def test_what_is_no_container_id_is_refused(self, driver: StorageDriver, name: str) -> None:
        with pytest.raises(PykeError):
            driver.remove(name)
        with pytest.raises(PykeError):
            driver.prepare(name, [])

    # --- hostile archives ---

    @pytest.mark.parametrize(
        "tree",
        [
            {"../escape": b""},
            {"a/../../escape": b""},
            {"link": symbolic_link("/nosuch"), "link/escape": b""},
            {"link": symbolic_link("../nosuch"), "link/escape": b""},
            {"hard": hard_link("../../../../etc/passwd")},
            {"link": symbolic_link("/etc/passwd"), "hard": Node(HARD_LINK, link="nowhere")},
            {".wh...": b""},
            {"d": directory(), "d/.wh..": b""},
            {"zero": character_device(0, 0)},
            {"a": b"", "a/b": b""},
        ],
        ids=str,
    )
    def test_a_hostile_archive_is_refused_and_leaves_nothing(self, stack: Stack, tree: dict[str, Any], tmp_path: Path) -> None:
        with pytest.raises(BadArchive):
            stack.add({"good": b"x", **tree})
        assert not list(stack.driver.layers())
        assert not [name for name in tree_of(tmp_path) if name.endswith("escape")]

    def test_an_archive_that_is_cut_short_is_refused(self, stack: Stack) -> None:
        with pytest.raises(BadArchive):
            stack.add(layer({"a": b"x" * 10_000})[:6000])
        assert not list(stack.driver.layers())

    def test_limits_of_a_request_are_kept(self, stack: Stack) -> None:
        with pytest.raises(BadArchive):
            stack.add({"a": b"x" * 10_000}, max_bytes=9_999)
        with pytest.raises(BadArchive):
            stack.add({"a": b"", "b": b"", "c": b""}, max_entries=2)
        assert not list(stack.driver.layers())

    # --- after a crash ---

    def test_reconcile_keeps_what_is_expected_and_says_what_it_removed(self, stack: Stack) -> None:
        stack.add({"a": b"1"})
        stack.add({"b": b"2"})
        kept, lost = stack.prepare()[0], stack.prepare()[0]
        stack.driver.remove(lost)
        lost = stack.prepare()[0]
        lines = stack.driver.reconcile(stack.chain_ids, [kept])
        assert len(lines) == 1 and lost in lines[0]
        assert list(stack.driver.reconcile(stack.chain_ids, [kept])) == []
        assert inside(stack.driver.mount_plan(kept), "print(sorted(os.listdir()))") == "['a', 'b']"

    def test_reconcile_of_nothing_removes_all(self, stack: Stack) -> None:
        stack.add({"a": b"1"})
        snapshot = stack.prepare()[0]
        assert len(stack.driver.reconcile([], [])) == 2
        assert not list(stack.driver.layers())
        with pytest.raises(PykeError):
            stack.driver.mount_plan(snapshot)

    def test_a_driver_that_is_killed_while_adding_has_no_layer(self, driver_class: type[StorageDriver], home: DriverHome) -> None:
        archive = layer({f"file{number}": b"x" * 1000 for number in range(200)})
        code = f"import sys; sys.path = {sys.path!r}\n{KILLED}"
        target = f"{driver_class.__module__}:{driver_class.__qualname__}"
        arguments = json.dumps([target, to_data(home), digest(archive)])
        with subprocess.Popen([sys.executable, "-c", code, arguments], stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            process.stdin.write(archive[: len(archive) // 2])
            process.stdin.flush()
            while not os.path.isdir(home.directory):
                assert process.poll() is None
            process.kill()
        driver = driver_class(home)
        assert not driver.has_layer(digest(archive))
        driver.reconcile([], [])
        assert not list(driver.layers())


KILLED = """
import importlib, json
from pyke.codec import from_data
from pyke.drivers import DriverHome, LayerRequest
target, home, chain_id = json.loads(sys.argv[1])
module, _, name = target.partition(":")
getattr(importlib.import_module(module), name)(from_data(DriverHome, home)).add_layer(LayerRequest(chain_id), sys.stdin.buffer.raw)
"""
