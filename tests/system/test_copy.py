"""`cp`, `diff`, `export` and `commit` on a real engine: running and stopped containers, volumes and binds, in both directions."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from pyke.archive.pack import END, header, padding
from pyke.archive.tar import FILE
from pyke.testing.engine import TestEngine

SCRIPT = "mkdir -p /d/e /n; echo 1 > /d/f; ln -s f /d/rel; ln -s /d /lnk; ln -s /nowhere /dangling; chmod 700 /n"
BIG = 100 << 20  # bytes


@pytest.fixture(params=["running", "stopped"])
def box(shared: TestEngine, request: pytest.FixtureRequest) -> TestEngine:
    """A container `box` with a few files, which runs or does not: `cp` sees no difference."""
    if request.param == "running":
        shared.ok("run", "-d", "--name", "box", "busybox", "sh", "-c", f"{SCRIPT}; touch /ready; sleep 1000")
        shared.ok("exec", "box", "sh", "-c", "until [ -e /ready ]; do sleep 0.05; done; rm /ready")
    else:
        shared.ok("run", "--name", "box", "busybox", "sh", "-c", SCRIPT)
    return shared


def read(engine: TestEngine, path: str, container: str = "box") -> str:
    """What a file in a container holds, got in another way than by `cp` to a file."""
    archive = subprocess.run(engine.argv("cp", f"{container}:{path}", "-"), stdout=subprocess.PIPE, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        file = tar.extractfile(tar.getmembers()[0])
        assert file is not None
        return file.read().decode()


def names(engine: TestEngine, path: str) -> list[str]:
    """The names in the tar of a path, in their order."""
    archive = subprocess.run(engine.argv("cp", path, "-"), stdout=subprocess.PIPE, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return tar.getnames()


# --- cp ------------------------------------------------------------------------------------------------------------


def test_a_path_is_told_by_its_last_component(box: TestEngine) -> None:
    assert names(box, "box:/d") == ["d", "d/e", "d/f", "d/rel"]
    assert names(box, "box:d/") == ["d", "d/e", "d/f", "d/rel"]
    assert names(box, "box:/d/.") == [".", "./e", "./f", "./rel"]
    assert names(box, "box:/lnk") == ["lnk"]
    assert names(box, "box:/lnk/") == ["lnk", "lnk/e", "lnk/f", "lnk/rel"]
    assert names(box, "box:/lnk/f") == ["f"]
    assert names(box, "box:/../d/../d/f") == ["f"]
    assert "/etc/passwd" in names(box, "box:/")


def test_copying_out_follows_docker_s_rules(box: TestEngine, tmp_path: Path) -> None:
    def copy(source: str, target: str, *flags: str) -> None:
        box.ok("cp", *flags, f"box:{source}", f"{tmp_path}/{target}")

    copy("/d", "")
    copy("/d", "new")
    copy("/d/.", "content")
    copy("/d/f", "renamed")
    copy("/d/f", "new/e/")
    copy("/d/rel", "")
    copy("/d/rel", "followed", "-L")
    copy("/lnk", "tree", "-L")
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    tree = [f"{top}/{name}" for top in ("content", "d", "new", "tree") for name in ("", "e", "f", "rel")]
    assert found == sorted([*(name.rstrip("/") for name in tree), "renamed", "new/e/f", "rel", "followed"])
    assert (tmp_path / "rel").is_symlink() and (tmp_path / "followed").read_text() == "1\n" and not (tmp_path / "followed").is_symlink()


def test_copying_in_follows_docker_s_rules(box: TestEngine, tmp_path: Path) -> None:
    (tmp_path / "dir" / "sub").mkdir(parents=True)
    (tmp_path / "dir" / "x").write_text("x\n")
    (tmp_path / "file").write_text("hello\n")
    (tmp_path / "link").symlink_to("file")

    def copy(source: str, target: str, *flags: str) -> None:
        box.ok("cp", *flags, f"{tmp_path}/{source}", f"box:{target}")

    copy("file", "/d")
    copy("file", "/d/e/")
    copy("file", "/named")
    copy("file", "/dangling")
    copy("file", "/lnk")
    copy("dir", "/new")
    copy("dir", "/new")
    copy("dir/.", "/content")
    copy("link", "/")
    copy("link", "/followed", "-L")
    for path in ("/d/file", "/d/e/file", "/named", "/nowhere", "/followed"):
        assert read(box, path) == "hello\n", path
    assert names(box, "box:/new") == ["new", "new/dir", "new/dir/sub", "new/dir/x", "new/sub", "new/x"]
    assert names(box, "box:/content") == ["content", "content/sub", "content/x"]
    assert "L /link" not in box.ok("diff", "box") and names(box, "box:/link") == ["link"]


REFUSALS = [
    ("box:/nosuch", ".", "Could not find the file /nosuch in container box"),
    ("box:/d/f/x", ".", "Could not find the file /d/f/x in container box"),
    ("nosuch:/x", ".", "No such container: nosuch"),
    ("a", "b", "must specify at least one container source"),
    ("box:/d", "box:/e", "copying between containers is not supported"),
    ("box:", ".", "bad parameter: path cannot be empty"),
    ("HERE/file", "box:/nosuch/x", "Could not find the file /nosuch in container box"),
    ("HERE/file", "box:/nosuch/", "no such directory"),
    ("HERE/file", "box:/d/f/x", "extraction point is not a directory"),
    ("HERE/file", "box:", "no such directory"),
    ("HERE/dir", "box:/d/f", "cannot copy directory"),
    ("box:/d", "HERE/file", "cannot copy directory"),
    ("box:/d/f", "HERE/nosuch/", "no such directory"),
    ("box:/d/f", "HERE/nosuch/x", 'invalid output path: directory "HERE/nosuch" does not exist'),
    ("HERE/nosuch", "box:/", "lstat HERE/nosuch: no such file or directory"),
    ("-", "box:/d/f", 'destination "box:/d/f" must be a directory'),
    ("-", "box:/nosuch", 'destination "box:/nosuch" must be a directory'),
]


def test_what_cannot_be_copied_is_told_in_docker_s_words(shared: TestEngine, tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").touch()
    shared.ok("run", "--name", "box", "busybox", "sh", "-c", SCRIPT)
    before = shared.ok("diff", "box")
    for source, target, message in REFUSALS:
        done = shared.pyke("cp", source.replace("HERE", str(tmp_path)), target.replace("HERE", str(tmp_path)))
        assert (done.status, done.stderr.splitlines()[0]) == (1, "pyke: " + message.replace("HERE", str(tmp_path)))
    assert shared.ok("diff", "box") == before


def test_owners_modes_times_and_attributes_survive_the_way_in_and_out(box: TestEngine, tmp_path: Path) -> None:
    original = tmp_path / "file"
    original.write_text("x")
    os.setxattr(original, "user.note", b"kept")
    os.chown(original, 1234, 5678)
    original.chmod(0o4751)
    os.utime(original, (1_000_000_000, 1_000_000_000))
    box.ok("cp", str(original), "box:/file")
    box.ok("cp", "-a", "box:/file", str(tmp_path / "kept"))
    box.ok("cp", "box:/file", str(tmp_path / "mine"))
    kept, mine = (tmp_path / "kept").stat(), (tmp_path / "mine").stat()
    assert (kept.st_uid, kept.st_gid, kept.st_mode & 0o7777, int(kept.st_mtime)) == (1234, 5678, 0o4751, 1_000_000_000)
    assert (mine.st_uid, mine.st_gid) == (os.geteuid(), os.getegid())
    assert os.getxattr(tmp_path / "kept", "user.note") == b"kept"


def test_volumes_and_binds_are_reached_and_read_only_ones_are_not_written(shared: TestEngine, tmp_path: Path) -> None:
    bind, file = tmp_path / "bind", tmp_path / "file"
    bind.mkdir()
    file.write_text("hello\n")
    mounts = ("-v", "data:/data", "-v", f"{bind}:/bind", "-v", "data:/frozen:ro")
    for name, flags in (("made", ("create",)), ("ended", ("run",)), ("running", ("run", "-d"))):
        shared.ok(*flags, "--name", name, "--read-only", *mounts, "busybox", "sleep", "1000" if name == "running" else "0")
        shared.ok("cp", str(file), f"{name}:/data/{name}")
        shared.ok("cp", str(file), f"{name}:/bind/{name}")
        assert (bind / name).read_text() == "hello\n"
        assert read(shared, f"/frozen/{name}", name) == "hello\n"
        refusals = [shared.pyke("cp", str(file), f"{name}:{path}").stderr.splitlines()[0] for path in ("/etc", "/frozen")]
        assert refusals == ["pyke: container rootfs is marked read-only", "pyke: mounted volume is marked read-only"]
    assert shared.ok("run", "--rm", "-v", "data:/data", "busybox", "ls", "/data") == "ended\nmade\nrunning"


def test_a_file_on_which_another_is_mounted_is_written_in_place(box_with_file: TestEngine, tmp_path: Path) -> None:
    (tmp_path / "new").write_text("through the bind\n")
    box_with_file.ok("cp", str(tmp_path / "new"), "box:/single")
    assert (tmp_path / "single").read_text() == "through the bind\n"
    done = box_with_file.pyke("cp", "-", "box:/", input=(header(b"single", b"2", 0, link=b"elsewhere") + END).decode())
    assert done.stderr.startswith("pyke: 'single' cannot be replaced, for something is mounted on it")
    assert read(box_with_file, "/single") == "through the bind\n"


@pytest.fixture(params=["running", "stopped"])
def box_with_file(shared: TestEngine, request: pytest.FixtureRequest, tmp_path: Path) -> TestEngine:
    """A container with a file of the host bound on /single."""
    (tmp_path / "single").write_text("hello\n")
    seconds = "1000" if request.param == "running" else "0"
    shared.ok("run", "-d", "--name", "box", "-v", f"{tmp_path}/single:/single", "busybox", "sleep", seconds)
    if request.param == "stopped":
        shared.ok("wait", "box")
    return shared


def test_a_tmpfs_of_a_running_container_is_seen_and_the_kernel_s_files_are_not(shared: TestEngine, tmp_path: Path) -> None:
    shared.ok("run", "-d", "--name", "box", "--tmpfs", "/t", "busybox", "sleep", "1000")
    (tmp_path / "file").write_text("in memory\n")
    shared.ok("cp", str(tmp_path / "file"), "box:/t")
    assert shared.ok("exec", "box", "cat", "/t/file") == "in memory\n".strip()
    assert names(shared, "box:/proc") == ["proc"] and names(shared, "box:/sys/.") == ["."]
    for path in ("/proc/cpuinfo", "/proc/self/root/etc/passwd", "/proc/1/fd/0", "/sys/kernel/notes", "/proc/self/cwd"):
        assert shared.pyke("cp", f"box:{path}", str(tmp_path)).stderr.startswith(f"pyke: Could not find the file {path} ")
    assert shared.pyke("cp", str(tmp_path / "file"), "box:/proc/sys").status == 1


def test_etc_hosts_can_be_read_and_written(shared: TestEngine, tmp_path: Path) -> None:
    shared.ok("run", "-d", "--name", "box", "--hostname", "boxes", "busybox", "sleep", "1000")
    assert "boxes" in read(shared, "/etc/hosts")
    (tmp_path / "hosts").write_text("10.9.8.7 somebody\n")
    shared.ok("cp", str(tmp_path / "hosts"), "box:/etc/hosts")
    assert shared.ok("exec", "box", "cat", "/etc/hosts") == "10.9.8.7 somebody"
    assert shared.ok("diff", "box") == ""


def test_an_archive_from_stdin_may_be_compressed(box: TestEngine, tmp_path: Path) -> None:
    for number, mode in enumerate(("w", "w:gz", "w:bz2", "w:xz")):
        (tmp_path / "file").write_text(mode)
        with tarfile.open(tmp_path / "archive", mode) as tar:
            tar.add(tmp_path / "file", f"file{number}")
        with (tmp_path / "archive").open("rb") as archive:
            subprocess.run(box.argv("cp", "-", "box:/d"), stdin=archive, check=True)
        assert read(box, f"/d/file{number}") == mode


def test_an_archive_may_not_exchange_files_and_directories(box: TestEngine) -> None:
    for archive, complaint in (
        (header(b"f/", b"5", 0) + END, "cannot overwrite non-directory 'f' with a directory"),
        (header(b"e", FILE, 0) + END, "cannot overwrite directory 'e' with a non-directory"),
        (header(b"lnk", b"2", 0, link=b"/n") + END, None),
        (header(b"lnk/x", FILE, 0) + END, None),
        (header(b"rel/x", FILE, 0) + END, "'rel' is not a directory, and the archive wants something below it"),
        (header(b"../x", FILE, 0) + END, "the name '../x' leads out of the archive"),
        (b"junk\n", "the archive ends in the middle of a block, at byte 5"),
    ):
        done = subprocess.run(box.argv("cp", "-", "box:/d"), input=archive, capture_output=True, check=False)
        if complaint is not None:
            assert done.stderr.decode().splitlines()[0] == f"pyke: {complaint}"
    assert names(box, "box:/d") == ["d", "d/e", "d/f", "d/lnk", "d/rel"]
    assert names(box, "box:/n") == ["n", "n/x"]  # as `bin/x` of an archive is /usr/bin/x where /bin is a link


def test_names_that_mean_something_in_a_layer_mean_nothing_here(box: TestEngine) -> None:
    archive = b"".join(header(name, FILE, 0) for name in (b".wh.f", b".wh..wh..opq", b".wh.x/y")) + END
    subprocess.run(box.argv("cp", "-", "box:/d"), input=archive, check=True)
    assert names(box, "box:/d") == ["d", *(f"d/{name}" for name in (".wh..wh..opq", ".wh.f", ".wh.x", ".wh.x/y", "e", "f", "rel"))]


def test_events_tell_of_copies(shared: TestEngine, tmp_path: Path) -> None:
    id = shared.ok("create", "--name", "box", "busybox")
    (tmp_path / "file").touch()
    shared.ok("cp", str(tmp_path / "file"), "box:/")
    shared.ok("cp", "box:/file", str(tmp_path / "back"))
    shared.ok("export", "-o", str(tmp_path / "tar"), "box")
    assert actions(shared, id) == ["create", "extract-to-dir", "archive-path", "export"]


def actions(engine: TestEngine, id: str) -> list[str]:
    """What the events of a container tell, in order."""
    return engine.ok("events", "--since", "10m", "--until", "0s", "-f", f"container={id}", "--format", "{{.Action}}").splitlines()


def test_looking_changes_nothing(shared: TestEngine) -> None:
    shared.ok("create", "--name", "box", "-v", "/volume", "busybox")
    assert names(shared, "box:/volume") == ["volume"] and len(names(shared, "box:/")) > 100
    assert shared.ok("diff", "box") == ""
    assert shared.ok("inspect", "-s", "-f", "{{.SizeRw}}", "box") == "0"


# --- gigabytes -----------------------------------------------------------------------------------------------------


def test_large_files_arrive_whole_and_cost_no_memory(shared: TestEngine, tmp_path: Path) -> None:
    shared.ok("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    block = os.urandom(1 << 20)
    expected = hashlib.sha256(block * (BIG >> 20)).hexdigest()
    with (tmp_path / "big").open("wb") as file:
        for _ in range(BIG >> 20):
            file.write(block)
    before = memory(shared.engine_pid())
    shared.ok("cp", str(tmp_path / "big"), "box:/big")
    assert shared.ok("exec", "box", "sha256sum", "/big").split()[0] == expected
    shared.ok("cp", "box:/big", str(tmp_path / "back"))
    with (tmp_path / "back").open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == expected
    assert memory(shared.engine_pid()) - before < 32 << 20


def memory(pid: int) -> int:
    """The most bytes that a process has ever had in memory."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))


