"""The engine: the rooms, wired together."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING

from pyke.engine import recover
from pyke.engine.containers import exits
from pyke.engine.containers.door import Containers
from pyke.engine.containers.exit_records import ExitRecord
from pyke.engine.containers.files import Files
from pyke.engine.containers.health import HealthChecks
from pyke.engine.containers.monitors import Monitor, Monitors
from pyke.engine.events import Events
from pyke.engine.identifiers import new_id
from pyke.engine.images.door import Images
from pyke.engine.images.registries import Registries
from pyke.engine.locks import Locks
from pyke.engine.networks.door import Networks
from pyke.engine.state import State
from pyke.engine.volumes import Volumes
from pyke.errors import EngineUnavailable
from pyke.model import Authorization, Caller, Container, ContainerSpec
from pyke.plugins import Plugins
from pyke.runtime import cgroups
from pyke.settings import load as load_settings

if TYPE_CHECKING:
    from pyke.paths import Layout

RECOVERY_DEADLINE = 60.0  # seconds that a request which changes something waits for the recovery to end
ENDING_THREADS = 8


class Engine:
    """One engine. `recover` must have run before anything is changed through it; reading is always possible."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        for directory in (layout.root, layout.run, layout.containers, layout.container_runs):
            os.makedirs(directory, mode=0o711, exist_ok=True)
        self.settings = load_settings(layout.config)
        self.state = State(layout.database, belongings=(layout.containers, os.path.join(layout.content, "blobs", "sha256")))
        self.plugins = Plugins(layout, self.settings)
        self.hooks = self.plugins.hooks
        self.locks = Locks()
        self.events = Events(self.state)
        self.monitors = Monitors(layout)
        self.networks = Networks(self)
        self.volumes = Volumes(self)
        self.registries = Registries(self)
        self.images = Images(self)
        self.containers = Containers(self)
        self.files = Files(self)
        self.health = HealthChecks(self)
        self.started = time.time_ns()
        self.is_stopping = False
        self.awaited_restarts: set[str] = set()  # containers whose restart a timer of this engine will do
        self._recovered = threading.Event()
        self._endings = concurrent.futures.ThreadPoolExecutor(ENDING_THREADS, thread_name_prefix="pyke-exit")

    @property
    def id(self) -> str:
        """A name for this engine that it keeps for ever."""
        known = self.state.fact("engine-id")
        if known is None:
            known = new_id()
            self.state.set_fact("engine-id", known)
        return known

    def recover(self) -> None:
        """Take over what runs, then finish, undo and sweep what an earlier engine left; the second half in the background."""
        recover.adopt(self)
        threading.Thread(target=self._sweep, name="pyke-sweep", daemon=True).start()

    def _sweep(self) -> None:
        try:
            recover.sweep(self)
        finally:
            self._recovered.set()
        self.hooks.engine_started()

    def ready(self) -> None:
        """Wait until the recovery has ended: what makes or removes something must not meet the sweep."""
        if not self._recovered.wait(RECOVERY_DEADLINE):
            raise EngineUnavailable("the engine is still recovering from its last end", hint=f"tail {self.layout.engine_log}")

    def authorize(self, caller: Caller, operation: str, object: str = "", spec: ContainerSpec | None = None) -> None:
        """Ask the authorisers whether `caller` may do this; `Forbidden` if not."""
        self.hooks.authorize(Authorization(caller, operation, object=object, spec=spec))

    def attributes(self, container: Container) -> dict[str, str]:
        """What events tell of a container."""
        labels = {**container.image_config.labels, **container.spec.labels}
        return {**labels, "image": container.image_name, "name": container.name}

    def cgroup_path(self, container: Container) -> str:
        """The cgroup of a container, relative to the hierarchy's root."""
        parent = container.spec.cgroup_parent.strip("/") or self.layout.cgroup
        return f"/{parent}/{container.id}"

    def watch(self, id: str, monitor: Monitor) -> None:
        """Be told when the container ends."""
        self.monitors.watch(id, monitor, lambda id, record: self._ended(id, record, monitor), is_noted_later=True)

    def _ended(self, id: str, record: ExitRecord, monitor: Monitor) -> None:
        self._endings.submit(exits.handle_logged, self, id, record, monitor.noted)

    def close(self) -> None:
        """Leave; containers run on. Where none runs, the host gets its network back as it was; the next engine makes it anew."""
        self.is_stopping = True
        self._recovered.wait(RECOVERY_DEADLINE)
        self.hooks.engine_stopping()
        self.health.close()
        self.images.close()
        self._endings.shutdown(wait=True, cancel_futures=False)
        self.networks.close()
        if not self.containers.monitors:
            self.networks.dismantle()
            with contextlib.suppress(OSError):
                cgroups.at(self.layout.cgroup).remove()
        self.monitors.close()
        self.plugins.close()
        self.state.close()
