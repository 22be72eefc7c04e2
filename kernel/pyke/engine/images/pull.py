"""`pull`: an image comes from its registry. Told in the order in which it happens.

What the name stands for is asked with one HEAD; if that is here already, nothing more happens. Else the manifest is fetched (through an
index, the one for the platform), then the configuration, then the layers, all at once (downloads.py); each is checked against
the digest that led to it, so that in the end everything hangs on what the name stood for. Then the image appears, as after a load.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pyke.archive.limits import beyond
from pyke.engine.images import config as image_config
from pyke.engine.images import manifests as oci
from pyke.engine.images.content import Reception
from pyke.engine.images.downloads import Download, Remote
from pyke.engine.images.json_objects import json_object
from pyke.engine.images.manifests import Manifest
from pyke.engine.images.platforms import Platform
from pyke.engine.images.progress import Work, message
from pyke.engine.images.references import Digest, Reference
from pyke.engine.images.registries import Access
from pyke.errors import BadArchive, InvalidRequest, NotFound, PykeError, RegistryDenied, RegistryFailed, RegistryUnavailable
from pyke.model import Image
from pyke.registries import ListsTags, ManifestDocument, RegistryCredentials, RegistryQuota, Repository, ResolvedManifest, TellsQuota

if TYPE_CHECKING:
    from pyke.engine.engine import Engine

MAX_BLOB = 1 << 46  # bytes: more than any layer, and no number that could do harm


def pull(engine: Engine, reference: Reference, wanted: Platform, credentials: RegistryCredentials, work: Work) -> None:
    """Pull an image; of a reference with neither tag nor digest, all images of the repository."""
    access = engine.registries.access(reference.domain, credentials)
    try:
        if reference.tag or reference.digest:
            Pull(engine, access, reference, wanted, work).run()
            return
        if not access.can(ListsTags):
            raise RegistryFailed(f"the registry client {access.client!r} cannot list tags", hint=f"pyke pull {reference.familiar}:latest")
        for tag in access.ask("tags", Repository(access.registry, reference.path)):
            Pull(engine, access, replace(reference, tag=tag), wanted, work).run(quiet=True)
        work.tell(message(f"Status: Downloaded newer image for {reference.familiar}"))
    except RegistryUnavailable as error:
        error.message += _quota(access) if "toomanyrequests" in error.message else ""
        error.hint = error.hint or f"pyke pull {reference.familiar}"
        raise
    except RegistryDenied as error:
        reason = f"repository does not exist or may require 'pyke login': {error.message}"
        refusal = f"pull access denied for {reference.familiar_repository}, {reason}"
        raise NotFound(refusal, hint=error.hint or f"pyke login {reference.domain}") from error
    except (BadArchive, RegistryFailed) as error:
        error.hint = error.hint or f"pyke manifest inspect {reference.familiar}"
        raise


def _quota(access: Access) -> str:
    """What is left of the pulls that a registry grants, for the end of its error."""
    if not access.can(TellsQuota):
        return ""
    with contextlib.suppress(PykeError):  # the error that is to be told is another
        found: RegistryQuota = access.ask("quota", access.registry)
        if found.limit >= 0:
            return f" ({found.remaining} of {found.limit} pulls are left in {found.window // 60} minutes)"
    return ""


class Pull:
    """One image on its way."""

    def __init__(self, engine: Engine, access: Access, reference: Reference, wanted: Platform, work: Work) -> None:
        self._engine, self._access, self._wanted, self._work = engine, access, wanted, work
        self._limits = engine.settings.images.limits()
        self._name = replace(reference, tag="") if reference.digest else reference

    def run(self, *, quiet: bool = False) -> None:
        """Pull it. `quiet` leaves the last line to whoever pulls several."""
        digest = self._resolve()
        self._work.tell(message(f"Pulling from {self._name.path}", self._name.tag or self._name.digest))
        known = self._known(digest)
        if known is None:
            self._fetch(digest)
        else:
            self._engine.images.mark(known, self._name, digest)
        status = "Image is up to date for" if known else "Downloaded newer image for"
        self._work.tell(message(f"Digest: {digest}"))
        if not quiet:
            self._work.tell(message(f"Status: {status} {self._name.familiar}"))

    # what the name stands for

    def _resolve(self) -> Digest:
        """The digest that the name stands for: one HEAD, or a GET where the registry does not say."""
        asked = self._name.digest or self._name.tag
        try:
            said: ResolvedManifest = self._access.pull("resolve", self._name.path, asked, accept=self._accept_resolved)
            if said.digest:
                return Digest(said.digest)
            document: ManifestDocument = self._access.pull("manifest", self._name.path, asked, accept=self._accept_document)
        except NotFound as error:
            raise NotFound(f"manifest for {self._name.familiar} not found: {error.message}", hint=error.hint) from error
        return Digest.of(document.content)

    def _accept_resolved(self, said: ResolvedManifest) -> ResolvedManifest:
        if said.digest:
            Digest(said.digest)
        if self._name.digest and said.digest not in ("", self._name.digest):
            raise RegistryFailed(f"{self._name.domain} gives {said.digest} for {self._name.digest}")
        return replace(said, digest=self._name.digest or said.digest)

    def _known(self, digest: Digest) -> Image | None:
        """The image that is here already under this digest, for this platform."""
        name = str(Reference(self._name.domain, self._name.path, digest=digest))
        return next((image for image in self._engine.images.all() if name in image.repo_digests and self._fits(image)), None)

    def _fits(self, image: Image) -> bool:
        return bool(self._wanted.fitness(Platform(image.os, image.architecture, image.variant)))

    # fetching

    def _fetch(self, digest: Digest) -> Image:
        chosen = oci.choose({"digest": digest}, self._manifest, self._limits, self._wanted)
        if chosen is None:
            wanted = self._wanted
            raise NotFound(
                f"no matching manifest for {wanted} in the manifest list entries", hint=f"pyke manifest inspect {self._name.familiar}"
            )
        manifest = oci.parse_manifest(chosen, self._limits)
        if not all(0 < size <= MAX_BLOB for size in (manifest.config_size, *manifest.sizes)):
            raise BadArchive(f"the manifest of {self._name.familiar} names sizes that cannot be")
        if manifest.config_size > self._limits.max_document:
            message = f"the configuration of {self._name.familiar} has more than {self._limits.max_document} bytes"
            raise beyond(message, "images.max_document")
        images = self._engine.images
        blobs = [Digest.of(chosen), manifest.config, *manifest.layers]
        with images.blobs.held(blobs), images.content.receiving() as reception:
            image = self._described(reception, chosen, manifest)
            return self._store(reception, image, manifest, digest)

    def _manifest(self, digest: Digest) -> bytes:
        """A manifest or index, which is what its digest says or an error."""

        def accept(document: ManifestDocument) -> bytes:
            self._accept_document(document)
            if Digest.of(document.content) != digest:
                raise RegistryFailed(f"manifest verification failed for digest {digest}")
            return document.content

        return self._access.pull("manifest", self._name.path, digest, accept=accept)

    def _accept_document(self, document: ManifestDocument) -> ManifestDocument:
        """A manifest within its limits; one that calls itself what it is not is caught here (CVE-2021-41190)."""
        said = json_object(document.content, "a manifest", self._limits).get("mediaType")
        known = oci.MANIFESTS | oci.INDEXES
        if said and document.media_type in known and said != document.media_type:
            raise BadArchive(f"a manifest says that it is {str(said)[:100]!r}, and was sent as {document.media_type!r}")
        return document

    def _described(self, reception: Reception, chosen: bytes, manifest: Manifest) -> Image:
        """The image that manifest and configuration say it is."""
        config = self._config(manifest)
        if len(config) != manifest.config_size:
            raise BadArchive(f"the configuration of {self._name.familiar} has {len(config)} bytes, not {manifest.config_size}")
        image = image_config.parse(config, self._limits)
        if image.os != "linux":
            raise InvalidRequest(f'image operating system "{image.os[:40]}" cannot be used on this platform')
        if len(manifest.layers) != len(image.layers):
            raise BadArchive(
                f"the manifest of {self._name.familiar} has {len(manifest.layers)} layers, and its configuration {len(image.layers)}"
            )
        reception.write([config])
        layers = tuple(replace(layer, blob=digest) for layer, digest in zip(image.layers, manifest.layers, strict=True))
        return replace(image, manifest=reception.write([chosen]), layers=layers)

    def _config(self, manifest: Manifest) -> bytes:
        if self._engine.images.content.has(manifest.config):
            return self._engine.images.content.read(manifest.config)

        def accept(content: bytes) -> bytes:
            if Digest.of(content) != manifest.config:
                raise RegistryFailed(f"image config verification failed for digest {manifest.config}")
            return content

        return self._access.pull("blob", self._name.path, manifest.config, manifest.config_size, accept=accept)

    def _store(self, reception: Reception, image: Image, manifest: Manifest, digest: Digest) -> Image:
        """Fetch the layers and let the image appear."""
        engine, driver = self._engine, self._engine.images.storage_driver
        chain_ids = [layer.chain_id for layer in image.layers]
        try:
            with engine.state.intent("image.pull", image.id), engine.images.layers.pinned(chain_ids):
                sizes = self._layers(image, manifest, driver)
                for layer in image.layers:
                    reception.hold(Digest(layer.blob), engine.images.downloads.path(layer.blob))
                layers = tuple(replace(layer, size=sizes[layer.chain_id]) for layer in image.layers)
                image = replace(image, layers=layers, size=sum(layer.size for layer in layers))
                return engine.images.adopt(image, reception, self._names(digest), source="pull")
        except BaseException:
            with engine.images.lock:
                engine.images.layers.collect(chain_ids, driver)
            raise

    def _names(self, digest: Digest) -> list[Reference]:
        pinned = Reference(self._name.domain, self._name.path, digest=digest)
        return [pinned] if self._name.digest else [self._name, pinned]

    def _layers(self, image: Image, manifest: Manifest, driver: str) -> dict[str, int]:
        """Have all layers in the storage driver; returns their sizes by chain ID."""
        engine = self._engine
        known = engine.images.layers.known()
        missing = []
        for remote in self._remotes(image, manifest):
            is_here = remote.chain_id in known and engine.images.content.has(remote.digest)
            if is_here and engine.plugins.call("storage", driver, "has_layer", remote.chain_id):
                self._work.tell(message("Already exists", remote.digest.short))
            else:
                missing.append(remote)
        with engine.images.downloads.of(missing, driver, self._work.tell) as downloads:
            self._wait(downloads)
            return {**known, **{download.remote.chain_id: download.size for download in downloads}}

    def _remotes(self, image: Image, manifest: Manifest) -> list[Remote]:
        parents = ["", *(layer.chain_id for layer in image.layers)]
        repositories = tuple(Repository(endpoint, self._name.path) for endpoint in self._access.endpoints)
        return [
            Remote(layer.diff_id, layer.chain_id, parent, Digest(layer.blob), size, self._access.client, repositories)
            for layer, parent, size in zip(image.layers, parents, manifest.sizes, strict=False)
        ]

    def _wait(self, downloads: Sequence[Download]) -> None:
        """Until all are there, one has failed, or nobody watches any more."""
        for download in downloads:
            while not download.done.wait(0.2):
                if self._work.is_cancelled:
                    raise PykeError("context canceled")
                failed = next((each for each in downloads if each.error is not None), None)
                if failed is not None and failed.error is not None:
                    raise failed.error
            if download.error is not None:
                raise download.error
