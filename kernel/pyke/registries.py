"""The contract of registry clients, beside the others of `pyke.drivers`; what is said there of all families holds here too.

Who does what:

- The engine decides whom to ask (the registry, or a mirror of it), finds the credentials, chooses the platform, checks every digest and
  every size, keeps the store, tells of progress, downloads layers at the same time, tries again and resumes.
- The client speaks the protocol: it authenticates, follows redirects, keeps connections, and reads and writes within limits.

A client is used from several threads at once, and from worker processes too. Whatever waits for the network ends within a minute when
nothing comes any more. Credentials belong to the (scheme, host, port) of the `RegistryEndpoint`: no redirect, mirror or token server of
another host gets to see them, and no error quotes them.
"""

from __future__ import annotations

import contextlib
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from pyke.drivers import DriverHome
from pyke.errors import RegistryFailed, RegistryUnavailable

SMALL_BLOB_SECONDS = 60.0  # that a blob may take which is wanted as a whole
_CREDENTIALS = re.compile(r"(?<=//)[^/]*@|\A[^/]*@(?!.*//)")  # of a URL, or of what has no scheme


@dataclass(frozen=True, slots=True)
class RegistryCredentials:
    """What somebody is known by at a registry. Nothing that prints it shows the secrets."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)  # an OAuth2 refresh token, which a token server gave for the password
    registry_token: str = field(default="", repr=False)  # a bearer token to be used as it is

    def __bool__(self) -> bool:
        return bool(self.username or self.identity_token or self.registry_token)


@dataclass(frozen=True, slots=True)
class RegistryProxies:
    """The proxies that requests are sent through: "http://[USER:PASSWORD@]HOST:PORT" for http:// and for https://, "" for none.

    `exempt` lists who is spoken to directly, as NO_PROXY does for Go's programs: hosts, domains, addresses and networks, each with or
    without a port, separated by commas; "*" is everybody. Loopback always is.
    """

    http: str = field(default="", repr=False)
    https: str = field(default="", repr=False)
    exempt: str = ""

    @property
    def masked(self) -> RegistryProxies:
        """As everybody may see them, in Docker's way."""
        http, https = (_CREDENTIALS.sub("xxxxx:xxxxx@", each) for each in (self.http, self.https))
        return RegistryProxies(http, https, self.exempt)


@dataclass(frozen=True, slots=True)
class RegistryEndpoint:
    """Who answers for a registry, and how far it is trusted.

    `registry` is the name in references ("docker.io", "registry.corp:5000"). `address` is "" for the registry itself, or the URL of a
    mirror ("https://mirror.corp"), which gets no credentials but those given here. Only where `insecure` is set may a certificate go
    unverified, and plain HTTP be spoken. `certificates` are directories with *.crt (authorities), *.cert and *.key (a client's pair).
    `realms` are hosts of token servers that may see the credentials beside the registry's own. `proxies` hold for all who are asked.
    """

    registry: str
    address: str = ""
    insecure: bool = False
    certificates: tuple[str, ...] = ()
    realms: tuple[str, ...] = ()
    credentials: RegistryCredentials = RegistryCredentials()
    proxies: RegistryProxies = RegistryProxies()


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository at an endpoint: its path is "library/redis", "team/app"."""

    endpoint: RegistryEndpoint
    path: str


@dataclass(frozen=True, slots=True)
class ResolvedManifest:
    """What a tag or digest stands for, as the registry says; the engine believes none of it. `digest` "" where it did not say."""

    digest: str
    media_type: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class ManifestDocument:
    """A manifest or index, byte for byte as it came."""

    content: bytes
    media_type: str = ""


class BlobStream(Protocol):
    """A blob on its way from its registry: read once, by one thread."""

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size` (1 or more), as soon as there are any; b"" is the end of the blob. 256 KiB at a time cost least.

        A link that is cut is a `RegistryUnavailable`, and no end: what was read so far is right, and the engine asks again for the rest.
        """
        ...

    def close(self) -> None:
        """Let go of what is behind it, whether it was read to its end or not; idempotent."""
        ...


