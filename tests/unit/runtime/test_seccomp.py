"""Filters, run by a small interpreter of the machine that they are written for."""

from __future__ import annotations

import errno
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke.errors import InvalidRequest
from pyke.runtime import capabilities, seccomp

X86_64, X86 = 0xC000003E, 0x40000003
ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
DEFAULT = seccomp.assemble(seccomp.resolved(seccomp.default_profile(), list(capabilities.DEFAULT), "x86_64", "6.1.0"))


def answer(program: bytes, number: int, *arguments: int, architecture: int = X86_64) -> int:
    """What the kernel would: classic BPF over struct seccomp_data."""
    data = struct.pack("=iIQ6Q", number, architecture, 0, *(arguments + (0,) * 6)[:6])
    accumulator, place = 0, 0
    while True:
        code, yes, no, value = struct.unpack_from("=HBBI", program, place * 8)
        place += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == 0x54:
            accumulator &= value
        elif code == 0x05:
            place += value
        elif code == 0x06:
            return int(value)
        else:
            holds = {0x15: accumulator == value, 0x25: accumulator > value, 0x35: accumulator >= value}[code]
            place += yes if holds else no


def profile(*rules: dict[str, Any], default: str = "SCMP_ACT_ERRNO") -> bytes:
    return seccomp.assemble({"defaultAction": default, "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], "syscalls": list(rules)})


@pytest.mark.parametrize(
    ("number", "arguments", "expected"),
    [
        (0, (), ALLOW),  # read
        (41, (2,), ALLOW),  # socket: AF_INET
        (41, (38,), EPERM),  # AF_ALG
        (41, (40,), EPERM),  # AF_VSOCK
        (41, (38 | 1 << 32,), EPERM),  # the kernel sees AF_ALG
        (41, (39,), ALLOW),
        (165, (), EPERM),  # mount
        (425, (), EPERM),  # io_uring_setup
        (56, (17,), ALLOW),  # clone: SIGCHLD alone
        (56, (0x10000000,), EPERM),  # clone: CLONE_NEWUSER
        (435, (), ENOSYS),  # clone3
        (462, (), ALLOW),  # mseal
        (9999, (), ENOSYS),
        (135, (0,), ALLOW),  # personality
        (135, (0x0400000,), EPERM),
        (0x40000000 | 41, (38,), EPERM),  # x32
        (0x40000000, (), ALLOW),
    ],
)
def test_the_default_profile_on_x86_64(number: int, arguments: tuple[int, ...], expected: int) -> None:
    assert answer(DEFAULT, number, *arguments) == expected


def test_the_default_profile_on_i386_and_elsewhere() -> None:
    assert answer(DEFAULT, 359, 38, architecture=X86) == EPERM
    assert answer(DEFAULT, 102, 1, architecture=X86) == EPERM  # socketcall(SYS_SOCKET)
    assert answer(DEFAULT, 102, 3, architecture=X86) == ALLOW  # socketcall(SYS_CONNECT)
    assert answer(DEFAULT, 0, architecture=0xC00000B7) == KILL


def test_capabilities_open_what_they_stand_for() -> None:
    trusted = seccomp.assemble(seccomp.resolved(seccomp.default_profile(), ["CAP_SYS_ADMIN"], "x86_64", "6.1.0"))
    assert (answer(trusted, 165), answer(trusted, 56, 0x10000000), answer(trusted, 435)) == (ALLOW, ALLOW, ALLOW)


def test_the_kernels_age_counts() -> None:
    old = seccomp.assemble(seccomp.resolved(seccomp.default_profile(), [], "x86_64", "4.4.0-1"))
    assert (answer(old, 101), answer(DEFAULT, 101)) == (EPERM, ALLOW)  # ptrace, safe since 4.8


COMPARISONS = {
    "SCMP_CMP_NE": lambda a, b: a != b,
    "SCMP_CMP_LT": lambda a, b: a < b,
    "SCMP_CMP_LE": lambda a, b: a <= b,
    "SCMP_CMP_EQ": lambda a, b: a == b,
    "SCMP_CMP_GE": lambda a, b: a >= b,
    "SCMP_CMP_GT": lambda a, b: a > b,
}
WORDS = st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 2**32 - 1, 2**32, 2**32 + 1, 2**63, 2**64 - 1])


@given(st.sampled_from(sorted(COMPARISONS)), WORDS, WORDS, st.integers(0, 5))
def test_comparisons_are_of_64_bits(operation: str, value: int, given_value: int, index: int) -> None:
    program = profile({"names": ["lseek"], "action": "SCMP_ACT_ALLOW", "args": [{"index": index, "value": value, "op": operation}]})
    arguments = [0] * 6
    arguments[index] = given_value
    assert answer(program, 8, *arguments) == (ALLOW if COMPARISONS[operation](given_value, value) else EPERM)


@given(WORDS, WORDS, WORDS)
def test_masked_comparisons(mask: int, value: int, given_value: int) -> None:
    arguments = [{"index": 1, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}]
    program = profile({"names": ["lseek"], "action": "SCMP_ACT_ALLOW", "args": arguments})
    assert answer(program, 8, 0, given_value) == (ALLOW if given_value & mask == value else EPERM)


def test_actions_and_numbers_of_errors() -> None:
    program = profile(
        {"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5}, {"names": ["write"], "action": "SCMP_ACT_KILL_PROCESS"},
        default="SCMP_ACT_ALLOW",
    )  # fmt: skip
    assert (answer(program, 0), answer(program, 1), answer(program, 2), answer(program, 9999)) == (0x50005, KILL, ALLOW, ALLOW)


@pytest.mark.parametrize(
    "broken", [{}, {"defaultAction": "BOGUS"}, {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "x"}]}]
)
def test_a_broken_profile_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="Decoding seccomp profile failed"):
        seccomp.resolved(broken, [])


def test_a_filter_is_compiled_once(tmp_path: Path) -> None:
    wanted = seccomp.resolved(seccomp.default_profile(), [])
    path = Path(seccomp.compiled(wanted, str(tmp_path)))
    before = path.stat().st_mtime_ns
    assert seccomp.compiled(wanted, str(tmp_path)) == str(path) and path.stat().st_mtime_ns == before
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert seccomp.compiled(seccomp.resolved(seccomp.default_profile(), ["CAP_SYS_ADMIN"]), str(tmp_path)) != str(path)
