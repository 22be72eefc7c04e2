"""The driver contracts: one class a family. The docstrings are the specification; `pyke.testing` has the suites that check it.

Common to all families:

- Arguments and results are dataclasses of `pyke.model` or builtins that survive JSON; files come as paths or as descriptors. A driver
  may run in the engine or in a worker process of its own and cannot tell which.
- A driver is constructed once, on first use, with a `DriverHome`, and its constructor touches nothing.
- The engine serialises calls about one object; calls about different objects may come at the same time, from several threads.
- The engine counts references, persists, retries, sets deadlines and recovers. A driver does its one trick.
- Undoing twice succeeds, and so does undoing what was never done or what has vanished (a dead namespace, a deleted directory).
- Validate before touching anything; on failure undo in reverse and raise the original error. Tear-down goes on to the end and then
  raises one error that lists all.
- Errors are `PykeError`s with a message and a hint. Anything else is reported as a failure of the plugin.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

from pyke.model import Caller, Endpoint, Network, RootFilesystem, Volume


@dataclass(frozen=True, slots=True)
class Driver:
    """A descriptor: what a hook yields. `target` is "module:Class", imported at first use, so that discovery stays cheap."""

    name: str
    target: str
    summary: str = ""
    rank: int = 0  # the engine's default is the installed driver of the highest rank that says `is_supported`


@dataclass(frozen=True, slots=True)
class DriverHome:
    """What a driver may call its own. `tag` is "" for the machine's main engine, else a short word that keeps the names of
    several engines on one machine apart; names of interfaces, tables and cgroups are derived from it."""

    directory: str  # below ROOT; created by the driver when it needs it
    run_directory: str  # below RUN, gone after a reboot
    tag: str = ""
    options: dict[str, str] = field(default_factory=dict)  # the driver's section of config.yaml


# --- networks ------------------------------------------------------------------------------------------------------


class NetworkDriver(ABC):
    """Connects containers. The engine chooses addresses inside the subnets that `create` settled, and counts endpoints."""

    #: True where containers live in the host's own network namespace and `attach` has nothing to do.
    shares_host_namespace = False

    def __init__(self, home: DriverHome) -> None:
        self.home = home

    def validate(self, network: Network) -> None:  # noqa: B027 - having nothing to refuse is a fair answer
        """Refuse options or subnets that this driver cannot honour, with `InvalidRequest`. Touches nothing."""

    def create(self, network: Network, taken: Sequence[str]) -> Network:
        """Bring the network into being and return it as it became: with subnets, gateways and `interface` filled in.

        `taken` are the subnets of the engine's other networks; a driver that picks a subnet avoids these and whatever the host
        already routes. Idempotent: a network that exists (after a reboot of the host it does not, and the engine calls
        `create` again with the settled subnets) is made whole.
        """
        return network

    def remove(self, network: Network) -> None:  # noqa: B027
        """Remove what `create` made. Idempotent; the engine calls it only when no endpoint is left."""

    @abstractmethod
    def attach(self, network: Network, endpoint: Endpoint, namespace: str) -> Endpoint:
        """Connect the network namespace at the path `namespace` and return the endpoint as it became (interfaces, MAC).

        `endpoint` carries the addresses, the name of the interface inside, published ports and `default_route`. May block for
        as long as the kernel takes; is undone by `detach`. On failure nothing stays behind.
        """

    @abstractmethod
    def detach(self, network: Network, endpoint: Endpoint, namespace: str) -> None:
        """Undo `attach`. Twice succeeds; `namespace` "" or a path that is gone succeeds too, and still frees what the host holds."""


@runtime_checkable
class ReconcilesNetworks(Protocol):
    """A network driver that can clean up after a crash."""

    def reconcile(self, networks: Sequence[Network], endpoints: Sequence[Endpoint]) -> Sequence[str]:
        """Make the host hold exactly these networks and at most these endpoints; return a line for each thing removed or repaired.

        Touches only what carries this engine's names (`home.tag`).
        """
        ...


# --- container file systems ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LayerRequest:
    """A layer to be stored: its chain ID, its parent's (or ""), and the limits that its archive must keep."""

    chain_id: str
    parent: str = ""
    max_bytes: int = 0  # unpacked; 0: no limit
    max_entries: int = 0
    durable: bool = False  # whether it must be on the disk before it is there


