"""Bodies as clients send them: whole, in chunks, slowly, and as no body may be."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke.errors import InvalidRequest
from pyke.http.body import Body, ClientGone, Inlet

BODIES = st.lists(st.binary(min_size=1, max_size=5000), max_size=8)


class Sent:
    """What a client sends: `ahead` came with the head, `then` a moment later; then it closes its side."""

    def __init__(self, ahead: bytes, then: bytes = b"", length: int | None = None, timeout: float = 20.0) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.waits = 0
        self.inlet = Inlet(self.ours, ahead, timeout, self._count)
        self.body = Body(self.inlet, length)
        self._thread = threading.Thread(target=self._send, args=(then,))
        self._thread.start()

    def _count(self) -> None:
        self.waits += 1

    def _send(self, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):  # a body that is refused is not read to its end
            self.theirs.sendall(data)
            self.theirs.shutdown(socket.SHUT_WR)

    def __enter__(self) -> Sent:
        return self

    def __exit__(self, *_: object) -> None:
        self.ours.close()
        self._thread.join()
        self.theirs.close()

    def moved(self) -> bytes:
        """The body as a pipe gets it."""
        reading, writing = os.pipe()
        found = bytearray()
        try:
            while self.body.move(writing):
                while select.select([reading], [], [], 0)[0]:
                    found += os.read(reading, 1 << 20)
        finally:
            os.close(reading)
            os.close(writing)
        return bytes(found)


def chunked(pieces: list[bytes], extension: bytes = b"", trailers: bytes = b"") -> bytes:
    return b"".join(b"%x%s\r\n%s\r\n" % (len(piece), extension, piece) for piece in pieces) + b"0\r\n" + trailers + b"\r\n"


@given(pieces=BODIES, cut=st.integers(0, 200), size=st.integers(1, 10000), is_moved=st.booleans())
def test_chunks_are_read_as_they_were_sent_and_not_a_byte_further(pieces: list[bytes], cut: int, size: int, is_moved: bool) -> None:
    data = chunked(pieces) + b"GET /next"
    with Sent(data[:cut], data[cut:]) as sent:
        found = sent.moved() if is_moved else b"".join(iter(lambda: sent.body.read(size), b""))
        assert found == b"".join(pieces)
        assert sent.body.is_whole and sent.body.read(1) == b""
        left = b"GET /next"[: len(sent.inlet)]
        assert sent.inlet.take(100) == (left or b"GET /next")


@given(data=st.binary(max_size=5000), cut=st.integers(0, 200), is_moved=st.booleans())
def test_a_length_is_read_to_its_end_and_not_a_byte_further(data: bytes, cut: int, is_moved: bool) -> None:
    sent_data = data + b"GET /next"
    with Sent(sent_data[:cut], sent_data[cut:], len(data)) as sent:
        assert (sent.moved() if is_moved else sent.body.read()) == data
        assert sent.body.is_whole
        assert b"GET /next".startswith(sent.inlet.take(100))


def test_a_large_body_passes_whole_through_a_pipe() -> None:
    data = os.urandom(5 << 20)
    with Sent(data[:1000], data[1000:], len(data)) as sent:
        assert sent.moved() == data


def test_extensions_and_trailers_are_left_out() -> None:
    with Sent(chunked([b"abc", b"de"], extension=b';name="a b"', trailers=b"X-Sum: 1\r\nY:\r\n")) as sent:
        assert sent.body.read() == b"abcde"
        assert sent.body.is_whole


NO_BODIES = {
    "no length": b"\r\nabc\r\n0\r\n\r\n",
    "no number": b"zz\r\nabc\r\n0\r\n\r\n",
    "a sign": b"+3\r\nabc\r\n0\r\n\r\n",
    "a prefix": b"0x3\r\nabc\r\n0\r\n\r\n",
    "a blank before the length": b" 3\r\nabc\r\n0\r\n\r\n",
    "a blank after the length": b"3 \r\nabc\r\n0\r\n\r\n",
    "an underscore": b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n",
    "a line that ends with LF alone": b"3\nabc\r\n0\r\n\r\n",
    "LF alone in an extension": b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "CR alone in an extension": b"3;a\rb\r\nabc\r\n0\r\n\r\n",
    "a length beyond all numbers": b"f" * 16 + b"\r\nabc\r\n0\r\n\r\n",
    "a chunk that is longer than it says": b"3\r\nabcd\r\n0\r\n\r\n",
    "a chunk that is shorter than it says": b"4\r\nabc\r\n0\r\n\r\n",
    "a line without an end": b"3;" + b"x" * 5000,
    "a trailer without a colon": b"0\r\nabc\r\n\r\n",
    "a folded trailer": b"0\r\nA: b\r\n c\r\n\r\n",
    "a blank before the colon of a trailer": b"0\r\nA : b\r\n\r\n",
    "too many trailers": b"0\r\n" + b"A: b\r\n" * 5000 + b"\r\n",
    "no end": b"3\r\nabc\r\n",
    "half a chunk": b"3\r\na",
    "half an end": b"3\r\nabc\r\n0\r\n",
}


@pytest.mark.parametrize("name", NO_BODIES)
@pytest.mark.parametrize("is_moved", [False, True])
def test_what_is_not_exactly_a_body_is_refused(name: str, is_moved: bool) -> None:
    with Sent(NO_BODIES[name][:2], NO_BODIES[name][2:]) as sent:
        with pytest.raises(InvalidRequest, match="the body of the request is broken"):
            sent.moved() if is_moved else sent.body.read()
        assert not sent.body.is_whole


def test_a_body_that_is_shorter_than_its_length_is_refused() -> None:
    with Sent(b"abc", b"de", 6) as sent, pytest.raises(InvalidRequest, match="closed the connection"):
        sent.body.read()


def test_a_client_that_sends_nothing_is_given_up() -> None:
    ours, theirs = socket.socketpair()
    reading, writing = os.pipe()
    with ours, theirs:
        body = Body(Inlet(ours, b"", 0.05, lambda: None), 10)
        with pytest.raises(ClientGone):
            body.read()
        with pytest.raises(ClientGone):
            body.move(writing)
    os.close(reading)
    os.close(writing)


def test_nobody_is_waited_for_while_all_is_there() -> None:
    with Sent(chunked([b"abc"])) as sent:
        assert (sent.body.read(), sent.waits) == (b"abc", 0)


def test_what_has_come_of_an_unread_body_can_be_left_without_waiting() -> None:
    with Sent(chunked([b"abc", b"d"])) as sent:
        assert sent.body.leave()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert not Body(Inlet(ours, b"ab", 60.0, lambda: pytest.fail("it waited")), 3).leave()
        assert not Body(Inlet(ours, b"zz\r\n", 60.0, lambda: pytest.fail("it waited")), None).leave()


def test_one_who_takes_no_more_is_not_said_to_be_the_client() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with Sent(b"", b"abc", 3) as sent, pytest.raises(BrokenPipeError):
        sent.body.move(writing)
    os.close(writing)
