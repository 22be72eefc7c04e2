"""Which system calls a container may make: Docker's profiles, resolved to OCI's `linux.seccomp`, compiled to a filter and cached.

The filters are assembled here and not by libseccomp, for three reasons. The numbers of new system calls do not depend on the age of a
library. Arguments that the kernel takes as an int are compared as such: libseccomp compares 64 bits, and socket(2^32 + AF_ALG) passes
"greater than AF_VSOCK". And the i386 call socketcall(SYS_SOCKET) is refused where socket() is filtered by its arguments, because a filter
cannot look through its pointer; C libraries make the call socket() there since Linux 4.3.
"""

from __future__ import annotations

import hashlib
import json
import os

from pyke.errors import InvalidRequest
from pyke.runtime.bpf import ARCHITECTURE, JEQ, JGE, NUMBER, Assembler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Condition = tuple[int, str, int, int]  # argument, operation, value, second value
    Rule = tuple[tuple[Condition, ...], int]  # all of these, then this action

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")
VERSION = 1  # of what this module makes of a profile: part of the cache's key

EPERM, ENOSYS = 1, 38
SYS_SOCKET = 1  # of socketcall(2)

#: OCI's actions and the kernel's; the number of an error, or a tracer's message, is added to the last two.
ACTIONS = {
    "SCMP_ACT_ALLOW": 0x7FFF0000,
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_TRACE": 0x7FF00000,
}
#: include/uapi/linux/audit.h; x32 shares its value with x86-64, and differs by a bit of the number.
AUDIT_ARCHITECTURES = {
    "SCMP_ARCH_X86_64": 0xC000003E,
    "SCMP_ARCH_X32": 0xC000003E,
    "SCMP_ARCH_X86": 0x40000003,
    "SCMP_ARCH_ARM": 0x40000028,
    "SCMP_ARCH_AARCH64": 0xC00000B7,
    "SCMP_ARCH_RISCV64": 0xC00000F3,
    "SCMP_ARCH_PPC64LE": 0xC0000015,
    "SCMP_ARCH_S390X": 0x80000016,
    "SCMP_ARCH_S390": 0x00000016,
}
NATIVE = {
    "x86_64": ("SCMP_ARCH_X86_64", "amd64"),
    "aarch64": ("SCMP_ARCH_AARCH64", "arm64"),
    "riscv64": ("SCMP_ARCH_RISCV64", "riscv64"),
    "ppc64le": ("SCMP_ARCH_PPC64LE", "ppc64le"),
    "s390x": ("SCMP_ARCH_S390X", "s390x"),
}
#: System calls whose arguments are ints (SYSCALL_DEFINE of each).
INT_ARGUMENTS = frozenset(("personality", "socket", "socketpair"))


def default_profile() -> dict[str, Any]:
    """Docker's default profile."""
    return _data("seccomp.json")


def resolved(profile: dict[str, Any], granted: list[str], machine: str = "", kernel: str = "") -> dict[str, Any]:
    """A profile in Docker's format as OCI's `linux.seccomp`, for a process with these capabilities: conditions are decided.

    `machine` and `kernel` are as uname(2) has them, and this machine's by default. Raises InvalidRequest for what is not a profile.
    """
    native, go_name = NATIVE[machine or os.uname().machine]
    version = _version(kernel or os.uname().release)
    if profile.get("defaultAction") not in ACTIONS:
        action = profile.get("defaultAction")
        raise InvalidRequest(f"Decoding seccomp profile failed: its default action is {action!r}", hint="man 2 seccomp")
    rules = [rule for rule in profile.get("syscalls") or [] if _applies(rule, granted, go_name, version)]
    return {
        "defaultAction": profile["defaultAction"],
        "defaultErrnoRet": profile.get("defaultErrnoRet") or EPERM,
        "architectures": _architectures(profile, native),
        "syscalls": [_oci_rule(rule) for rule in rules],
    }


