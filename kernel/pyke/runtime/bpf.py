"""Classic BPF for seccomp(2): a small assembler with labels, and 64-bit comparisons made of the 32-bit ones that the machine has.

The filter looks at struct seccomp_data {int nr; u32 arch; u64 instruction_pointer; u64 args[6]}. Sources: include/uapi/linux/filter.h,
bpf_common.h and seccomp.h.
"""

from __future__ import annotations

import struct
import sys

LD_WORD = 0x20
ALU_AND = 0x54
JUMP = 0x05
JEQ, JGT, JGE = 0x15, 0x25, 0x35
RETURN = 0x06

NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16
LOW, HIGH = (0, 4) if sys.byteorder == "little" else (4, 0)
WORD = 0xFFFFFFFF


class Assembler:
    """Collects instructions; a conditional jump goes to a label, or falls through where that is ""."""

    def __init__(self) -> None:
        self._code: list[tuple[int, int, str, str]] = []
        self._labels: dict[str, int] = {}
        self._fresh = 0

    def label(self) -> str:
        """A new label, to be placed later."""
        self._fresh += 1
        return f"L{self._fresh}"

    def place(self, label: str) -> None:
        self._labels[label] = len(self._code)

    def load(self, offset: int) -> None:
        self._code.append((LD_WORD, offset, "", ""))

    def mask(self, bits: int) -> None:
        self._code.append((ALU_AND, bits, "", ""))

    def answer(self, action: int) -> None:
        self._code.append((RETURN, action, "", ""))

    def branch(self, code: int, value: int, yes: str = "", no: str = "") -> None:
        """Compare what was loaded with `value`."""
        self._code.append((code, value, yes, no))

    def far_branch(self, code: int, value: int, no: str) -> None:
        """Fall through if the comparison holds, else go to `no`, however far that is: conditional jumps reach 255 instructions."""
        self._code.append((code, value, "+1", ""))
        self._code.append((JUMP, 0, no, ""))

    def compare(self, argument: int, operation: str, value: int, other: int, fail: str, *, is_int: bool) -> None:
        """Fall through if argument number `argument` satisfies the SCMP_CMP_... `operation`, else go to `fail`.

        Of an argument that the kernel takes as an int it sees 32 bits, and so must the filter: the others may hold anything.
        """
        done = self.label()
        high = ARGUMENTS + 8 * argument + HIGH
        low = ARGUMENTS + 8 * argument + LOW
        if operation == "SCMP_CMP_MASKED_EQ":
            self._compare_masked((high, low), value, other, fail, is_int=is_int)
            return
        greater, equal, less = OPERATIONS[operation]
        if not is_int:
            self.load(high)
            if greater != less or greater != equal:
                self.branch(JGT, value >> 32, done if greater else fail)
                self.branch(JEQ, value >> 32, "", done if less else fail)
        self.load(low)
        self.branch(JGT, value & WORD, done if greater else fail)
        self.branch(JEQ, value & WORD, done if equal else fail, done if less else fail)
        self.place(done)

    def _compare_masked(self, offsets: tuple[int, int], mask: int, value: int, fail: str, *, is_int: bool) -> None:
        for offset, shift in zip(offsets, (32, 0), strict=True):
            if shift and is_int:
                continue
            self.load(offset)
            self.mask(mask >> shift & WORD)
            self.branch(JEQ, value >> shift & WORD, "", fail)

    def assemble(self) -> bytes:
        """An array of struct sock_filter. Raises ValueError for a program that is longer than the kernel takes."""
        if len(self._code) > 4096:
            raise ValueError(f"the filter has {len(self._code)} instructions, and the kernel takes 4096")
        return b"".join(self._instruction(place, *each) for place, each in enumerate(self._code))

    def _instruction(self, place: int, code: int, value: int, yes: str, no: str) -> bytes:
        if code == JUMP:
            return struct.pack("=HBBI", code, 0, 0, self._labels[yes] - place - 1)
        return struct.pack("=HBBI", code, self._distance(place, yes), self._distance(place, no), value)

    def _distance(self, place: int, label: str) -> int:
        if label == "+1":
            return 1
        return self._labels[label] - place - 1 if label else 0


#: operation: whether it holds for an argument that is greater, equal, less
OPERATIONS = {
    "SCMP_CMP_NE": (True, False, True),
    "SCMP_CMP_LT": (False, False, True),
    "SCMP_CMP_LE": (False, True, True),
    "SCMP_CMP_EQ": (False, True, False),
    "SCMP_CMP_GE": (True, True, False),
    "SCMP_CMP_GT": (True, False, False),
}
