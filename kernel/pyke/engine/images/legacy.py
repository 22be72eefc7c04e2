"""Archives of Docker before 1.10: no manifest.json, but `repositories` and one directory a layer, with the layer's configuration in it.

(Docker image specification 1.0.) Such an image gets the configuration that Docker would give it: the topmost one's, with the chain of
layers and a history made from all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pyke.archive.limits import ImageLimits
from pyke.engine.images.content import canonical
from pyke.engine.images.json_objects import as_object, as_text, json_object
from pyke.engine.images.references import Digest
from pyke.errors import BadArchive

MAX_PARENTS = 500  # what overlayfs stacks
KEPT = ("architecture", "author", "comment", "config", "container", "container_config", "created", "docker_version", "os", "variant")


def images(
    repositories: bytes, document: Callable[[str], bytes], digest: Callable[[str], Digest], limits: ImageLimits
) -> Iterator[tuple[bytes, tuple[Digest, ...], tuple[str, ...]]]:
    """Each image as (configuration, layers, names). The layers must be plain tars, so that their digests are diff IDs."""
    names: dict[str, list[str]] = {}
    for repository, tags in json_object(repositories, "repositories", limits).items():
        for tag, top in as_object(tags, f"repositories, {repository[:100]}").items():
            names.setdefault(as_text(top, "repositories"), []).append(f"{repository}:{tag}")
    for top, references in names.items():
        chain = _chain(top, document, limits)
        layers = tuple(digest(f"{name}/layer.tar") for name, _ in chain)
        yield _configuration([data for _, data in chain], layers), layers, tuple(references)


def _chain(top: str, document: Callable[[str], bytes], limits: ImageLimits) -> list[tuple[str, dict[str, Any]]]:
    """The layers' own names and configurations, lowest first."""
    chain: list[tuple[str, dict[str, Any]]] = []
    name = top
    while name:
        if len(chain) == MAX_PARENTS:
            raise BadArchive(f"the image {top[:80]} has more than {MAX_PARENTS} layers, or its parents form a circle")
        data = json_object(document(f"{name}/json"), f"{name[:80]}/json", limits)
        chain.insert(0, (name, data))
        name = as_text(data.get("parent"), f"parent of {name[:80]}")
    return chain


def _configuration(chain: list[dict[str, Any]], layers: tuple[Digest, ...]) -> bytes:
    top = {key: chain[-1][key] for key in KEPT if key in chain[-1]}
    return canonical({**top, "history": [_history(each) for each in chain], "rootfs": {"type": "layers", "diff_ids": list(layers)}})


def _history(data: dict[str, Any]) -> dict[str, str]:
    made_by = as_object(data.get("container_config"), "container_config").get("Cmd")
    entry = {
        "created": as_text(data.get("created"), "created"),
        "author": as_text(data.get("author"), "author"),
        "created_by": " ".join(map(str, made_by)) if isinstance(made_by, list) else "",
        "comment": as_text(data.get("comment"), "comment"),
    }
    return {key: value for key, value in entry.items() if value}
