"""The json-file log: the bytes that Docker would have written, rotation, and disks that are full."""

import json
import os
import subprocess
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke.runtime.logfile import PIECE, Lines, LogFile, timestamp


@given(st.integers(min_value=0, max_value=4_000_000_000_000_000_000))
def test_times_are_gos(nanoseconds: int) -> None:
    text = timestamp(nanoseconds).decode()
    assert (text.endswith("Z") and not text.endswith((".Z", "0Z"))) or "." not in text
    seconds, _, fraction = text.removesuffix("Z").partition(".")
    assert int(fraction.ljust(9, "0") or "0") == nanoseconds % 1_000_000_000
    assert seconds == time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(nanoseconds // 1_000_000_000))


def cut_one_at_a_time(data: bytes) -> list[bytes]:
    """Docker's copier: a record ends at a newline, or after 16 KiB without one."""
    records = []
    while data:
        newline = data.find(b"\n", 0, PIECE)
        end = newline + 1 if newline >= 0 else min(PIECE, len(data))
        records.append(data[:end])
        data = data[end:]
    return records


LINE_LENGTHS = st.lists(st.sampled_from([0, 1, 80, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 40000]), max_size=8)


@given(LINE_LENGTHS, st.lists(st.integers(min_value=1, max_value=50000), max_size=6))
def test_cuts_lines_the_same_however_they_arrive(lengths: list[int], cuts: list[int]) -> None:
    data = b"\n".join(b"x" * length for length in lengths)
    lines, blocks, rest = Lines(), [], data
    for cut in cuts:
        blocks += lines.feed(rest[:cut])
        rest = rest[cut:]
    blocks += lines.feed(rest) + lines.finish()
    records = [record for block in blocks for record in (block.splitlines(keepends=True) if block.endswith(b"\n") else [block])]
    assert records == cut_one_at_a_time(data)


def records_of(*paths: str) -> list[dict[str, str]]:
    return [json.loads(line) for path in paths for line in open(path, "rb").read().splitlines()]


def test_keeps_streams_apart_and_ends_lines_late(tmp_path) -> None:
    path = str(tmp_path / "log")
    log = LogFile(path, extra={"tag": "<x>"})
    log.write("stdout", b"one\ntw")
    log.write("stderr", b"error\n")
    log.write("stdout", b"o\nlast")
    log.close()
    assert [(each["stream"], each["log"]) for each in records_of(path)] == [
        ("stdout", "one\n"),
        ("stderr", "error\n"),
        ("stdout", "two\n"),
        ("stdout", "last"),
    ]
    assert all(each["attrs"] == {"tag": "<x>"} for each in records_of(path))
    assert os.stat(path).st_mode & 0o777 == 0o640


def test_goes_on_in_a_log_that_was_torn(tmp_path) -> None:
    path = str(tmp_path / "log")
    (tmp_path / "log").write_bytes(b'{"log":"half of a rec')
    log = LogFile(path)
    log.write("stdout", b"whole\n")
    log.close()
    assert json.loads(open(path, "rb").read().splitlines()[-1])["log"] == "whole\n"


def test_rotates_at_the_record_that_fills_the_file(tmp_path) -> None:
    path = str(tmp_path / "log")
    log = LogFile(path, max_size=1000, max_files=3)
    log.write("stdout", b"".join(b"line %03d\n" % number for number in range(100)))
    log.close()
    files = [f"{path}.2", f"{path}.1", path]
    texts = [each["log"] for each in records_of(*files)]
    assert texts == [f"line {number:03d}\n" for number in range(100 - len(texts), 100)]
    for full in files[:2]:
        content = open(full, "rb").read()
        assert len(content) >= 1000 > len(content) - len(content.splitlines()[-1]) - 1
    assert not os.path.exists(f"{path}.3")


def test_one_file_starts_afresh(tmp_path) -> None:
    path = str(tmp_path / "log")
    log = LogFile(path, max_size=500, max_files=1)
    for number in range(50):
        log.write("stdout", b"line %d\n" % number)
    log.close()
    assert os.listdir(tmp_path) == ["log"]
    assert os.path.getsize(path) < 600
    assert records_of(path)[-1]["log"] == "line 49\n"


def test_a_log_that_cannot_be_opened_is_tried_again(tmp_path) -> None:
    path = str(tmp_path / "missing" / "log")
    log = LogFile(path)
    log.write("stdout", b"one\ntwo\n")
    (tmp_path / "missing").mkdir()
    time.sleep(1.1)
    log.write("stdout", b"three\n")
    log.close()
    first, second = records_of(path)
    assert first["stream"] == "stderr" and "2 lines" in first["log"] and "No such file" in first["log"]
    assert second["log"] == "three\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small tmpfs")
def test_a_full_disk_loses_lines_but_neither_blocks_nor_tears(tmp_path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(tmp_path)], check=True)
    try:
        path = str(tmp_path / "log")
        log = LogFile(path)
        for number in range(2000):
            log.write("stdout", b"a line that takes its place, number %d\n" % number)
        kept = records_of(path)
        assert kept[0]["log"].endswith("number 0\n") and len(kept) < 2000
        os.truncate(path, 0)
        log.write("stdout", b"room again\n")
        log.close()
        note, last = [json.loads(line) for line in open(path, "rb").read().splitlines()]
        assert f"{2000 - len(kept)} lines" in note["log"] and "No space left" in note["log"]
        assert last["log"] == "room again\n"
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
