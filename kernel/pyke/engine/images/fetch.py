"""What a worker does to fetch a layer: download its blob, and unpack it on the way. Its job and what it says, on its channel (worker.py):

    {"sources": [{"client": "module:Class", "home": {...}, "repository": {...}}, ...], "digest": DIGEST, "size": BYTES, "path": PATH,
     "is_kept": BOOL, "attempts": N, "silence": SECONDS, "diff_id": DIGEST, "limits": {...},
     "storage": {"driver", "home", "layer"} or null}

    {"status": "Downloading", "current": BYTES}, ..., and in the end {"size": BYTES} or an error

The sources are asked in this order: mirrors, then the registry. What has come stays in the file at `path`, whatever happens, and the next
job goes on behind it; nothing is fetched twice. What comes is received, hashed, written, made plain, hashed again and unpacked piece by
piece, in one thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from typing import Any

from pyke.codec import from_data
from pyke.engine.images.channel import Channel
from pyke.engine.images.unpack import check, made, unpack
from pyke.engine.images.watch import Cancelled, Watch
from pyke.engine.images.written import Written
from pyke.errors import BadArchive, PluginFailed, RegistryFailed, RegistryUnavailable
from pyke.registries import BlobStream, Repository

TELL_EVERY = 0.1  # seconds
PROGRESS = 1 << 16  # bytes: an attempt that brought so much got on
LONGEST_PAUSE = 30.0  # seconds before another attempt, whatever a registry asks for


def work(job: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Fetch a layer. A blob that is wrong is deleted, unless it was kept before: nothing good would come of going on behind it."""
    try:
        return {"size": fetch(job, channel)}
    except (BadArchive, WrongContent):
        if not job["is_kept"]:
            os.unlink(job["path"])
        raise


class WrongContent(RegistryFailed):
    """What came is not what the manifest says."""


def fetch(job: dict[str, Any], channel: Channel) -> int:
    """Download a layer, and give it to its storage driver where the job names one; returns its size there, else 0."""
    size = 0
    with contextlib.closing(Incoming(job, channel)) as incoming:
        if job["storage"] is None:
            check(job, incoming.read)
        else:
            size = int(unpack(job, incoming.read)["size"])
        incoming.sync()
    return size


class Incoming:
    """A blob as a stream: what earlier attempts left in the file, then what the sources send, which goes into the file as well.

    The end of the stream is told only when the digest is right; `WrongContent` otherwise.
    """

    def __init__(self, job: dict[str, Any], channel: Channel) -> None:
        self._job, self._channel = job, channel
        self._file = os.open(job["path"], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._kept = min(os.fstat(self._file).st_size, job["size"])
        self._written = Written(self._file, is_read_no_more=True)
        self._sha256 = hashlib.sha256()
        self._sources = [(made(each["client"], each["home"]), from_data(Repository, each["repository"])) for each in job["sources"]]
        self._watch = Watch(channel, job["silence"])
        self._stream: BlobStream | None = None  # of the present attempt
        self._failures = 0
        self._begun_at = 0  # the offset at which the present attempt began
        self._told = 0.0
        self.taken = 0

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size`; b"" at the end."""
        if self._channel.is_waiting():
            raise Cancelled
        size = min(size, self._job["size"] - self.taken)
        if size == 0:
            return self._finish()
        if self.taken < self._kept:
            data = os.pread(self._file, min(size, self._kept - self.taken), self.taken)
        else:
            data = self._receive(size)
            _write(self._file, data, self.taken)
        self._sha256.update(data)
        self.taken += len(data)
        self._written.grow(len(data))
        self._tell_progress()
        return data

    def _finish(self) -> bytes:
        digest = "sha256:" + self._sha256.hexdigest()
        if digest != self._job["digest"]:
            raise WrongContent(f"filesystem layer verification failed for digest {self._job['digest']}: it has the content of {digest}")
        return b""

    def _tell(self, message: dict[str, Any]) -> None:
        try:
            self._channel.tell(message)
        except OSError as error:  # the engine is gone
            raise Cancelled from error

    def _tell_progress(self) -> None:
        is_whole = self.taken == self._job["size"]
        if is_whole or time.monotonic() - self._told > TELL_EVERY:
            self._told = time.monotonic()
            self._tell({"status": "Downloading", "current": self.taken})
        if is_whole:
            self._tell({"status": "Download complete"})

    def _receive(self, size: int) -> bytes:
        """Bytes from the network, through as many attempts as that takes."""
        while True:
            error: BaseException
            try:
                if data := self._watch.receive(lambda: self._attempted(size)):
                    return data
                error = RegistryUnavailable(f"the registry sent {self.taken} of {self._job['size']} bytes of {self._job['digest']}")
            except Cancelled:
                raise
            except BaseException as failure:  # whatever a client may raise
                error = failure
            self._ended(error)

    def _attempted(self, size: int) -> bytes:
        """The next bytes of the present attempt, which begins with the first of them."""
        if self._stream is None:
            client, repository = self._sources[0]
            self._begun_at = self.taken
            self._stream = client.open_blob(repository, self._job["digest"], self.taken)
        data = self._stream.read(size)
        if not isinstance(data, bytes) or len(data) > size:
            raise PluginFailed(f"a registry client gave {data!r:.40} where at most {size} bytes were asked for", hint="pyke plugin ls")
        return data

    def _ended(self, error: BaseException) -> None:
        """An attempt ended before the blob did: try again, elsewhere, or raise why it ended."""
        self._let_go()
        self._watch.begin()
        self._failures = 0 if self.taken - self._begun_at >= PROGRESS else self._failures + 1
        may_pass = isinstance(error, (RegistryUnavailable, OSError))
        if may_pass and self._failures < self._job["attempts"]:
            pause = max(getattr(error, "retry_after", 0.0), min(0.2 * 2**self._failures, 10.0) if self._failures else 0.0)
            if pause <= LONGEST_PAUSE:
                self._pause(pause)
                return
        if len(self._sources) == 1:
            raise error
        del self._sources[0]  # a mirror that cannot
        self._failures = 0

    def _let_go(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _pause(self, seconds: float) -> None:
        if seconds >= 1:
            self._tell({"status": f"Retrying in {seconds:.0f} second{'s' if round(seconds) != 1 else ''}"})
        if self._channel.is_waiting(seconds):
            raise Cancelled

    def sync(self) -> None:
        """Wait until the blob is on the disk: an image with it may be listed from then on."""
        os.fdatasync(self._file)

    def close(self) -> None:
        self._let_go()
        os.close(self._file)


def _write(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(descriptor, view, offset)
        view, offset = view[count:], offset + count
