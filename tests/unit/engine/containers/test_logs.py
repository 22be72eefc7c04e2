"""Reading logs back: filters, the end of large ones, rotation while being followed, and what is broken."""

import json
import os
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke.engine.containers import log_files, logs
from pyke.engine.containers.log_records import LogRecord
from pyke.runtime.logfile import LogFile, timestamp


def texts(stream: logs.LogStream) -> list[str]:
    return [record.data.decode() for record in stream]


def written(path: str, count: int, **settings: int) -> list[str]:
    log = LogFile(path, **settings)
    lines = [f"line {number}\n" for number in range(count)]
    for line in lines:
        log.write("stdout", line.encode())
    log.close()
    return lines


def test_returns_what_was_printed(tmp_path) -> None:
    path = str(tmp_path / "log")
    log = LogFile(path, extra={"tag": "x"})
    before = time.time_ns()
    log.write("stdout", b'a "quoted" <line>\n' + b"broken \xff byte\n")
    log.write("stderr", b"no newline")
    log.close()
    records = list(logs.read(path))
    assert [(each.stream, each.data.decode()) for each in records] == [
        ("stdout", 'a "quoted" <line>\n'),
        ("stdout", "broken \ufffd byte\n"),
        ("stderr", "no newline"),
    ]
    assert all(before <= each.time <= time.time_ns() and each.extra == {"tag": "x"} for each in records)
    assert texts(logs.read(path, stdout=False)) == ["no newline"]
    assert texts(logs.read(path, stderr=False))[0] == 'a "quoted" <line>\n'


def test_a_log_that_is_missing_is_empty(tmp_path) -> None:
    assert texts(logs.read(str(tmp_path / "log"))) == []
    assert texts(logs.read(str(tmp_path / "log"), tail=3)) == []


@pytest.mark.parametrize("tail", [0, 1, 5, 3999, 4000, 9999, 19_999, 20_000, 20_001])
def test_tail_reaches_over_blocks_and_rotated_files(tmp_path, tail: int) -> None:
    path = str(tmp_path / "log")
    lines = [f"line {number:05d}\n" for number in range(20_000)]
    log = LogFile(path, max_size=2 * log_files.BLOCK, max_files=20)
    log.write("stdout", "".join(lines).encode())
    log.close()
    assert os.path.exists(f"{path}.2")
    assert texts(logs.read(path, tail=tail)) == lines[len(lines) - min(tail, len(lines)) :]


def test_since_and_until(tmp_path) -> None:
    path = tmp_path / "log"
    times = [1_000_000_000, 2_000_000_001, 3_500_000_000]
    path.write_bytes(b"".join(b'{"log":"%d\\n","stream":"stdout","time":"%s"}\n' % (time, timestamp(time)) for time in times))
    assert texts(logs.read(str(path), since=2_000_000_001)) == ["2000000001\n", "3500000000\n"]
    assert texts(logs.read(str(path), until=2_000_000_001)) == ["1000000000\n", "2000000001\n"]
    assert texts(logs.read(str(path), since=1_000_000_001, until=3_499_999_999)) == ["2000000001\n"]


GOOD = b'{"log":"good\\n","stream":"stdout","time":"2026-01-02T03:04:05Z"}\n'
BROKEN = [b"\n", b"\0\0\0\n", b"[]\n", b"{}\n", b'{"log":1,"stream":"stdout","time":"x"}\n', GOOD[:20] + b"\n"]
BROKEN += [GOOD.replace(b"02T", b"99T"), b'"\xff"\n']


@given(st.lists(st.sampled_from(BROKEN)), st.lists(st.sampled_from(BROKEN)), st.sampled_from(BROKEN))
def test_broken_records_are_skipped(tmp_path_factory, before: list[bytes], between: list[bytes], after: bytes) -> None:
    path = tmp_path_factory.mktemp("logs") / "log"
    path.write_bytes(b"".join(before) + GOOD + b"".join(between) + GOOD + after[:-1])
    assert texts(logs.read(str(path))) == ["good\n", "good\n"]


def test_a_record_without_an_end_takes_no_memory(tmp_path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * (3 * log_files.LONGEST_RECORD) + b"\n" + GOOD)
    assert texts(logs.read(str(path))) == ["good\n"]


class Writer:
    """A container that prints in the background."""

    def __init__(self, path: str, count: int, **settings: int) -> None:
        self.lines = [f"line {number}\n" for number in range(count)]
        self._log = LogFile(path, **settings)
        self._thread = threading.Thread(target=self._print)
        self._thread.start()

    def _print(self) -> None:
        for number, line in enumerate(self.lines):
            self._log.write("stdout", line.encode())
            if number % 50 == 0:
                time.sleep(0.01)
        self._log.close()

    def is_running(self) -> bool:
        return self._thread.is_alive()


def test_follows_over_rotation_until_the_end(tmp_path) -> None:
    path = str(tmp_path / "log")
    writer = Writer(path, 3000, max_size=20_000, max_files=20)
    assert texts(logs.read(path, is_running=writer.is_running)) == writer.lines
    assert os.path.exists(f"{path}.5")


