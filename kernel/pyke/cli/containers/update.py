"""`pyke update`: other limits for containers that exist."""

from __future__ import annotations

from pyke.cli.client import quote
from pyke.cli.containers.create_spec import restart_policy
from pyke.cli.flags import BYTES, BYTES_OR_UNLIMITED, DECIMAL, INT, SMALL, STRING, Command, Flag, Options
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyke.cli.session import Session

# flag: (the API's name, its kind, short, help)
_LIMITS = {
    "blkio-weight": ("BlkioWeight", SMALL, "", "Block IO (relative weight), between 10 and 1000, or 0 to disable"),
    "cpu-period": ("CpuPeriod", INT, "", "Limit CPU CFS (Completely Fair Scheduler) period"),
    "cpu-quota": ("CpuQuota", INT, "", "Limit CPU CFS (Completely Fair Scheduler) quota"),
    "cpu-rt-period": ("CpuRealtimePeriod", INT, "", "Limit the CPU real-time period in microseconds"),
    "cpu-rt-runtime": ("CpuRealtimeRuntime", INT, "", "Limit the CPU real-time runtime in microseconds"),
    "cpu-shares": ("CpuShares", INT, "c", "CPU shares (relative weight)"),
    "cpus": ("NanoCpus", DECIMAL, "", "Number of CPUs"),
    "cpuset-cpus": ("CpusetCpus", STRING, "", "CPUs in which to allow execution (0-3, 0,1)"),
    "cpuset-mems": ("CpusetMems", STRING, "", "MEMs in which to allow execution (0-3, 0,1)"),
    "kernel-memory": ("KernelMemory", BYTES, "", "Kernel memory limit"),
    "memory": ("Memory", BYTES, "m", "Memory limit"),
    "memory-reservation": ("MemoryReservation", BYTES, "", "Memory soft limit"),
    "memory-swap": ("MemorySwap", BYTES_OR_UNLIMITED, "", "Swap limit equal to memory plus swap: -1 to enable unlimited swap"),
    "pids-limit": ("PidsLimit", INT, "", "Tune container pids limit (set -1 for unlimited)"),
}


def _update(session: Session, options: Options) -> int:
    body: dict[str, object] = {
        name: options.text(flag) if kind is STRING else options.number(flag)
        for flag, (name, kind, _, _) in _LIMITS.items()
        if options.given(flag)
    }
    if options.given("restart"):
        body["RestartPolicy"] = restart_policy(options.text("restart"))
    if not body:
        raise PykeError("you must provide one or more flags when using this command", hint="pyke update --help")

    def update(name: str) -> None:
        answer = session.engine.post(f"/containers/{quote(name)}/update", body=body) or {}
        for warning in answer.get("Warnings") or []:
            session.note(f"WARNING: {warning}")

    return session.each(options.arguments, update)


UPDATE = Command(
    "update",
    "CONTAINER [CONTAINER...]",
    "Update configuration of one or more containers",
    _update,
    [
        *(Flag(name, short, kind, summary) for name, (_, kind, short, summary) in _LIMITS.items()),
        Flag("restart", "", STRING, "Restart policy to apply when a container exits"),
    ],
    minimum=1,
    maximum=None,
    examples=("pyke update --memory 512m --memory-swap 1g web", "pyke update --restart unless-stopped web"),
)
