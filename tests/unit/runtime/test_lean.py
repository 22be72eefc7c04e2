"""What init needs is imported by a lean Python, and quickly."""

import subprocess
import sys
from pathlib import Path

import pyke

HEAVY = {"dataclasses", "inspect", "logging", "pathlib", "subprocess", "threading", "traceback", "typing"}
PROGRAM = "import sys; sys.path[:0] = [sys.argv[1]]; before = set(sys.modules); import pyke.runtime.init; print(*set(sys.modules) - before)"


def test_init_imports_nothing_heavy() -> None:
    source = Path(pyke.__file__).parents[1]
    done = subprocess.run([sys.executable, "-I", "-S", "-c", PROGRAM, source], capture_output=True, text=True, check=True)
    assert "pyke.runtime.init" in done.stdout.split()
    assert HEAVY & set(done.stdout.split()) == set()