class RegistryClient(ABC):
    """Fetches images. Errors: `RegistryDenied` where (other) credentials are wanted, `NotFound`, `RegistryUnavailable` for what may go
    better a moment later (with `retry_after`), `RegistryFailed` for everything else."""

    def __init__(self, home: DriverHome) -> None:
        self.home = home

    @abstractmethod
    def serves(self, registry: str) -> bool:
        """Whether this client is for the registry of this name. Touches nothing; the client of the highest rank that says yes is asked."""

    @abstractmethod
    def resolve(self, repository: Repository, reference: str) -> ResolvedManifest:
        """What the tag or digest `reference` stands for, for the price of one HEAD; `NotFound`."""

    @abstractmethod
    def manifest(self, repository: Repository, reference: str) -> ManifestDocument:
        """The manifest or index with this tag or digest, of at most 4 MiB; `NotFound`."""

    @abstractmethod
    def open_blob(self, repository: Repository, digest: str, offset: int) -> BlobStream:
        """A blob, from byte `offset` on, to its end; `NotFound`. A registry that cannot begin in the middle is read from the beginning, and
        the first `offset` bytes are dropped.

        A layer is fetched by the main thread of a process that does nothing else. There the engine interrupts this method, and `read`,
        where they wait too long, with an exception: whatever they hold is let go on the way out, as with any other.
        """

    def blob(self, repository: Repository, digest: str, size: int) -> bytes:
        """The whole of a blob of at most `size` bytes, which fits in memory; `RegistryFailed` for one that is longer. Nothing for a
        client to write."""
        pieces, count, end = [], 0, time.monotonic() + SMALL_BLOB_SECONDS
        with contextlib.closing(self.open_blob(repository, digest, 0)) as stream:
            while piece := stream.read(size + 1 - count):
                pieces.append(piece)
                count += len(piece)
                if count > size:
                    raise RegistryFailed(f"a registry sent more than the {size} bytes that a manifest announced")
                if time.monotonic() > end:
                    raise RegistryUnavailable(f"{digest} did not come within {SMALL_BLOB_SECONDS:.0f} s")
        return b"".join(pieces)


@runtime_checkable
class PushesImages(Protocol):
    """A client that can upload."""

    def has_blob(self, repository: Repository, digest: str) -> bool:
        """Whether the repository has this blob."""
        ...

    def mount_blob(self, repository: Repository, digest: str, source: str) -> bool:
        """Let the repository have a blob that the repository with the path `source`, at the same registry, has. False where it will not."""
        ...

    def upload_blob(self, repository: Repository, digest: str, size: int, source: int) -> None:
        """Upload the regular file `source`, from its beginning. It is read with read(2), so that its position tells how far it is."""
        ...

    def put_manifest(self, repository: Repository, reference: str, media_type: str, content: bytes) -> None:
        """Store a manifest under a tag or its digest, byte for byte."""
        ...


@runtime_checkable
class ListsTags(Protocol):
    """A client that can say what there is."""

    def tags(self, repository: Repository) -> Sequence[str]:
        """All tags of a repository, sorted; at most 100,000."""
        ...

    def catalogue(self, endpoint: RegistryEndpoint) -> Sequence[str]:
        """The paths of all repositories that the registry lists; at most 100,000."""
        ...


@runtime_checkable
class DeletesManifests(Protocol):
    """A client that can delete."""

    def delete_manifest(self, repository: Repository, digest: str) -> None:
        """Delete the manifest with this digest, and with it all tags that stand for it; `NotFound`."""
        ...


@dataclass(frozen=True, slots=True)
class RegistryLogin:
    """The outcome of a login: what the registry said, and a token to keep in place of the password, or ""."""

    status: str = "Login Succeeded"
    identity_token: str = field(default="", repr=False)


@runtime_checkable
class ChecksCredentials(Protocol):
    """A client that can tell whether credentials are good."""

    def login(self, endpoint: RegistryEndpoint) -> RegistryLogin:
        """Try the endpoint's credentials; `RegistryDenied` where they are refused."""
        ...


@dataclass(frozen=True, slots=True)
class SearchResult:
    """One result of a search."""

    name: str
    description: str = ""
    stars: int = 0
    official: bool = False
    automated: bool = False


@runtime_checkable
class SearchesImages(Protocol):
    """A client whose registry can be searched."""

    def search(self, endpoint: RegistryEndpoint, term: str, limit: int) -> Sequence[SearchResult]:
        """At most `limit` (up to 100) images for a term, the best first."""
        ...


@dataclass(frozen=True, slots=True)
class RegistryQuota:
    """How many pulls a registry grants, and how many of them are left; -1 where it grants them without counting."""

    limit: int = -1
    remaining: int = -1
    window: int = 0  # seconds


@runtime_checkable
class TellsQuota(Protocol):
    """A client whose registry counts pulls."""

    def quota(self, endpoint: RegistryEndpoint) -> RegistryQuota:
        """What is left; costs nothing of it."""
        ...