def _applies(rule: dict[str, Any], granted: list[str], machine: str, kernel: tuple[int, int]) -> bool:
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    wanted = includes.get("caps") or []
    return (
        all(name in granted for name in wanted)
        and not any(name in granted for name in excludes.get("caps") or [])
        and (not includes.get("arches") or machine in includes["arches"])
        and machine not in (excludes.get("arches") or [])
        and (not includes.get("minKernel") or kernel >= _version(includes["minKernel"]))
        and (not excludes.get("minKernel") or kernel < _version(excludes["minKernel"]))
    )


def _architectures(profile: dict[str, Any], native: str) -> list[str]:
    for entry in profile.get("archMap") or []:
        if entry["architecture"] == native:
            return [native, *(entry.get("subArchitectures") or [])]
    return list(dict.fromkeys([native, *(profile.get("architectures") or [])]))


def _oci_rule(rule: dict[str, Any]) -> dict[str, Any]:
    names = rule.get("names") or [rule["name"]]
    if rule.get("action") not in ACTIONS:
        raise InvalidRequest(f"Decoding seccomp profile failed: the action {rule.get('action')!r} is unknown", hint="man 2 seccomp")
    oci = {"names": names, "action": rule["action"]}
    if rule.get("errnoRet") is not None:
        oci["errnoRet"] = rule["errnoRet"]
    arguments = [{key: each[key] for key in ("index", "value", "valueTwo", "op") if key in each} for each in rule.get("args") or []]
    return {**oci, "args": arguments} if arguments else oci


def _version(release: str) -> tuple[int, int]:
    major, minor = [*release.split("-")[0].split("."), "0"][:2]
    return int(major), int(minor)


# --- from OCI to a filter ------------------------------------------------------------------------------------------


def compiled(seccomp: dict[str, Any], cache_directory: str) -> str:
    """The path of the filter for `seccomp` (OCI's), an array of struct sock_filter; made once, and named by what it was made from.

    Raises InvalidRequest for a profile that cannot be compiled. Safe to call from several processes and threads at once.
    """
    key = json.dumps([VERSION, os.uname().machine, seccomp], sort_keys=True).encode()
    path = os.path.join(cache_directory, hashlib.sha256(key).hexdigest())
    if not os.path.exists(path):
        os.makedirs(cache_directory, mode=0o700, exist_ok=True)
        partial = f"{path}.{os.urandom(4).hex()}"
        with open(partial, "wb") as file:
            file.write(assemble(seccomp))
        os.replace(partial, path)
    return path


def assemble(seccomp: dict[str, Any]) -> bytes:
    """The filter.

    A call that is newer than every one that the profile names fails with ENOSYS, so that programs fall back to older ones;
    a call of an architecture that the profile does not name kills the process."""
    numbers: dict[str, dict[str, int]] = _data("syscalls.json")["numbers"]
    code = Assembler()
    try:
        sections = _sections(seccomp, numbers)
        for audit, decisions in sections.items():
            following = code.label()
            code.load(ARCHITECTURE)
            code.far_branch(JEQ, audit, following)
            code.load(NUMBER)
            _search(code, decisions)
            code.place(following)
        code.answer(ACTIONS["SCMP_ACT_KILL_PROCESS"])
        return code.assemble()
    except (KeyError, ValueError, TypeError) as error:
        hint = "pyke run --security-opt seccomp=unconfined ..."
        raise InvalidRequest(f"the seccomp profile cannot be compiled: {error}", hint=hint) from error


def _sections(seccomp: dict[str, Any], numbers: dict[str, dict[str, int]]) -> dict[int, list[tuple[int, list[Rule]]]]:
    """For each value of `arch`: what to do from which number on, in ascending order, from 0."""
    sections: dict[int, dict[int, list[Rule]]] = {}
    for name in seccomp.get("architectures") or []:
        if name in numbers:
            sections.setdefault(AUDIT_ARCHITECTURES[name], {}).update(_decisions(seccomp, numbers[name]))
    return {audit: sorted(decisions.items()) for audit, decisions in sections.items()}


