"""References and digests, in Docker's grammar."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke.engine.images.references import Digest, Reference, familiar, id_prefix, parse, parse_tagged
from pyke.errors import InvalidRequest

HEX = "0123456789abcdef"
DIGESTS = st.text(HEX, min_size=64, max_size=64).map(lambda text: f"sha256:{text}")
DOMAINS = st.from_regex(r"(?:[a-z0-9]{1,8}(?:-[a-z0-9]{1,4})?\.[a-z]{2,4}|localhost)(?::[0-9]{2,5})?", fullmatch=True)
PATHS = st.lists(st.from_regex(r"[a-z0-9]{1,8}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,8}){0,2}", fullmatch=True), min_size=1, max_size=4).map(
    "/".join
)
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("redis", "docker.io/library/redis:latest"),
        ("redis:7", "docker.io/library/redis:7"),
        ("user/app", "docker.io/user/app:latest"),
        ("docker.io/redis", "docker.io/library/redis:latest"),
        ("index.docker.io/library/redis", "docker.io/library/redis:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/a/b/c:v1", "localhost:5000/a/b/c:v1"),
        ("REGISTRY/app", "REGISTRY/app:latest"),
        ("[::1]:5000/app", "[::1]:5000/app:latest"),
        ("redis@sha256:" + "a" * 64, "docker.io/library/redis@sha256:" + "a" * 64),
    ],
)
def test_what_is_typed_becomes_canonical(text: str, canonical: str) -> None:
    assert str(parse_tagged(text)) == canonical


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("UPPER", "invalid reference format: repository name (library/UPPER) must be lowercase"),
        ("foo/BAR:1", "invalid reference format: repository name (foo/BAR) must be lowercase"),
        ("", "invalid reference format"),
        (":tag", "invalid reference format"),
        ("name:", "invalid reference format"),
        ("a//b", "invalid reference format"),
        ("-a", "invalid reference format"),
        ("a/../b", "invalid reference format"),
        ("a b", "invalid reference format"),
        ("a\n", "invalid reference format"),
        ("a:b\n", "invalid reference format"),
        ("a:" + "t" * 129, "invalid reference format"),
        ("a@sha256:" + "A" * 64, "invalid checksum digest length"),
        ("a@md5:abc", "invalid reference format"),
        ("x" * 256, "repository name must not be more than 255 characters"),
        ("f" * 64, f"invalid repository name ({'f' * 64}), cannot specify 64-byte hexadecimal strings"),
    ],
)
def test_what_names_nothing_is_refused_in_dockers_words(text: str, words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(text)
    assert caught.value.message == words


@given(DOMAINS, PATHS, TAGS | st.just(""), DIGESTS | st.just(""))
def test_parsing_what_is_canonical_gives_the_same_again(domain: str, path: str, tag: str, digest: str) -> None:
    reference = Reference(domain, path, tag, digest)
    assert parse(str(reference)) == reference


@given(DOMAINS | st.just("docker.io"), PATHS, TAGS)
def test_the_familiar_form_means_the_same(domain: str, path: str, tag: str) -> None:
    canonical = str(parse_tagged(f"{domain}/{path}:{tag}"))
    assert str(parse_tagged(familiar(canonical))) == canonical


@given(st.text(max_size=80))
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    try:
        reference = parse(text)
    except InvalidRequest:
        return
    assert parse(str(reference)) == reference
    assert "\n" not in str(reference) and ".." not in reference.path.split("/")


@given(st.binary())
def test_a_digest_is_its_contents(content: bytes) -> None:
    digest = Digest.of(content)
    assert Digest(str(digest)) == digest
    assert len(digest.hex) == 64 and digest.short == digest.hex[:12]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256",
        "sha256:",
        "sha256:../../etc/passwd",
        "sha256:" + "a" * 63,
        "sha256:" + "A" * 64,
        "sha256:" + "a" * 64 + "\n",
        "sha512:" + "a" * 64,
    ],
)
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        Digest(text)


@pytest.mark.parametrize(
    ("text", "prefix"),
    [("abc123", "abc123"), ("sha256:abc", "abc"), ("redis", ""), ("", ""), ("sha256:", ""), ("a" * 65, ""), ("abc\n", "")],
)
def test_what_can_be_the_beginning_of_an_id(text: str, prefix: str) -> None:
    assert id_prefix(text) == prefix
