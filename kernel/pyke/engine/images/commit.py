"""`commit`: a container becomes an image, which has its image's layers and one more: what the container changed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pyke.engine.containers import pause
from pyke.engine.containers.helpers import COMPARING, Helper
from pyke.engine.images import changes as image_changes
from pyke.engine.images import load as image_load
from pyke.engine.images.archives import Parcel
from pyke.engine.images.content import Reception, canonical
from pyke.engine.images.references import Digest, Reference, parse_tagged
from pyke.errors import InvalidRequest, PykeError
from pyke.model import Caller, Container, HistoryEntry, Image

if TYPE_CHECKING:
    from pyke.engine.engine import Engine

INTENT = "container.commit"
#: What an image's configuration takes from a container's (OCI image-spec, config.md); the rest is the container's own affair.
KEPT = (
    *("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal"),
    *("Healthcheck", "OnBuild", "Shell"),
)


@dataclass(frozen=True, slots=True)
class Commit:
    """What a commit asks for; `reference` may be ""."""

    reference: str
    config: Mapping[str, Any]
    inherited: Mapping[str, Any]  # the container's own
    changes: Sequence[str]
    message: str
    author: str

    def name(self) -> Reference | None:
        """The name that the image is to get. `InvalidRequest` for one that it cannot have."""
        name = parse_tagged(self.reference) if self.reference else None
        if name is not None and name.digest:
            raise InvalidRequest("cannot commit to a digest reference", hint="pyke commit CONTAINER NAME:TAG")
        return name


@contextlib.contextmanager
def paused(engine: Engine, container: Container, caller: Caller) -> Iterator[None]:
    """Freeze a running container for the length of a block, so that its files do not change under somebody who reads all of them."""
    if container.state.status != "running":
        yield
        return
    with engine.state.intent(INTENT, container.id):  # an engine that dies now must not leave it frozen
        pause.pause(engine, container, caller=caller)
        try:
            yield
        finally:
            with contextlib.suppress(PykeError):  # somebody else has let it go on, or it was killed
                pause.unpause(engine, container, caller=caller)


def resume(engine: Engine, container: Container) -> None:
    """Let a container go on that an earlier engine had frozen for a commit that it did not finish."""
    if container.state.status == "paused":
        pause.thaw(engine, container)
        engine.containers.put_state(container, status="running")


def commit(engine: Engine, container: Container, wanted: Commit) -> Image:
    """Make the image. What cannot work is refused before the container's files are read."""
    name = wanted.name()
    config = image_changes.inherit(image_changes.apply(_kept(wanted.config), wanted.changes), _kept(wanted.inherited))
    base = engine.images.get(container.image_id)
    chain_ids, blobs = [layer.chain_id for layer in base.layers], [layer.blob for layer in base.layers]
    images = engine.images
    with images.layers.pinned(chain_ids), images.blobs.held(blobs), images.content.receiving() as reception:
        layer = _layer(engine, container, reception)
        text = _configuration(container, base, layer, config, wanted)
        parcel = Parcel(text, (*(Digest(each.blob) for each in base.layers), layer), ())
        image = image_load.store(engine, reception, parcel, [name] if name is not None else [], source="commit", parent=base.id)
    attributes = engine.attributes(container) | {"comment": wanted.message, "imageID": image.id, "imageRef": name.familiar if name else ""}
    engine.events.publish("container", "commit", container.id, attributes)
    return image


def _kept(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: config[key] for key in KEPT if config.get(key)}


def _layer(engine: Engine, container: Container, reception: Reception) -> Digest:
    with Helper(engine.files.layer_job(container, "layer")) as helper:
        helper.answer(COMPARING)
        return reception.write(helper.pieces())


def _configuration(container: Container, base: Image, layer: Digest, config: dict[str, Any], wanted: Commit) -> bytes:
    created = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    command = " ".join(config_words(wanted.inherited.get("Cmd")))
    entry = HistoryEntry(created=created, created_by=command, author=wanted.author, comment=wanted.message)
    return canonical(
        {
            "architecture": base.architecture,
            **({"variant": base.variant} if base.variant else {}),
            "author": wanted.author,
            "comment": wanted.message,
            "config": config,
            "container": container.id,
            "created": created,
            "history": [_history(each) for each in (*base.history, entry)],
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [*(each.diff_id for each in base.layers), layer]},
        }
    )


def config_words(value: Any) -> list[str]:
    """The words of a command that a request gave, which may be anything."""
    return [str(word) for word in value] if isinstance(value, (list, tuple)) else []


def _history(entry: HistoryEntry) -> dict[str, Any]:
    fields = ("created", "created_by", "author", "comment", "empty_layer")
    return {name: getattr(entry, name) for name in fields if getattr(entry, name)}