def _decisions(seccomp: dict[str, Any], numbers: dict[str, int]) -> dict[int, list[Rule]]:
    default = _action(seccomp["defaultAction"], seccomp.get("defaultErrnoRet"))
    rules = _rules(seccomp, numbers, default)
    first = min(numbers.values()) & 0x40000000  # where x32 begins
    decisions: dict[int, list[Rule]] = {first: [((), default)]}
    for number in sorted(rules):
        decisions[number] = rules[number]
        decisions.setdefault(number + 1, [((), default)])
    for number in rules:
        decisions[number] = rules[number]
    if seccomp["defaultAction"] not in ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG") and rules:
        newest = max((number for number in rules if number - first < 0xF0000), default=first)
        decisions[newest + 1] = [((), _action("SCMP_ACT_ERRNO", ENOSYS))]
    return decisions


def _rules(seccomp: dict[str, Any], numbers: dict[str, int], default: int) -> dict[int, list[Rule]]:
    """What to ask, in order, about each number: the questions about arguments first, then one answer for all."""
    conditional: dict[str, list[Rule]] = {}
    plain: dict[str, int] = {}
    for rule in seccomp.get("syscalls") or []:
        action = _action(rule["action"], rule.get("errnoRet"))
        for name in rule["names"]:
            if rule.get("args"):
                conditional.setdefault(name, []).extend((conditions, action) for conditions in _alternatives(rule["args"]))
            else:
                plain.setdefault(name, action)
    if "socket" in conditional and "socket" not in plain and "socketcall" in plain:
        conditional.setdefault("socketcall", []).insert(0, (((0, "SCMP_CMP_EQ", SYS_SOCKET, 0),), default))
    return {
        numbers[name]: [*_for_ints(name, conditional.get(name, [])), ((), plain.get(name, default))]
        for name in {**conditional, **plain}
        if name in numbers
    }


def _for_ints(name: str, rules: list[Rule]) -> list[Rule]:
    """Mark arguments that the kernel takes as an int with a negative index (-1 for the first)."""
    if name not in INT_ARGUMENTS:
        return rules
    return [(tuple((-1 - index, *rest) for index, *rest in conditions), action) for conditions, action in rules]  # type: ignore[misc]


def _alternatives(arguments: list[dict[str, Any]]) -> list[tuple[Condition, ...]]:
    """All conditions have to hold; but where one argument has several, each stands for itself, as in runc."""
    conditions = [(int(each["index"]), str(each["op"]), int(each["value"]), int(each.get("valueTwo") or 0)) for each in arguments]
    if len({index for index, *_ in conditions}) < len(conditions):
        return [(condition,) for condition in conditions]
    return [tuple(conditions)]


def _action(name: str, number: int | None) -> int:
    return ACTIONS[name] | ((EPERM if number is None else number) & 0xFFFF if name in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE") else 0)


def _search(code: Assembler, decisions: list[tuple[int, list[Rule]]]) -> None:
    """Find the number by halving; neighbours that are decided alike have been made one."""
    merged: list[tuple[int, list[Rule]]] = []
    for number, rules in decisions:
        if not merged or merged[-1][1] != rules:
            merged.append((number, rules))
    _halve(code, merged)


def _halve(code: Assembler, decisions: list[tuple[int, list[Rule]]]) -> None:
    if len(decisions) == 1:
        _decide(code, decisions[0][1])
        return
    middle, lower = len(decisions) // 2, code.label()
    code.far_branch(JGE, decisions[middle][0], lower)
    _halve(code, decisions[middle:])
    code.place(lower)
    _halve(code, decisions[:middle])


def _decide(code: Assembler, rules: list[Rule]) -> None:
    for conditions, action in rules:
        following = code.label()
        for index, operation, value, other in conditions:
            is_int = index < 0
            code.compare(-1 - index if is_int else index, operation, value, other, following, is_int=is_int)
        code.answer(action)
        code.place(following)


def _data(name: str) -> dict[str, Any]:
    with open(os.path.join(DATA, name), encoding="utf-8") as file:
        data: dict[str, Any] = json.load(file)
    return data