def test_a_client_that_goes_away_leaves_no_process(shared: TestEngine) -> None:
    shared.ok("run", "-d", "--name", "box", "busybox", "sh", "-c", "dd if=/dev/zero of=/big bs=1M count=64 2>/dev/null; sleep 1000")
    client = shared.start("cp", "box:/big", "-")
    assert client.stdout is not None and client.stdout.read(1 << 20)
    client.kill()
    client.communicate()
    shared.ok("rm", "-f", "box")
    assert subprocess.run(["pgrep", "-f", f"pyke.files.*{shared.layout.root}"], stdout=subprocess.DEVNULL, check=False).returncode == 1


# --- diff, export, commit ------------------------------------------------------------------------------------------


def test_diff_tells_what_was_changed_added_and_deleted(shared: TestEngine) -> None:
    script = "echo x >> /etc/passwd; rm /bin/ar; rm -r /home; mkdir /home /new; touch /new/file; chmod 711 /root; touch /etc; touch /dev/x"
    shared.ok("run", "--name", "box", "-v", "/volume", "busybox", "sh", "-c", script)
    wanted = ["C /bin", "D /bin/ar", "C /etc", "C /etc/passwd", "A /new", "A /new/file", "C /root", "A /volume"]
    assert shared.ok("diff", "box").splitlines() == wanted
    assert shared.ok("diff", shared.ok("create", "busybox")) == ""
    assert shared.pyke("diff", "nosuch").stderr.splitlines()[0] == "pyke: No such container: nosuch"


