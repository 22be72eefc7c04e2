"""What every registry client promises, as tests. A client's own test file is a fixture or two:

    class TestMine(RegistryConformance):
        @pytest.fixture
        def client_class(self) -> type[MyClient]:
            return MyClient

Each test has a `PlayRegistry` of its own. Override `name` for a client of one registry, and `options` to tell it where that is.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pyke.codec import from_data, to_data
from pyke.drivers import DriverHome
from pyke.errors import NotFound, PykeError, RegistryDenied, RegistryFailed, RegistryUnavailable
from pyke.registries import (
    ChecksCredentials,
    DeletesManifests,
    ListsTags,
    PushesImages,
    RegistryClient,
    RegistryCredentials,
    RegistryEndpoint,
    Repository,
)
from pyke.testing.images import layer
from pyke.testing.registry import MANIFEST, PlayRegistry, digest_of
from pyke.testing.tricks import LosesHalf, cutting, endless, halting, sent_to, shortened

ME = RegistryCredentials("me", "secret")
PATH = "team/app"
CONTENT = bytes(range(256)) * 4096


class RegistryConformance:
    """The suite. Give it the fixture `client_class`."""

    @pytest.fixture
    def client_class(self) -> type[RegistryClient]:
        raise NotImplementedError("give your test class a fixture `client_class` that returns the class of your client")

    @pytest.fixture
    def registry(self) -> Iterator[PlayRegistry]:
        with PlayRegistry(users={"me": "secret"}) as registry:
            yield registry

    @pytest.fixture
    def name(self, registry: PlayRegistry) -> str:
        """The registry's name in references."""
        return registry.host

    @pytest.fixture
    def options(self, registry: PlayRegistry) -> dict[str, str]:
        """The client's section of config.yaml."""
        return {}

    @pytest.fixture
    def client(self, client_class: type[RegistryClient], options: dict[str, str], tmp_path: Path) -> RegistryClient:
        return client_class(DriverHome(str(tmp_path / "home"), str(tmp_path / "run"), "c0ffee", options))

    @pytest.fixture
    def repository(self, name: str) -> Repository:
        return Repository(RegistryEndpoint(name, insecure=True), PATH)

    @pytest.fixture
    def known(self, repository: Repository) -> Repository:
        """The same, with credentials."""
        return replace(repository, endpoint=replace(repository.endpoint, credentials=ME))

    # the plain way

    def test_it_serves_its_registry(self, client: RegistryClient, name: str) -> None:
        assert client.serves(name) is True

    def test_a_tag_is_resolved_with_one_head(self, client: RegistryClient, registry: PlayRegistry, repository: Repository) -> None:
        digest = registry.put_image(PATH, "1", [layer({"a": b"1"})])
        client.resolve(repository, "1")
        registry.requests.clear()
        found = client.resolve(repository, "1")
        assert (found.digest, found.media_type) == (digest, MANIFEST)
        assert [each.method for each in registry.requests] == ["HEAD"]

    def test_a_manifest_comes_byte_for_byte(self, client: RegistryClient, registry: PlayRegistry, repository: Repository) -> None:
        content = b'{ "schemaVersion":2,\n "odd":  "spaces" }'
        digest = registry.put_manifest(PATH, "odd", content)
        assert client.manifest(repository, "odd").content == client.manifest(repository, digest).content == content

    @pytest.mark.parametrize("method", ["resolve", "manifest"])
    def test_what_is_not_there_is_not_found(self, client: RegistryClient, repository: Repository, method: str) -> None:
        with pytest.raises(NotFound, match="manifest unknown"):
            getattr(client, method)(repository, "nosuch")

    @pytest.mark.parametrize("offset", [0, 1, 70_000, len(CONTENT) - 1, len(CONTENT)])
    def test_a_blob_comes_from_any_byte_on(
        self, client: RegistryClient, registry: PlayRegistry, repository: Repository, offset: int
    ) -> None:
        digest = registry.put_blob(PATH, CONTENT)
        assert _fetched(client, repository, digest, offset) == CONTENT[offset:]

    def test_a_registry_that_cannot_begin_in_the_middle_is_read_from_its_beginning(
        self, client: RegistryClient, registry: PlayRegistry, repository: Repository
    ) -> None:
        digest = registry.put_blob(PATH, CONTENT)
        registry.answer = lambda exchange: exchange.reply(200, CONTENT) if "/blobs/" in exchange.seen.path else None
        assert _fetched(client, repository, digest, 1000) == CONTENT[1000:]

    def test_a_registry_survives_json(self, repository: Repository, known: Repository) -> None:
        assert from_data(Repository, to_data(known)) == known

    # what goes wrong

    def test_a_cut_blob_is_right_as_far_as_it_came(self, client: RegistryClient, registry: PlayRegistry, repository: Repository) -> None:
        digest = registry.put_blob(PATH, CONTENT)
        registry.answer = cutting(registry, 300_000, 1)
        error, content = _attempted(client, repository, digest, 0)
        assert isinstance(error, RegistryUnavailable)
        assert content == CONTENT[: len(content)] and len(content) <= 300_000
        assert content + _fetched(client, repository, digest, len(content)) == CONTENT

    def test_what_has_come_is_given_at_once(self, client: RegistryClient, registry: PlayRegistry, repository: Repository) -> None:
        digest, is_read = registry.put_blob(PATH, CONTENT), threading.Event()
        registry.answer = lambda exchange: halting(exchange, CONTENT[:1000], len(CONTENT), is_read)
        with contextlib.closing(client.open_blob(repository, digest, 0)) as stream:
            first = stream.read(600)
            assert 1 <= len(first) <= 600
            assert CONTENT.startswith(first + stream.read(1 << 18))
            is_read.set()

    def test_a_wait_can_be_interrupted(self, client: RegistryClient, registry: PlayRegistry, repository: Repository) -> None:
        """By an exception out of a signal's handler, as the engine does it; everything goes on after that."""
        digest, is_over = registry.put_blob(PATH, CONTENT), threading.Event()
        registry.answer = lambda exchange: halting(exchange, CONTENT[:1000], len(CONTENT), is_over)
        with contextlib.closing(client.open_blob(repository, digest, 0)) as stream, pytest.raises(_Interruption), _interrupted():
            while stream.read(1 << 18):
                pass
        is_over.set()
        registry.answer = None
        assert _fetched(client, repository, digest, 0) == CONTENT

    def test_a_reader_that_had_enough_closes_twice(self, client: RegistryClient, registry: PlayRegistry, repository: Repository) -> None:
        digest = registry.put_blob(PATH, CONTENT * 8)
        stream = client.open_blob(repository, digest, 0)
        assert (CONTENT * 8).startswith(stream.read(1 << 16))
        stream.close()
        stream.close()
        assert _fetched(client, repository, digest, 0) == CONTENT * 8

    def test_a_blob_shorter_than_its_reply_said_is_no_end(
        self, client: RegistryClient, registry: PlayRegistry, repository: Repository
    ) -> None:
        digest = registry.put_blob(PATH, CONTENT)
        for headers in ({}, {"Transfer-Encoding": "chunked"}):
            registry.answer = lambda exchange, headers=headers: shortened(exchange, CONTENT[:1000], len(CONTENT), headers)
            error, content = _attempted(client, repository, digest, 0)
            assert isinstance(error, RegistryUnavailable) and content == CONTENT[:1000]

    def test_a_small_blob_is_had_as_a_whole(self, client: RegistryClient, registry: PlayRegistry, repository: Repository) -> None:
        digest = registry.put_blob(PATH, CONTENT)
        assert client.blob(repository, digest, len(CONTENT)) == CONTENT
        with pytest.raises(RegistryFailed, match="more than"):
            client.blob(repository, digest, len(CONTENT) - 1)

    @pytest.mark.parametrize("status", [429, 500, 502, 503])
    def test_what_may_pass_is_told_apart(self, client: RegistryClient, registry: PlayRegistry, repository: Repository, status: int) -> None:
        registry.answer = lambda exchange: exchange.reply(status, b"{}", {"Retry-After": "7"}) if exchange.seen.path != "/v2/" else None
        with pytest.raises(RegistryUnavailable) as caught:
            client.manifest(repository, "1")
        assert caught.value.retry_after == 7

    def test_nobody_there_is_unavailable(self, client: RegistryClient, repository: Repository) -> None:
        closed = replace(repository, endpoint=replace(repository.endpoint, address="http://127.0.0.1:1"))
        with pytest.raises(RegistryUnavailable, match="refused") as caught:
            client.resolve(closed, "1")
        assert caught.value.hint, "what can be done about it?"

    def test_an_endless_document_is_refused(self, client: RegistryClient, registry: PlayRegistry, repository: Repository) -> None:
        registry.answer = endless
        with pytest.raises(RegistryFailed):
            client.manifest(repository, "1")

    def test_plain_http_is_for_those_who_may(self, client: RegistryClient, registry: PlayRegistry, repository: Repository) -> None:
        registry.put_image(PATH, "1", [])
        with pytest.raises(RegistryFailed):
            client.resolve(replace(repository, endpoint=replace(repository.endpoint, insecure=False)), "1")
        assert not registry.requests

    # who asks

    @pytest.mark.parametrize("auth", ["basic", "token"])
    def test_credentials_open_what_is_closed(
        self, client: RegistryClient, registry: PlayRegistry, repository: Repository, known: Repository, auth: str
    ) -> None:
        digest = registry.put_image(PATH, "1", [])
        registry.auth = auth
        with pytest.raises(RegistryDenied):
            client.resolve(repository, "1")
        assert client.resolve(known, "1").digest == digest
        with pytest.raises(RegistryDenied) as caught:
            wrong = replace(known.endpoint, credentials=RegistryCredentials("me", "wr0ng-secret"))
            client.resolve(replace(known, endpoint=wrong), "1")
        assert "wr0ng-secret" not in str(caught.value) + caught.value.hint + repr(known)

    @pytest.mark.parametrize("auth", ["basic", "token"])
    def test_credentials_do_not_follow_a_redirect(
        self, client: RegistryClient, registry: PlayRegistry, known: Repository, auth: str
    ) -> None:
        digest = registry.put_blob(PATH, CONTENT)
        registry.auth = auth
        with PlayRegistry() as cdn:
            cdn.answer = lambda exchange: exchange.reply(200, CONTENT)
            registry.answer = lambda exchange: sent_to(exchange, "/blobs/", f"{cdn.url}/signed?by=us")
            assert _fetched(client, known, digest, 0) == CONTENT
            assert [each.headers.get("authorization") for each in cdn.requests] == [None]

    def test_credentials_go_to_no_token_server_of_another_host(
        self, client: RegistryClient, registry: PlayRegistry, known: Repository
    ) -> None:
        registry.auth, registry.realm = "token", "http://localhost:9/token"
        with pytest.raises(RegistryDenied) as caught:
            client.resolve(known, "1")
        assert "localhost:9" in str(caught.value)

    @pytest.mark.parametrize(
        "place", ["http://169.254.169.254/latest/meta-data", "file:///etc/passwd", "https://user:word@host/", "//[bad"]
    )
    def test_a_redirect_leads_nowhere_harmful(
        self, client: RegistryClient, registry: PlayRegistry, repository: Repository, place: str
    ) -> None:
        registry.answer = lambda exchange: sent_to(exchange, "/manifests/", place)
        with pytest.raises(RegistryFailed):
            client.manifest(repository, "1")

    def test_redirects_end(self, client: RegistryClient, registry: PlayRegistry, repository: Repository) -> None:
        registry.answer = lambda exchange: sent_to(exchange, "/manifests/", exchange.seen.path)
        with pytest.raises(RegistryFailed):
            client.manifest(repository, "1")
        assert len(registry.requests) < 20

    # what a client may be able to do besides

    def test_an_upload_arrives(self, client: RegistryClient, registry: PlayRegistry, known: Repository) -> None:
        if not isinstance(client, PushesImages):
            pytest.skip("this client cannot push")
        registry.auth = "token"
        digest = digest_of(CONTENT)
        with tempfile.TemporaryFile() as file:
            file.write(CONTENT)
            file.seek(0)
            assert client.has_blob(known, digest) is False
            client.upload_blob(known, digest, len(CONTENT), file.fileno())
            assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == len(CONTENT)
        assert registry.blobs[digest] == CONTENT and client.has_blob(known, digest) is True
        client.put_manifest(known, "1", MANIFEST, b'{"schemaVersion": 2}')
        assert registry.manifests[PATH, "1"] == (MANIFEST, b'{"schemaVersion": 2}')

    def test_an_upload_is_resumed(self, client: RegistryClient, registry: PlayRegistry, known: Repository) -> None:
        if not isinstance(client, PushesImages):
            pytest.skip("this client cannot push")
        registry.answer = LosesHalf(registry)
        with tempfile.TemporaryFile() as file:
            file.write(CONTENT)
            file.seek(0)
            client.upload_blob(known, digest_of(CONTENT), len(CONTENT), file.fileno())
        assert registry.blobs[digest_of(CONTENT)] == CONTENT
        assert registry.count("PATCH", "/uploads/") == 2

    def test_a_blob_is_mounted_from_another_repository(self, client: RegistryClient, registry: PlayRegistry, known: Repository) -> None:
        if not isinstance(client, PushesImages):
            pytest.skip("this client cannot push")
        digest = registry.put_blob("other/app", CONTENT)
        assert client.mount_blob(known, digest, "other/app") is True
        assert client.has_blob(known, digest) is True
        registry.mounts = False
        assert client.mount_blob(known, digest_of(b"more"), "other/app") is False

    def test_all_pages_of_a_list_are_read(self, client: RegistryClient, registry: PlayRegistry, repository: Repository) -> None:
        if not isinstance(client, ListsTags):
            pytest.skip("this client lists no tags")
        for tag in ("5", "3", "1", "4", "2"):
            registry.put_image(PATH, tag, [layer({"a": tag.encode()})])
        assert list(client.tags(repository)) == ["1", "2", "3", "4", "5"]
        assert list(client.catalogue(repository.endpoint)) == [PATH]

    def test_a_manifest_is_deleted(self, client: RegistryClient, registry: PlayRegistry, known: Repository) -> None:
        if not isinstance(client, DeletesManifests):
            pytest.skip("this client deletes nothing")
        digest = registry.put_image(PATH, "1", [])
        client.delete_manifest(known, digest)
        with pytest.raises(NotFound):
            client.resolve(known, "1")

    @pytest.mark.parametrize("auth", ["basic", "token"])
    def test_a_login_tells_right_from_wrong(self, client: RegistryClient, registry: PlayRegistry, known: Repository, auth: str) -> None:
        if not isinstance(client, ChecksCredentials):
            pytest.skip("this client checks no credentials")
        registry.auth = auth
        assert client.login(known.endpoint).status == "Login Succeeded"
        with pytest.raises(RegistryDenied):
            client.login(replace(known.endpoint, credentials=RegistryCredentials("me", "wrong")))

    def test_many_threads_use_one_client(self, client: RegistryClient, registry: PlayRegistry, known: Repository) -> None:
        registry.auth = "token"
        digests = [registry.put_blob(PATH, CONTENT + bytes([number])) for number in range(6)]
        results: list[bool] = []

        def fetch(number: int) -> None:
            results.append(_fetched(client, known, digests[number], 0) == CONTENT + bytes([number]))

        threads = [threading.Thread(target=fetch, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [True] * 6


def _fetched(client: RegistryClient, repository: Repository, digest: str, offset: int) -> bytes:
    error, content = _attempted(client, repository, digest, offset)
    if error is not None:
        raise error
    return content


def _attempted(client: RegistryClient, repository: Repository, digest: str, offset: int) -> tuple[Exception | None, bytes]:
    """What came of a blob, and how that ended."""
    pieces: list[bytes] = []
    try:
        with contextlib.closing(client.open_blob(repository, digest, offset)) as stream:
            while piece := stream.read(1 << 18):
                pieces.append(piece)
    except PykeError as error:
        return error, b"".join(pieces)
    return None, b"".join(pieces)


class _Interruption(Exception):
    """What a signal's handler raises."""


@contextlib.contextmanager
def _interrupted() -> Iterator[None]:
    """Have this thread, which is the main one, interrupted by an exception, once."""
    is_over = threading.Event()

    def interrupt(*_: object) -> None:
        if not is_over.is_set():
            is_over.set()
            raise _Interruption

    def send() -> None:
        while not is_over.wait(0.2):
            signal.pthread_kill(main, signal.SIGUSR1)

    main, before = threading.get_ident(), signal.signal(signal.SIGUSR1, interrupt)
    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)
