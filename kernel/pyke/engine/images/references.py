"""Names of images, and digests: what a user types, in the one form in which it is kept.

The grammar is that of distribution/reference, as Docker uses it: "redis" means "docker.io/library/redis:latest". Digests and IDs become
parts of paths, so they are validated types and not strings.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from pyke.errors import InvalidRequest

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
MAX_NAME = 255  # of domain and path together
INVALID = "invalid reference format"

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?\Z")
_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_HEX = re.compile(r"[0-9a-f]{64}\Z")
_PREFIX = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})\Z")


class Digest(str):
    """A SHA-256 digest, "sha256:" and 64 hexadecimal digits: nothing else can be one. Sorts and prints as its text."""

    __slots__ = ()

    def __new__(cls, text: str) -> Digest:
        if not isinstance(text, str) or not _DIGEST.match(text):
            raise InvalidRequest(f"invalid digest {str(text)[:80]!r}: it is not sha256: and 64 hexadecimal digits")
        return super().__new__(cls, text)

    @classmethod
    def of(cls, content: bytes) -> Digest:
        """The digest of these bytes."""
        return cls("sha256:" + hashlib.sha256(content).hexdigest())

    @property
    def hex(self) -> str:
        """The 64 digits: safe as a file name."""
        return self[7:]

    @property
    def short(self) -> str:
        """The first 12 digits, as Docker shows an image's ID."""
        return self[7:19]


@dataclass(frozen=True, slots=True)
class Reference:
    """A normalised reference. With neither `tag` nor `digest` it names a repository."""

    domain: str  # "docker.io", "localhost:5000"
    path: str  # "library/redis"
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        """The canonical name without tag and digest: "docker.io/library/redis"."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_repository(self) -> str:
        """The repository as Docker shows it: "redis", "user/app", "localhost:5000/app"."""
        if self.domain != DEFAULT_DOMAIN:
            return self.repository
        first, _, rest = self.path.partition("/")
        if first == "library" and "/" not in rest:
            return rest
        return self.repository if _is_domain(first) else self.path

    @property
    def familiar(self) -> str:
        """The reference as Docker shows it."""
        return self.familiar_repository + self._suffix

    def __str__(self) -> str:
        return self.repository + self._suffix

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def parse(text: str) -> Reference:
    """The reference that `text` means, without a tag where none is written. `InvalidRequest` in Docker's words where it means none."""
    if len(text) > 1024:
        raise InvalidRequest(INVALID)
    if _HEX.match(text):
        raise InvalidRequest(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    name, at, digest = text.partition("@")
    if at and not _DIGEST.match(digest):
        raise InvalidRequest(INVALID if not digest.startswith("sha256:") else "invalid checksum digest length")
    name, tag = _split_tag(name)
    domain, path = _split_domain(name)
    if any(character.isupper() for character in path):
        raise InvalidRequest(f"{INVALID}: repository name ({path}) must be lowercase")
    if not _DOMAIN.match(domain) or not all(_PATH.match(part) for part in path.split("/")):
        raise InvalidRequest(INVALID)
    if len(domain) + len(path) + 1 > MAX_NAME:
        raise InvalidRequest(f"repository name must not be more than {MAX_NAME} characters")
    return Reference(domain, path, tag, digest)


def parse_tagged(text: str) -> Reference:
    """As `parse`; a reference with neither tag nor digest gets the tag "latest"."""
    found = parse(text)
    return found if found.tag or found.digest else Reference(found.domain, found.path, DEFAULT_TAG)


def familiar(canonical: str) -> str:
    """The short form of a canonical reference: "docker.io/library/redis:latest" becomes "redis:latest"."""
    return parse(canonical).familiar


def id_prefix(text: str) -> str:
    """The hexadecimal digits that `text` may be the beginning of an image's ID with, or "" when it cannot be one."""
    found = _PREFIX.match(text)
    return found[1] if found else ""


def _split_tag(name: str) -> tuple[str, str]:
    head, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        return name, ""
    if not _TAG.match(tag):
        raise InvalidRequest(INVALID)
    return head, tag


def _split_domain(name: str) -> tuple[str, str]:
    """The first component is a domain when it looks like one: with a dot, a port, an upper-case letter, or "localhost"."""
    first, slash, rest = name.partition("/")
    if not slash or not _is_domain(first):
        domain, path = DEFAULT_DOMAIN, name
    else:
        domain, path = ("docker.io", rest) if first == "index.docker.io" else (first, rest)
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = f"library/{path}"
    return domain, path


def _is_domain(text: str) -> bool:
    return "." in text or ":" in text or text == "localhost" or text.lower() != text
