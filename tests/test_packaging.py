"""The units for systemd, as systemd reads them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pyke.paths import Layout

UNITS = Path(__file__).parents[1] / "packaging" / "systemd"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_finds_no_fault_with_the_units(tmp_path: Path) -> None:
    """The program of this installation stands in for the installed one, which systemd wants to be there."""
    program = str(Path(sys.executable).parent / "pyke")
    for unit in ("pyke.service", "pyke.socket"):
        (tmp_path / unit).write_text((UNITS / unit).read_text().replace("/usr/local/bin/pyke", program))
    done = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / "pyke.service", tmp_path / "pyke.socket"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if "pyke" in line]) == (0, [])


def test_the_socket_is_the_engine_s() -> None:
    assert f"ListenStream={Layout('/var/lib/pyke').socket}\n" in (UNITS / "pyke.socket").read_text()


def test_containers_outlive_a_stop_of_the_service() -> None:
    assert "KillMode=process\n" in (UNITS / "pyke.service").read_text()
