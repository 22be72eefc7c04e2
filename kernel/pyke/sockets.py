"""Unix sockets, with paths of any length and descriptors in messages.

Built on the C module below `socket`, which costs a command 8 ms less to import and a monitor its memory. Sources: unix(7), cmsg(3).
"""

from __future__ import annotations

import _socket
import os
import sys
from _socket import AF_UNIX, SCM_RIGHTS, SOCK_CLOEXEC, SOCK_STREAM, SOL_SOCKET

SUN_PATH = 107  # bytes that fit into sockaddr_un.sun_path besides the final zero
INT = 4  # sizeof(int): a descriptor in a control message
MAXIMUM_DESCRIPTORS = 16

Socket = _socket.socket

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing or collections.abc costs a command 12 ms
    from collections.abc import Callable


def connect(path: str, kind: int = SOCK_STREAM) -> Socket:
    """Connect to the unix socket at `path`. OSError as connect(2): FileNotFoundError, ConnectionRefusedError when nobody listens."""
    connection = Socket(AF_UNIX, kind | SOCK_CLOEXEC)
    try:
        _through_directory(path, connection.connect)
    except OSError:
        connection.close()
        raise
    return connection


def listen(path: str, kind: int = SOCK_STREAM, mode: int = 0o600, backlog: int = 128) -> Socket:
    """Listen at `path`, taking the place of a socket file that is there.

    Nobody can connect between bind and listen, so that the mode is set before it matters (and the umask, which belongs to all
    threads, is left alone).
    """
    if os.path.lexists(path):
        os.unlink(path)
    listener = Socket(AF_UNIX, kind | SOCK_CLOEXEC)
    try:
        _through_directory(path, listener.bind)
        os.chmod(path, mode)
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener


def accept(listener: Socket) -> Socket:
    """The next connection to `listener`."""
    descriptor, _ = listener._accept()  # type: ignore[attr-defined]  # what socket.accept calls; typeshed does not list it
    return Socket(fileno=descriptor)


def pair(kind: int = SOCK_STREAM) -> tuple[Socket, Socket]:
    """Two connected sockets, both closed on exec."""
    return _socket.socketpair(AF_UNIX, kind | SOCK_CLOEXEC)


def send(connection: Socket, data: bytes, descriptors: list[int] | tuple[int, ...] = (), flags: int = 0) -> int:
    """Send `data` with `descriptors` and return how many bytes went; the descriptors go with the first of them."""
    ancillary = [(SOL_SOCKET, SCM_RIGHTS, b"".join(each.to_bytes(INT, sys.byteorder) for each in descriptors))] if descriptors else []
    return connection.sendmsg([data], ancillary, flags | _socket.MSG_NOSIGNAL)


def receive(connection: Socket, size: int, flags: int = 0) -> tuple[bytes, list[int]]:
    """Receive up to `size` bytes and the descriptors that came with them, closed on exec; b"" is the end."""
    space = _socket.CMSG_SPACE(MAXIMUM_DESCRIPTORS * INT)
    data, ancillary, _, _ = connection.recvmsg(size, space, flags | _socket.MSG_CMSG_CLOEXEC)
    return data, [descriptor for level, kind, raw in ancillary if (level, kind) == (SOL_SOCKET, SCM_RIGHTS) for descriptor in _unpack(raw)]


def _unpack(raw: bytes) -> list[int]:
    return [int.from_bytes(raw[at : at + INT], sys.byteorder) for at in range(0, len(raw) - len(raw) % INT, INT)]


def _through_directory(path: str, call: Callable[[str], None]) -> None:
    """Give `call` a name for `path` that fits into sun_path: a long one is reached through a descriptor of its directory."""
    if len(os.fsencode(path)) <= SUN_PATH:
        return call(path)
    directory, name = os.path.split(path)
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        call(f"/proc/self/fd/{descriptor}/{name}")
    finally:
        os.close(descriptor)
