"""A container, where it is in its life, and the commands inside it."""

from __future__ import annotations

from dataclasses import dataclass

from pyke.model.images import ImageConfig
from pyke.model.mounts import Mount
from pyke.model.networks import Endpoint
from pyke.model.specs import ContainerSpec, HealthCheck


@dataclass(frozen=True, slots=True)
class Probe:
    """One run of a health check. `exit_code` -1: it took too long, or could not be run."""

    start: int  # ns
    end: int  # ns
    exit_code: int
    output: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """What the health check of a running container has found. `status`: starting, healthy, unhealthy."""

    status: str = "starting"
    failing_streak: int = 0
    log: tuple[Probe, ...] = ()  # the last few, oldest first


@dataclass(frozen=True, slots=True)
class Request:
    """Who asked for a container's end, with what: `action` is stop, kill, restart, rm or unhealthy."""

    action: str
    signal: int = 0
    uid: int = 0
    pid: int = 0
    program: str = ""  # its name, as the kernel had it when it asked
    time: int = 0  # ns


@dataclass(frozen=True, slots=True)
class Ending:
    """How the last run ended, or that it never began: the facts that `pyke why` tells, also when the container runs again."""

    exit_code: int = 0
    signal: int = 0  # by which the first process died; 0: it exited
    started_at: int = 0  # ns, 0: the start failed
    finished_at: int = 0  # ns
    error: str = ""
    hint: str = ""  # of a start that failed
    oom_killed: bool = False
    memory_limit: int = 0  # bytes, as it was then
    is_lost: bool = False  # nobody saw the end: the machine, or the monitor, went down
    request: Request | None = None  # the last one that could have caused it
    health: Health | None = None  # as it was then
    is_restarted: bool = False
    verdict: str = ""  # why it is started again, or not: words to go on after "because"


@dataclass(frozen=True, slots=True)
class ContainerState:
    """Where a container is in its life. `status`: created, running, paused, restarting, removing, exited, dead."""

    status: str = "created"
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_at: int = 0  # ns, 0 never
    finished_at: int = 0  # ns, 0 never
    restart_count: int = 0
    manually_stopped: bool = False  # `unless-stopped` and `always` ask for it
    backoff: float = 0.0  # seconds that the restart policy waited last; 0: it has not yet restarted this container
    health: Health | None = None  # None: nobody checks
    request: Request | None = None  # the last one that could end this run
    ending: Ending | None = None  # of the run before; None until there was one

    @property
    def is_running(self) -> bool:
        """Whether its process is alive: paused counts, as for Docker."""
        return self.status in ("running", "paused")


@dataclass(frozen=True, slots=True)
class Container:
    """A container: what was asked, what it was made from, where its parts are and how it fares."""

    id: str
    name: str  # without Docker's leading slash
    created: int  # ns
    spec: ContainerSpec
    image_id: str
    image_name: str  # as the user named it
    image_config: ImageConfig
    argv: tuple[str, ...]  # entrypoint and command, resolved
    storage_driver: str
    hostname: str
    state: ContainerState = ContainerState()
    endpoints: tuple[Endpoint, ...] = ()
    mounts: tuple[Mount, ...] = ()
    log_path: str = ""

    @property
    def short_id(self) -> str:
        return self.id[:12]

    @property
    def health_check(self) -> HealthCheck | None:
        """The health check in force: the container's own over its image's; None where there is none, or it is switched off."""
        own, image = self.spec.health, self.image_config.health
        check = own.over(image) if own and image else own or image
        return check if check and check.test and check.test[0] != "NONE" else None


@dataclass(frozen=True, slots=True)
class ExecSpec:
    """A command to be run inside a running container, as a request asks for it."""

    command: tuple[str, ...]
    environment: tuple[str, ...] = ()
    working_directory: str = ""
    user: str = ""  # "" is the container's
    tty: bool = False
    privileged: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    detach_keys: str = ""  # as given: "ctrl-p,ctrl-q"
    console_size: tuple[int, int] = (0, 0)  # rows, columns


@dataclass(frozen=True, slots=True)
class Exec:
    """A command inside a container: made by `exec_create`, run by `exec_start`, asked about for a while after its end."""

    id: str
    container: str  # ID
    spec: ExecSpec
    pid: int = 0
    is_running: bool = False
    exit_code: int | None = None  # None until it has ended
    error: str = ""  # why it was not run, or not to its end