def test_export_is_the_root_file_system_alone_and_can_be_imported(box: TestEngine, tmp_path: Path) -> None:
    box.ok("export", "-o", str(tmp_path / "tar"), "box")
    with tarfile.open(tmp_path / "tar") as tar:
        found = tar.getnames()
    assert {"bin/busybox" if "bin/busybox" in found else "bin/sh", "d/f", "lnk", "etc/passwd", "proc"} <= set(found)
    assert not [name for name in found if name.startswith(("proc/", "sys/", "dev/"))]
    box.ok("import", "-c", 'CMD ["cat", "/d/f"]', str(tmp_path / "tar"), "flat:1")
    assert box.ok("run", "--rm", "flat:1") == "1"
    box.ok("rmi", "flat:1")


def test_commit_makes_an_image_of_what_changed(box: TestEngine) -> None:
    id = box.ok("commit", "-m", "msg", "-a", "me", "-c", "ENV A=1", "-c", 'CMD ["cat", "/d/f"]', "box", "made:1")
    assert id.startswith("sha256:") and box.ok("run", "--rm", "made:1") == "1"
    image = json.loads(box.ok("image", "inspect", "made:1"))[0]
    base = json.loads(box.ok("image", "inspect", "busybox"))[0]
    assert (image["Author"], image["Comment"], image["Config"]["Cmd"]) == ("me", "msg", ["cat", "/d/f"])
    assert "A=1" in image["Config"]["Env"] and image["Parent"] == base["Id"]
    assert image["RootFS"]["Layers"][:-1] == base["RootFS"]["Layers"]
    rows = box.ok("history", "--no-trunc", "--format", "{{.ID}} {{.Comment}}", "made:1").splitlines()
    assert rows[0] == f"{id} msg" and rows[1].startswith(base["Id"])
    assert box.pyke("commit", "-c", "FOO bar", "box").stderr.splitlines()[0] == "pyke: foo is not a valid change command"
    assert "must be lowercase" in box.pyke("commit", "box", "UPPER").stderr
    removed = box.ok("rmi", "made:1").splitlines()
    assert removed[0] == "Untagged: made:1" and removed[1] == f"Deleted: {id}" and len(removed) == 3