class Sized:
    """A log whose files have room for three blocks of a reader, written in steps of such a file and a half."""

    def __init__(self, path: str, max_files: int) -> None:
        self.log = LogFile(path, max_size=3 * log_files.BLOCK, max_files=max_files)
        self.lines: list[str] = []

    def write(self, files: float) -> None:
        for _ in range(int(files * 3 * log_files.BLOCK / 1080)):
            self.lines.append(f"{len(self.lines):<999}\n")
            self.log.write("stdout", self.lines[-1].encode())


def test_a_reader_that_lags_behind_loses_nothing_of_what_it_has_come_by(tmp_path) -> None:
    """Each time that it has read a third of a file, half of one is written, and the log keeps no more than three files."""
    path = str(tmp_path / "log")
    log = Sized(path, max_files=3)
    log.write(1.5)
    seen: list[str] = []
    steps = [0.5] * 24
    for batch in logs.read(path, is_running=lambda: bool(steps)).batches():
        seen += [record.data.decode() for record in batch]
        if steps:
            log.write(steps.pop())
    assert seen == log.lines
    first_left = json.loads(open(f"{path}.2").readline())["log"]
    assert log.lines.index(first_left) > len(log.lines) / 2


def test_a_reader_that_is_too_slow_does_not_keep_the_disk_full(tmp_path) -> None:
    path = str(tmp_path / "log")
    log = Sized(path, max_files=2)
    files = log_files.LogFiles(path, ahead=3)
    for _ in range(20):
        log.write(0.5)
        files.look()
    assert files.missed >= 3
    held = 1
    while files.is_followed:
        files.advance()
        held += 1
    assert held == 1 + 3 + 2, "one that is being read, three that are gone, and two that are still there"
    assert files.current is not None and os.path.samestat(os.fstat(files.current.fileno()), os.stat(path))
    files.close()


def test_a_name_that_is_missing_in_the_middle_of_a_rotation_ends_nothing(tmp_path) -> None:
    path = str(tmp_path / "log")
    log = Sized(path, max_files=5)
    log.write(3.5)
    os.rename(f"{path}.1", f"{path}.hidden")
    files = log_files.LogFiles(path)
    os.rename(f"{path}.hidden", f"{path}.1")
    kept = 0
    while files.current is not None:
        kept += sum(block.count(b"\n") for block in iter(files.block, None))
        files.advance()
    assert kept > len(log.lines) / 2
    files.close()


def test_follows_a_writer_that_rotates_as_fast_as_it_can(tmp_path) -> None:
    path = str(tmp_path / "log")
    log = Sized(path, max_files=100)

    def write() -> None:
        for _ in range(40):
            log.write(1)

    thread = threading.Thread(target=write)
    thread.start()
    assert texts(logs.read(path, is_running=thread.is_alive)) == log.lines


def test_follows_a_single_file_that_starts_afresh(tmp_path) -> None:
    path = str(tmp_path / "log")
    writer = Writer(path, 500, max_size=5000, max_files=1)
    seen = texts(logs.read(path, is_running=writer.is_running))
    assert seen[-1] == writer.lines[-1] and [line for line in writer.lines if line in set(seen)] == seen


def test_following_begins_with_the_tail(tmp_path) -> None:
    path = str(tmp_path / "log")
    written(path, 10)
    running = iter([True, False])
    log = LogFile(path)

    def is_running() -> bool:
        log.write("stdout", b"later\n")
        return next(running, False)

    assert texts(logs.read(path, tail=1, is_running=is_running))[:2] == ["line 9\n", "later\n"]
    log.close()


def test_close_releases_a_reader(tmp_path) -> None:
    path = str(tmp_path / "log")
    written(path, 1)
    stream = logs.read(path, is_running=lambda: True)
    records: Iterator[LogRecord] = iter(stream)
    assert next(records).data == b"line 0\n"
    threading.Timer(0.1, stream.close).start()
    begin = time.monotonic()
    assert list(records) == []
    assert time.monotonic() - begin < 2


def test_a_record_is_held_until_it_is_whole(tmp_path) -> None:
    path = tmp_path / "log"
    path.write_bytes(GOOD[:30])
    asked: list[int] = []

    def is_running() -> bool:
        asked.append(1)
        if len(asked) == 2:
            with path.open("ab") as file:
                file.write(GOOD[30:])
        return len(asked) < 4

    assert texts(logs.read(str(path), is_running=is_running)) == [json.loads(GOOD)["log"]]


def test_what_is_read_together_comes_together(tmp_path) -> None:
    path = str(tmp_path / "log")
    log = LogFile(path)
    log.write("stdout", b"".join(b"line %d\n" % number for number in range(10_000)))
    log.close()
    batches = list(logs.read(path).batches())
    assert b"".join(record.data for batch in batches for record in batch) == b"".join(b"line %d\n" % number for number in range(10_000))
    assert len(batches) <= os.path.getsize(path) // log_files.BLOCK + 1
