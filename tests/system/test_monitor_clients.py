"""Monitors and who is attached to them: terminals, half-closed and slow clients, several at once."""

from __future__ import annotations

import contextlib
import hashlib
import signal
import socket
import time
from pathlib import Path

from pyke.testing.monitors import House, Terminal, frames
from pyke.testing.patience import PATIENCE


def test_a_client_that_came_before_the_start_misses_nothing(house: House) -> None:
    client = Terminal(early=b"early\n")
    house.start(house.bundle("a", "read a; read b; echo $a-$b; echo error >&2", stdin=True, stdin_once=True), client.request)
    client.connection.sendall(b"late\n")
    assert frames(client.read_all()) == [(1, b"early-late\n"), (2, b"error\n")]
    assert house.ended("a").code == 0


def test_a_half_closed_client_ends_stdin_and_hears_the_rest(house: House) -> None:
    client = Terminal(early=b"one\n")
    house.start(house.bundle("a", "cat; echo done", stdin=True, stdin_once=True), client.request)
    client.connection.sendall(b"two\n")
    client.connection.shutdown(socket.SHUT_WR)
    assert b"".join(data for _, data in frames(client.read_all())) == b"one\ntwo\ndone\n"


def test_without_stdin_once_the_next_client_goes_on(house: House) -> None:
    first = Terminal()
    monitor = house.start(house.bundle("a", "read a; echo $a; read b; echo $b", stdin=True), first.request)
    first.connection.sendall(b"one\n")
    assert frames(first.read_until(b"one")) == [(1, b"one\n")]
    first.connection.shutdown(socket.SHUT_WR)
    assert first.read_all() == b""
    second = Terminal(framed=False)
    monitor.attach(second.request)
    second.request.client.close()
    second.connection.sendall(b"two\n")
    assert second.read_all() == b"two\n"


def test_two_clients_see_the_same_and_choose_their_streams(house: House) -> None:
    both, errors = Terminal(framed=False), Terminal(streams=("stderr",), framed=False)
    house.start(house.bundle("a", "echo out; echo err >&2"), both.request, errors.request)
    assert sorted(both.read_all().split()) == [b"err", b"out"]
    assert errors.read_all() == b"err\n"


def test_a_terminal_has_its_size_before_the_start_and_after(house: House) -> None:
    client = Terminal(framed=False)
    script = "trap 'stty size' WINCH; stty size; tty; while :; do sleep 0.05; done"
    monitor = house.start(house.bundle("a", script, tty=True, stdin=True, rows=33, columns=99), client.request)
    seen = client.read_until(b"/dev/pts/0")
    assert b"33 99\r\n" in seen
    monitor.resize(44, 111)
    assert b"44 111\r\n" in client.read_until(b"44 111\r\n")
    monitor.signal(signal.SIGKILL)
    client.read_all()
    assert house.ended("a").code == 137


def test_a_resize_before_the_start_counts(house: House) -> None:
    monitor = house.monitors.launch(house.bundle("a", "stty size", tty=True, rows=10, columns=20))
    monitor.wait_ready()
    monitor.resize(55, 66)
    monitor.go()
    monitor.wait_started()
    house.monitors.watch("a", monitor)
    house.ended("a")
    assert house.output() == "55 66\r\n"


def test_detach_keys_end_the_client_and_not_the_container(house: House) -> None:
    client = Terminal(framed=False)
    monitor = house.start(house.bundle("a", "stty raw -echo; echo go; cat", tty=True, stdin=True), client.request)
    client.read_until(b"go")
    for typed in (b"a\x10", b"b\x10\x10", b"\x11never"):
        client.connection.sendall(typed)
        time.sleep(0.05)
    assert client.read_all().strip() == b"a\x10b\x10"
    assert monitor.state()["phase"] == "running"
    again = Terminal(framed=False, detach_keys="q")
    monitor.attach(again.request)
    again.request.client.close()
    again.connection.sendall(b"xq")
    assert b"q" not in again.read_all()
    monitor.signal(signal.SIGKILL)
    house.ended("a")


def test_without_a_terminal_control_characters_are_data(house: House) -> None:
    client = Terminal(framed=False)
    house.start(house.bundle("a", "cat", stdin=True, stdin_once=True), client.request)
    client.connection.sendall(b"\x10\x11data")
    client.connection.shutdown(socket.SHUT_WR)
    assert client.read_all() == b"\x10\x11data"


def test_200_megabytes_through_a_client_that_reads_slowly_at_times(house: House) -> None:
    size, digest, client = 200 << 20, hashlib.sha256(), Terminal(framed=False, streams=("stdout",))
    script = f"head -c {size} /dev/zero | tr '\\000' 'x' | tee /dev/stderr 2>/dev/null | cat"
    house.start(house.bundle("a", script, log={"driver": "none"}), client.request)
    received = 0
    while data := client.connection.recv(1 << 20):
        digest.update(data)
        received += len(data)
        if received % (50 << 20) < len(data):
            time.sleep(0.5)
    assert received == size and digest.hexdigest() == hashlib.sha256(b"x" * size).hexdigest()
    assert house.ended("a").code == 0


def test_a_client_that_stops_reading_loses_nothing_and_stalls_nobody(house: House) -> None:
    stopped, other = Terminal(framed=False, streams=("stdout",)), Terminal(framed=False, streams=("stdout",))
    house.start(house.bundle("a", "seq 3000000; echo end", log={"driver": "none"}), stopped.request, other.request)
    begin = time.monotonic()
    seen = other.read_all()
    assert seen.endswith(b"3000000\nend\n")
    assert house.ended("a").code == 0
    assert time.monotonic() - begin < 15
    assert stopped.read_all() == seen
    assert not list(Path(house.layout.container_directory("a")).glob("spool*"))


def test_stdin_that_nobody_reads_blocks_nobody(house: House) -> None:
    client = Terminal(framed=False)
    monitor = house.start(house.bundle("a", "sleep 1; echo awake; sleep 1000", stdin=True), client.request)
    client.connection.setblocking(False)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += client.connection.send(b"x" * 65536)
    assert sent > 100_000
    client.connection.settimeout(PATIENCE)
    assert client.read_until(b"awake\n") == b"awake\n"
    monitor.signal(signal.SIGKILL)
    assert house.ended("a").code == 137


def test_a_program_that_closes_its_stdin_is_left_in_peace(house: House) -> None:
    client = Terminal(framed=False)
    house.start(house.bundle("a", "exec <&-; echo closed; sleep 0.3; echo alive", stdin=True, stdin_once=True), client.request)
    client.read_until(b"closed\n")
    for _ in range(5):
        client.connection.sendall(b"to nobody\n")
        time.sleep(0.02)
    assert client.read_all() == b"alive\n"


def test_what_a_client_left_unread_is_still_sent_after_the_end(house: House) -> None:
    client = Terminal(framed=False)
    house.start(house.bundle("a", "seq 100000"), client.request)
    assert house.ended("a").code == 0
    assert client.read_all().endswith(b"99999\n100000\n")