def test_a_commit_deletes_what_was_deleted_and_takes_no_mount_point_along(shared: TestEngine) -> None:
    shared.ok("run", "--name", "box", "busybox", "sh", "-c", "rm /bin/ar; rm -r /var; mkdir /var; touch /var/new")
    shared.ok("commit", "box", "made:2")
    found = shared.ok("run", "--rm", "made:2", "sh", "-c", "ls /var; ls /bin/ar 2>&1; true").splitlines()
    assert found == ["new", "ls: /bin/ar: No such file or directory"]
    layer = json.loads(shared.ok("image", "inspect", "made:2"))[0]["RootFS"]["Layers"][-1]
    with tarfile.open(Path(shared.layout.content, "blobs", *layer.split(":"))) as tar:
        assert tar.getnames() == ["bin", "bin/.wh.ar", "var", "var/.wh..wh..opq", "var/new"]
    shared.ok("rmi", "-f", "made:2")


def test_a_running_container_is_frozen_while_it_is_committed(shared: TestEngine) -> None:
    id = shared.ok("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    shared.ok("commit", "box", "made:3")
    shared.ok("commit", "-p=false", "box", "made:4")
    assert [action for action in actions(shared, id) if action in ("pause", "unpause", "commit")] == [
        "pause",
        "commit",
        "unpause",
        "commit",
    ]
    assert shared.ok("inspect", "-f", "{{.State.Status}}", "box") == "running"
    shared.ok("rm", "-f", "box")
    shared.ok("rmi", "made:3", "made:4")


def test_sizes_are_what_was_written(shared: TestEngine) -> None:
    shared.ok("run", "--name", "box", "busybox", "sh", "-c", "dd if=/dev/zero of=/big bs=1000 count=5000 2>/dev/null")
    image = int(shared.ok("image", "inspect", "-f", "{{.Size}}", "busybox"))
    assert shared.ok("inspect", "-s", "-f", "{{.SizeRw}} {{.SizeRootFs}}", "box") == f"5000000 {image + 5_000_000}"
    assert shared.ok("ps", "-as", "--format", "{{.Size}}").startswith("5MB (virtual ")


@pytest.mark.skipif(shutil.which("docker") is None, reason="Docker's client is not installed")
def test_docker_s_client_copies_compares_exports_and_commits(shared: TestEngine, tmp_path: Path) -> None:
    def docker(*words: str) -> str:
        command = ["docker", "-H", f"unix://{shared.layout.socket}", *words]
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=tmp_path).stdout

    shared.ok("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_text("content\n")
    docker("cp", "tree", "box:/tmp/new")
    docker("cp", "box:/tmp/new", "back")
    assert (tmp_path / "back" / "file").read_text() == "content\n"
    assert docker("diff", "box").splitlines() == ["C /tmp", "A /tmp/new", "A /tmp/new/file"]
    docker("export", "-o", "tar", "box")
    with tarfile.open(tmp_path / "tar") as tar:
        assert "tmp/new/file" in tar.getnames()
    image = docker("commit", "-m", "from docker", "box", "made:5").strip()
    assert shared.ok("run", "--rm", image, "cat", "/tmp/new/file") == "content"
    shared.ok("rmi", "made:5")


def test_contents_of_files_are_padded(shared: TestEngine) -> None:
    """A tar that another program wrote in pieces of its own."""
    shared.ok("create", "--name", "box", "busybox")
    archive = b"".join(part for data in (b"a" * 511, b"b" * 513) for part in (header(data[:1], FILE, len(data)), data, padding(len(data))))
    subprocess.run(shared.argv("cp", "-", "box:/"), input=archive + END, check=True)
    assert (read(shared, "/a"), read(shared, "/b")) == ("a" * 511, "b" * 513)


def test_an_engine_that_dies_while_it_commits_leaves_nothing_frozen(busybox: TestEngine) -> None:
    id = busybox.ok("run", "-d", "--name", "box", "busybox", "sh", "-c", "dd if=/dev/zero of=/big bs=1M count=400 2>/dev/null; sleep 1000")
    busybox.ok("exec", "box", "sh", "-c", "until [ $(stat -c %s /big) = 419430400 ]; do sleep 0.05; done")
    client = busybox.start("commit", "box", "made:6")
    while "pause" not in actions(busybox, id):
        assert client.poll() is None, "the commit was over too soon"
    busybox.stop(signal.SIGKILL)
    client.communicate()
    deadline = time.monotonic() + 20
    while (status := busybox.ok("inspect", "-f", "{{.State.Status}}", "box")) != "running":
        assert time.monotonic() < deadline, status
    assert busybox.ok("exec", "box", "echo", "alive") == "alive"
    assert busybox.pyke("image", "inspect", "made:6").status == 1
