"""What a registry may do to its clients: functions for `PlayRegistry.answer`, or of which one is made."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping

from pyke.testing.registry import BLOB_OR_MANIFEST, Answer, Exchange, PlayRegistry


def cutting(registry: PlayRegistry, size: int, times: int) -> Answer:
    """Hang up after `size` bytes of a blob, so many times."""
    left = [times]

    def answer(exchange: Exchange) -> None:
        found = BLOB_OR_MANIFEST.match(exchange.seen.path)
        if exchange.seen.method != "GET" or not found or found[2] != "blobs" or not left[0]:
            return
        left[0] -= 1
        start = int((re.match(r"bytes=(\d+)-", exchange.seen.headers.get("range", "")) or ["", "0"])[1])
        content = registry.blobs[found[3]]
        headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        piece = content[start : start + size]
        registry.sent += len(piece)
        exchange.reply(206 if start else 200, piece, headers, length=len(content) - start)
        exchange.cut()

    return answer


def dripping(part: str, seconds: float = 1.0) -> Answer:
    """Send the body of what has `part` in its path one byte at a time."""

    def answer(exchange: Exchange) -> None:
        if part in exchange.seen.path and exchange.seen.method == "GET":
            exchange.reply(200, b"{", length=1 << 20)
            try:
                for _ in range(120):
                    time.sleep(seconds)
                    exchange.handler.wfile.write(b" ")
                    exchange.handler.wfile.flush()
            finally:
                exchange.cut()

    return answer


def halting(exchange: Exchange, piece: bytes, length: int, goes_on: threading.Event) -> None:
    """Send the beginning of a blob, and nothing more until something has happened."""
    if "/blobs/" in exchange.seen.path:
        exchange.reply(200, piece, length=length)
        exchange.handler.wfile.flush()
        goes_on.wait(20)
        exchange.cut()


def shortened(exchange: Exchange, piece: bytes, length: int, headers: Mapping[str, str]) -> None:
    """Send less of a blob than the head of the reply says, in chunks where `headers` say so."""
    if "/blobs/" in exchange.seen.path:
        exchange.reply(200, b"%x\r\n%b\r\n" % (len(piece), piece) if headers else piece, headers, length=length)
        exchange.cut()


def sent_to(exchange: Exchange, part: str, place: str) -> None:
    """Redirect whoever asks for something with `part` in its path."""
    if part in exchange.seen.path:
        exchange.reply(307, headers={"Location": place})


def endless(exchange: Exchange, part: str = "/manifests/") -> None:
    """Send what does not end to whoever asks for something with `part` in its path."""
    if part in exchange.seen.path:
        exchange.reply(200, b"", {"Transfer-Encoding": "chunked"})
        end = time.monotonic() + 20
        try:
            while time.monotonic() < end:
                exchange.handler.wfile.write(b"10000\r\n" + b" " * 65536 + b"\r\n")
        finally:
            exchange.cut()


class LosesHalf:
    """Takes half of the first PATCH, and hangs up."""

    def __init__(self, registry: PlayRegistry) -> None:
        self._registry = registry
        self._is_done = False

    def __call__(self, exchange: Exchange) -> None:
        if exchange.seen.method == "PATCH" and not self._is_done:
            self._is_done = True
            name = exchange.seen.path.rpartition("/")[2]
            self._registry.uploads[name] += exchange.body[: len(exchange.body) // 2]
            exchange.cut()
