"""One client's connection: a thread that reads requests, has them answered, and writes the answers."""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import h11

from pyke.errors import InvalidRequest, PykeError
from pyke.http import repeats
from pyke.http.body import ClientGone
from pyke.http.exchange import Answer, Hijack, Query, Reply, Request, Stream, error_reply
from pyke.http.hangups import Hangups
from pyke.http.router import Router, decode_path
from pyke.http.versions import split
from pyke.http.wire import Headers, TimeOuts, Wire
from pyke.model import Caller

if TYPE_CHECKING:
    from pyke.http.facade import Engine

log = logging.getLogger("pyke.http")


class Connection:
    """A connection, from its first byte to its last. `is_busy` is True while it has something to do that comes to an end; `idle_since`
    is the moment (time.monotonic) from which it has waited for a request, or 0 while it serves one; `is_foreign` tells whether its client
    is another program than the command `pyke`."""

    def __init__(self, engine: Engine, router: Router, hangups: Hangups, client: socket.socket, times: TimeOuts) -> None:
        self._engine, self._router, self._hangups = engine, router, hangups
        self._wire = Wire(client, times)
        self._caller = peer(client)
        self.is_busy = False
        self.idle_since = time.monotonic()
        self.is_foreign = False

    def run(self) -> None:
        """Serve until the client closes, or until the connection is handed over."""
        try:
            while self._serve_one() and self._wire.next_cycle():
                self.is_busy = False
                self.idle_since = time.monotonic()
        except ClientGone as error:
            log.debug("a client is gone: %s", error)
        finally:
            self._wire.client.close()

    def cut(self) -> None:
        """End the connection from another thread: whoever waits for its client, or for something to tell it, is released."""
        try:
            self._wire.client.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it has ended by itself

    def _serve_one(self) -> bool:
        try:
            head = self._wire.next_request()
            if head is None:
                return False
            self.is_busy, self.idle_since = True, 0.0
            answer = self._answer(head)
        except h11.RemoteProtocolError as error:
            self._refuse(error)
            return False
        return self._write(answer, head)

    def _answer(self, head: h11.Request) -> Answer:
        try:
            request = self._request(head)
            handler, parameters = self._router.find(request.method, request.path)
            return repeats.answer(replace(request, parameters=parameters), handler)
        except PykeError as error:
            return error_reply(error)
        except ClientGone:
            raise
        except Exception as error:
            log.exception("%s %s failed", head.method.decode("ascii"), head.target.decode("ascii", "replace"))
            return error_reply(defect(error, self._engine))

    def _request(self, head: h11.Request) -> Request:
        path, _, query = head.target.decode("ascii", "replace").partition("?")
        version, path = split(decode_path(path))
        headers = {name.decode("ascii"): value.decode("latin-1") for name, value in head.headers}
        if len(headers) != len(head.headers) and not _is_repeatable(head.headers):
            raise InvalidRequest("a header of the request is given twice")
        self.is_foreign = headers.get("user-agent") != "pyke"
        method = head.method.decode("ascii")
        return Request(self._engine, method, path, Query(query), headers, self._wire.body(), self._caller, version)

    def _write(self, answer: Answer, head: h11.Request) -> bool:
        """Write the answer; False where the connection ends with it."""
        if isinstance(answer, Hijack):
            upgrade = any(name == b"upgrade" for name, _ in head.headers)
            with answer.arriving:
                answer.take(self._wire.client, self._wire.hijack(answer.content_type, upgrade))
            return False
        if isinstance(answer, Stream):
            return self._write_stream(answer)
        self._wire.reply(answer.status, reply_headers(answer), b"" if head.method == b"HEAD" else answer.body)
        return True

    def _write_stream(self, stream: Stream) -> bool:
        self.is_busy = stream.cancel is None  # before its head is out: a client that has seen that may end the server
        try:
            self._wire.start_stream([("Content-Type", stream.content_type), *stream.headers])
            with self._watched(stream):
                for piece in stream.chunks:
                    self._wire.send_piece(piece)
        except ClientGone:
            if stream.cancel is not None:
                stream.cancel()
            raise
        except PykeError as error:
            log.warning("a reply broke off: %s", error.message)  # its end is missing, so that the client knows
            return False
        except Exception:
            log.exception("a reply broke off")
            return False
        finally:
            if isinstance(stream.chunks, Closable):
                stream.chunks.close()
        self._wire.end_stream()
        return True

    @contextlib.contextmanager
    def _watched(self, stream: Stream) -> Iterator[None]:
        """For the length of a stream that may go on for ever: notice that its client is gone, and let it be cut."""
        if stream.cancel is None:
            yield
            return
        with self._hangups.watch(self._wire.client, stream.cancel):
            yield

    def _refuse(self, error: h11.RemoteProtocolError) -> None:
        """Answer what is not HTTP with what can be said about it; the connection ends."""
        status = error.error_status_hint if error.error_status_hint >= 400 else 400
        refusal = InvalidRequest(f"the request is not valid HTTP: {error}")
        reply = replace(error_reply(refusal), headers=[("Connection", "close")])
        try:
            self._wire.reply(status, reply_headers(reply), reply.body)
        except h11.LocalProtocolError:
            return  # an answer had begun


@runtime_checkable
class Closable(Protocol):
    """Pieces of a reply that hold something, which is to be let go of however the reply ends."""

    def close(self) -> None: ...


def peer(client: socket.socket) -> Caller:
    """Who is on the other end, as the kernel says (SO_PEERCRED, unix(7))."""
    pid, uid, gid = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return Caller(uid=uid, gid=gid, pid=pid)


def defect(error: Exception, engine: Engine) -> PykeError:
    """What a client is told of a defect: its kind and where to read more, but nothing of its inside."""
    return PykeError(f"pyke has a defect: {type(error).__name__}", hint=f"tail -n 40 {engine.layout.engine_log}")


def reply_headers(reply: Reply) -> Headers:
    headers = list(reply.headers)
    if reply.content_type:
        headers.append(("Content-Type", reply.content_type))
    if reply.status not in (204, 304) and not any(name == "Content-Length" for name, _ in headers):
        headers.append(("Content-Length", str(len(reply.body))))
    return headers


def _is_repeatable(headers: h11._headers.Headers) -> bool:
    """Whether only headers that are lists are repeated: a second X-Registry-Auth or Content-Type would be another request."""
    names = [name for name, _ in headers]
    twice = {name for name in names if names.count(name) > 1}
    return twice <= {b"accept", b"accept-encoding", b"connection", b"cookie", b"via", b"x-forwarded-for", b"cache-control"}