class LayerStream(Protocol):
    """A layer on its way to its driver: a plain tar that is read once, from its beginning to its end."""

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size`: 256 KiB at a time cost least. Fewer may come at any time; b"" is the end.

        It may wait for a network, and raises what went wrong there, or with the content on its way: a driver lets that pass, and leaves
        nothing of the layer.
        """
        ...


class StorageDriver(ABC):
    """Keeps layers and gives containers a writable file system over a stack of them (a snapshot).

    A layer's name is its chain ID ("sha256:..."), which a driver may rely on to be well-formed; a snapshot's is a container's ID.
    """

    def __init__(self, home: DriverHome) -> None:
        self.home = home

    @abstractmethod
    def is_supported(self) -> str:
        """ "" where this kernel and directory can do it, else the reason in one line. Cheap, and leaves nothing behind."""

    @abstractmethod
    def add_layer(self, layer: LayerRequest, stream: LayerStream) -> int:
        """Store a layer from `stream`, and return its size in bytes on disk. Called in a process that does nothing else.

        Reads `stream` to its end (the engine checks the digest of what was read, and calls `remove_layer` if it is wrong). Atomic: after
        a crash of the engine at any moment `has_layer` says False, or everything is there. It syncs only where the layer is to be
        `durable`: else the engine syncs the file system of `home.directory` later, and has `reconcile` remove a layer that may have
        lost content with the machine's power. Present
        already: read and ignored. Hostile archives raise `BadArchive` and leave nothing.
        """

    @abstractmethod
    def has_layer(self, chain_id: str) -> bool: ...

    @abstractmethod
    def layers(self) -> Sequence[str]:
        """The chain IDs of all layers that are whole."""

    @abstractmethod
    def remove_layer(self, chain_id: str) -> None:
        """Forget a layer; idempotent. The engine knows that no snapshot and no other layer stands on it."""

    @abstractmethod
    def layer_path(self, chain_id: str) -> RootFilesystem:
        """How to mount the stack of layers up to this one, read-only."""

    @abstractmethod
    def prepare(self, snapshot: str, layers: Sequence[str]) -> RootFilesystem:
        """Make a writable snapshot over `layers` (chain IDs, topmost last; () is an empty file system); idempotent."""

    @abstractmethod
    def mount_plan(self, snapshot: str) -> RootFilesystem:
        """How to mount a prepared snapshot."""

    @abstractmethod
    def changes_path(self, snapshot: str) -> str:
        """The directory that holds only what the container changed (overlay's upper), for `diff`, `commit` and `ps --size`."""

    @abstractmethod
    def remove(self, snapshot: str) -> None:
        """Delete a snapshot; idempotent, and quick: a large tree may be renamed away and deleted later."""

    @abstractmethod
    def usage(self, snapshot: str) -> int:
        """Bytes on disk that belong to the snapshot alone."""

    @abstractmethod
    def reconcile(self, layers: Sequence[str], snapshots: Sequence[str]) -> Sequence[str]:
        """Delete every layer, snapshot and half-made directory but these; return a line for each thing removed."""


@runtime_checkable
class RenamesLayers(Protocol):
    """A storage driver that can give a layer another name, so that it may be stored before it is known which layer it is."""

    def rename_layer(self, chain_id: str, name: str, parent: str) -> None:
        """Let the layer `chain_id`, which was added without a parent, be `name`, upon `parent` (a chain ID or ""). Quick, and atomic.

        Where `name` is there already, that one stays and `chain_id` is forgotten. `NotFound` where there is no layer `chain_id`.
        """
        ...


# --- volumes -------------------------------------------------------------------------------------------------------


class VolumeDriver(ABC):
    """Keeps data that outlives containers. The engine counts who uses a volume and mounts once for all of them."""

    def __init__(self, home: DriverHome) -> None:
        self.home = home

    def validate(self, volume: Volume) -> None:  # noqa: B027
        """Refuse options that this driver cannot honour. Touches nothing."""

    @abstractmethod
    def create(self, volume: Volume) -> None:
        """Bring the volume into being; idempotent."""

    @abstractmethod
    def remove(self, volume: Volume) -> None:
        """Delete the volume and its data; idempotent. The engine knows that nobody uses it."""

    @abstractmethod
    def mount(self, volume: Volume) -> str:
        """Make the data reachable and return the host path that containers bind; idempotent."""

    @abstractmethod
    def unmount(self, volume: Volume) -> None:
        """The last user is gone; idempotent."""


# --- routes of the API ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RouteRequest:
    """A request to a route that a plugin offers below /pyke/NAME/; `path` is what follows NAME."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes  # at most 4 MiB
    caller: Caller


@dataclass(frozen=True, slots=True)
class RouteReply:
    """A plugin's answer to a `RouteRequest`."""

    body: bytes = b""
    status: int = 200
    content_type: str = "application/json"


__all__ = [
    "Driver",
    "DriverHome",
    "LayerRequest",
    "LayerStream",
    "NetworkDriver",
    "ReconcilesNetworks",
    "RenamesLayers",
    "RouteReply",
    "RouteRequest",
    "StorageDriver",
    "VolumeDriver",
    "replace",
]
