"""What images are called on the command line."""

from __future__ import annotations


def split_reference(reference: str) -> tuple[str, str]:
    """ "host:5000/name:tag" becomes ("host:5000/name", "tag"), without a tag ("...", ""); a digest counts as a tag."""
    repository, at, digest = reference.partition("@")
    if at:
        return repository, digest
    if ":" in reference.rpartition("/")[2]:
        repository, _, tag = reference.rpartition(":")
        return repository, tag
    return reference, ""


def with_tag(reference: str) -> str:
    """ "busybox" becomes "busybox:latest"; a reference with a tag or a digest stays."""
    return reference if "@" in reference or ":" in reference.rpartition("/")[2] else f"{reference}:latest"


def short(digest: str) -> str:
    """ "sha256:b80472c45e9f2e46..." as tables show it."""
    return digest.partition(":")[2][:12] if ":" in digest else digest[:12]
