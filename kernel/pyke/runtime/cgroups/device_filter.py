"""The device rules of a container as an eBPF program of type CGROUP_DEVICE, which version 2 has in place of a controller.

The program gets struct bpf_cgroup_dev_ctx {u32 access_type; u32 major; u32 minor} (access in the upper 16 bits, type in the lower) and
returns 1 to allow. Later rules win, so the program asks them from the last to the first and returns at the first that matches.
"""

from __future__ import annotations

import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TYPES = {"b": 1, "c": 2}  # BPF_DEVCG_DEV_BLOCK, BPF_DEVCG_DEV_CHAR
ACCESSES = {"m": 1, "r": 2, "w": 4}  # BPF_DEVCG_ACC_MKNOD, READ, WRITE

ACCESS, KIND, MAJOR, MINOR, SCRATCH = 2, 3, 4, 5, 1  # registers; r1 is the context until all is loaded, r0 the answer

LDX_WORD, AND_K, RSH_K, MOV_K, MOV_X, JEQ_K, JNE_K, EXIT = 0x61, 0x54, 0x74, 0xB4, 0xBC, 0x16, 0x56, 0x95


def assemble(rules: list[dict[str, Any]]) -> bytes:
    """The program for OCI device rules: {"allow", "type": "a"|"b"|"c", "major", "minor" (None or -1: all), "access": "rwm"}."""
    code = [
        _instruction(LDX_WORD, ACCESS, 1, offset=0),
        _instruction(MOV_X, KIND, ACCESS),
        _instruction(AND_K, KIND, value=0xFFFF),
        _instruction(RSH_K, ACCESS, value=16),
        _instruction(LDX_WORD, MAJOR, 1, offset=4),
        _instruction(LDX_WORD, MINOR, 1, offset=8),
    ]
    for rule in reversed(rules):
        code += _rule(rule)
        if _is_about_everything(rule):
            break
    else:
        code += _answer(0)
    return b"".join(code)


def _rule(rule: dict[str, Any]) -> list[bytes]:
    """Tests that jump over the answer when one fails."""
    kind, major, minor = rule.get("type") or "a", rule.get("major"), rule.get("minor")
    tests: list[list[bytes]] = []
    if kind != "a":
        tests.append([_jump_unless(KIND, TYPES[kind])])
    if (access := _access(rule)) != 7:
        # Allowed, when nothing else is asked for; denied, when anything of it is.
        mask = ~access & 7 if rule["allow"] else access
        extract = [_instruction(MOV_X, SCRATCH, ACCESS), _instruction(AND_K, SCRATCH, value=mask)]
        tests.append([*extract, _jump_unless(SCRATCH, 0) if rule["allow"] else _instruction(JEQ_K, SCRATCH, value=0)])
    if kind != "a" and major not in (None, -1):
        tests.append([_jump_unless(MAJOR, int(major))])
    if kind != "a" and minor not in (None, -1):
        tests.append([_jump_unless(MINOR, int(minor))])
    answer = _answer(int(bool(rule["allow"])))
    return _linked([instruction for test in tests for instruction in test], answer)


def _linked(tests: list[bytes], answer: list[bytes]) -> list[bytes]:
    """Point every jump behind the answer."""
    linked = []
    for index, instruction in enumerate(tests):
        if instruction[0] in (JEQ_K, JNE_K):
            distance = len(tests) - index - 1 + len(answer)
            instruction = instruction[:2] + struct.pack("=h", distance) + instruction[4:]
        linked.append(instruction)
    return linked + answer


def _access(rule: dict[str, Any]) -> int:
    return sum(ACCESSES[letter] for letter in set(rule.get("access") or "rwm"))


def _is_about_everything(rule: dict[str, Any]) -> bool:
    return (rule.get("type") or "a") == "a" and _access(rule) == 7


def _jump_unless(register: int, value: int) -> bytes:
    return _instruction(JNE_K, register, value=value)


def _answer(value: int) -> list[bytes]:
    return [_instruction(MOV_K, 0, value=value), _instruction(EXIT)]


def _instruction(code: int, destination: int = 0, source: int = 0, *, offset: int = 0, value: int = 0) -> bytes:
    registers = source << 4 | destination if sys.byteorder == "little" else destination << 4 | source
    return struct.pack("=BBhi", code, registers, offset, value)
