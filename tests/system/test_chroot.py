"""An engine in a chroot: its containers' namespaces have the containers' roots, not the host's, whoever joins them."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from pyke.testing.engine import TestEngine


def test_an_exec_in_a_container_of_a_chroot_is_in_the_container(engine: TestEngine, tmp_path: Path) -> None:
    engine.load_busybox()
    engine.stop()
    inside = tmp_path / "inside"
    inside.mkdir()
    marked = "echo marked >/mark"
    commands = (
        f"mount --rbind / {inside}",
        f"exec chroot {inside} sh -ec {shlex.quote(_in_chroot(engine, marked))}",
    )
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "slave", "sh", "-ec", "; ".join(commands)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=engine.environment,
    )
    assert (done.returncode, done.stdout) == (0, "marked\nA /mark\nmarked\n"), done.stderr


def _in_chroot(engine: TestEngine, script: str) -> str:
    run, execute, differences, copy = (
        shlex.join(engine.argv(*words))
        for words in (
            ("run", "-d", "--name", "marked", "busybox", "sh", "-c", f"{script}; sleep 1000"),
            ("exec", "marked", "cat", "/mark"),
            ("diff", "marked"),
            ("cp", "marked:/mark", "-"),
        )
    )
    return f"{run} >/dev/null; sleep 0.3; {execute}; {differences} | grep mark; {copy} | tar -xO"
