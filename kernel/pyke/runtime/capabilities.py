"""Linux capabilities: their names, Docker's choice of them, and how a process is brought down to a set.

Numbers: include/uapi/linux/capability.h of Linux 6.18. The fourteen defaults: Docker's reference of `docker run`, "Runtime privilege and
Linux capabilities".
"""

from __future__ import annotations

import contextlib

from pyke.errors import InvalidRequest
from pyke.runtime import linux

NAMES = tuple(
    "CAP_" + name
    for name in (
        "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST "
        "NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE "
        "SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM "
        "BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
    ).split()
)
NUMBERS = {name: number for number, name in enumerate(NAMES)}

DEFAULT = tuple(
    "CAP_" + name
    for name in (
        "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE"
    ).split()
)


def normalised(name: str, flag: str = "CapAdd") -> str:
    """The kernel's name for what a user wrote: "net_admin" is CAP_NET_ADMIN, "all" is ALL. `flag` names the option in the error."""
    upper = name.upper()
    full = upper if upper == "ALL" or upper.startswith("CAP_") else "CAP_" + upper
    if full == "CAP_ALL":
        full = "ALL"
    if full != "ALL" and full not in NUMBERS:
        raise InvalidRequest(f'invalid {flag}: unknown capability: "{full}"', hint="man 7 capabilities")
    return full


def chosen(add: tuple[str, ...], drop: tuple[str, ...], *, privileged: bool = False) -> list[str]:
    """The capabilities of a container, in the kernel's order.

    ALL is every capability that this system has, less what is dropped by name. What is added by name stays, although it, or ALL, is
    dropped; one that the system lacks is refused when the container starts.
    """
    added, dropped = {normalised(n) for n in add}, {normalised(n, "CapDrop") for n in drop}
    if privileged or "ALL" in added:
        wanted = {name for name in NAMES if is_available(name)} - (set() if privileged else dropped)
    elif "ALL" in dropped:
        wanted = added
    else:
        wanted = set(DEFAULT) - dropped | added
    return [name for name in NAMES if name in wanted]


def is_available(name: str) -> bool:
    """Whether this process could give the capability away: the kernel knows it and our bounding set has it."""
    with contextlib.suppress(OSError):
        return linux.prctl(linux.PR_CAPBSET_READ, NUMBERS[name]) == 1
    return False


def bits(names: list[str]) -> int:
    """A set of capabilities as the kernel counts it; unknown names are an error (KeyError)."""
    return sum(1 << NUMBERS[name] for name in set(names))


def bound(bounding: int) -> None:
    """Take what is not in `bounding` out of this process's bounding set, for good. Needs CAP_SETPCAP."""
    for number in range(len(NAMES)):
        if not bounding >> number & 1 and is_available(NAMES[number]):
            linux.prctl(linux.PR_CAPBSET_DROP, number)


def hold(effective: int, permitted: int) -> None:
    """Hold exactly these from here on. Nothing is inheritable or ambient: that would reach programs that a container's user runs, past
    the bounding set's intent (CVE-2022-24769, CVE-2022-29162)."""
    linux.prctl(linux.PR_CAP_AMBIENT, linux.PR_CAP_AMBIENT_CLEAR_ALL)
    linux.capset(effective, permitted, 0)
