"""Plugins that hang, leave, lie, shout or crash: what is theirs fails with their name, and the engine serves everything else."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from pyke.testing.engine import TestEngine
from pyke.testing.witness import Witness

HOOKS = """
    from pyke.api import Driver, hookimpl

    @hookimpl
    def pyke_network_drivers():
        for name in ("dawdles", "leaves", "lies", "shouts", "crashes"):
            yield Driver(name, "pyke_evil.driver:" + name.capitalize(), summary="evil")

    @hookimpl
    def pyke_container_started(container):
        raise SystemExit("leaving at a notification")
"""

DRIVERS = """
    import os, sys, time
    from pyke.api import NetworkDriver

    class Evil(NetworkDriver):
        def attach(self, network, endpoint, namespace):
            return endpoint
        def detach(self, network, endpoint, namespace):
            pass

    class Dawdles(Evil):
        def attach(self, network, endpoint, namespace):
            time.sleep(6)
            return endpoint

    class Leaves(Evil):
        def attach(self, network, endpoint, namespace):
            raise SystemExit("leaving")

    class Lies(Evil):
        def attach(self, network, endpoint, namespace):
            return "an endpoint"

    class Shouts(Evil):
        def attach(self, network, endpoint, namespace):
            for _ in range(200):
                print("x" * 1_000_000)
            return endpoint

    class Crashes(Evil):
        def attach(self, network, endpoint, namespace):
            raise RecursionError("\\x1b[31mdeep\\nnested")
"""

IMPORTS = {
    "exits": "raise SystemExit(7)",
    "interrupts": "raise KeyboardInterrupt",
    "breaks": "import nosuchmodule",
    "is_not_python": "def",
    "offers_endlessly": """
        from pyke.api import Driver, hookimpl
        @hookimpl
        def pyke_network_drivers():
            while True:
                yield Driver("x", "y:Z")
    """,
    "offers_nonsense": """
        from pyke.api import hookimpl
        @hookimpl
        def pyke_network_drivers():
            yield {"name": "../../x"}
    """,
}


def install(site: Path, name: str, **modules: str) -> Path:
    """An installed distribution, as pip would leave it."""
    package = site / f"pyke_{name}"
    package.mkdir(parents=True)
    for module, code in modules.items():
        (package / f"{module}.py").write_text(dedent(code))
    metadata = site / f"pyke_{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: pyke-{name.replace('_', '-')}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[pyke]\n{name} = pyke_{name}\n")
    return package


def environment_of_its_own(directory: Path) -> Path:
    """A Python that sees all that this one sees, and what is installed in its own site-packages: an engine heeds no PYTHONPATH."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True)
    site = next(directory.glob("lib/python*/site-packages"))
    shared = sysconfig.get_path("purelib")
    (site / "shared.pth").write_text(f"import site; site.addsitedir({shared!r})\n")
    return site


@pytest.fixture(scope="module")
def module_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestEngine]:
    """An engine that finds hostile plugins beside the official ones."""
    directory = tmp_path_factory.mktemp("plugins")
    directory.chmod(0o755)
    site = environment_of_its_own(directory)
    install(site, "evil", __init__=HOOKS, driver=DRIVERS)
    for name, code in IMPORTS.items():
        install(site, name, __init__=code)
    install(site, "writable", __init__="raise SystemExit('I was imported')").chmod(0o777)
    with TestEngine(tmp_path_factory.mktemp("shared") / "root") as engine:
        os.makedirs(engine.layout.root)
        with open(engine.layout.engine_log, "ab") as log:
            command = [str(directory / "bin" / "python"), "-I", "-m", "pyke.engine", "--root", engine.layout.root]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while not os.path.exists(engine.layout.socket):
            assert process.poll() is None, engine.log_tail()
            time.sleep(0.05)
        engine.load_busybox()
        engine.ok("network", "create", "warm")
        engine.ok("run", "--rm", "--network", "warm", "busybox", "true")
        engine.empty()
        yield engine
    process.wait(20)


def test_each_broken_plugin_is_listed_and_the_rest_work(siege: Witness) -> None:
    told = siege.engine.ok("plugin", "ls")
    for name in (*IMPORTS, "writable", "evil", "network-bridge"):
        assert name in told or name.replace("_", "-") in told, told
    assert "I was imported" not in told
    assert siege.engine.ok("run", "--rm", "busybox", "echo", "served") == "served"


FAILING = {"leaves": "SystemExit", "lies": "attach", "crashes": "RecursionError"}


@pytest.mark.parametrize("driver", FAILING)
def test_a_driver_that_fails_is_named_and_only_its_networks_suffer(siege: Witness, driver: str) -> None:
    engine = siege.engine
    engine.ok("network", "create", "-d", driver, "--subnet", "10.222.1.0/24", "theirs")
    done = engine.pyke("run", "--rm", "--network", "theirs", "busybox", "true")
    assert done.status == 125 and "pyke-evil" in done.stderr and FAILING[driver] in done.stderr, done.stderr
    assert engine.ok("run", "--rm", "busybox", "echo", "served") == "served"
    engine.ok("network", "rm", "theirs")


def test_a_driver_that_shouts_fills_neither_log_nor_memory(siege: Witness) -> None:
    engine = siege.engine
    engine.ok("network", "create", "-d", "shouts", "--subnet", "10.222.2.0/24", "loud")
    engine.pyke("run", "--rm", "--network", "loud", "busybox", "true")
    engine.ok("network", "rm", "loud")
    deadline = time.monotonic() + 12
    while Path(engine.layout.engine_log).stat().st_size > 20 << 20:
        assert time.monotonic() < deadline, "the log of the engine keeps growing"
        time.sleep(0.1)


def test_a_driver_that_takes_its_time_keeps_nobody_else_waiting(siege: Witness) -> None:
    engine = siege.engine
    engine.ok("network", "create", "-d", "dawdles", "--subnet", "10.222.3.0/24", "slow")
    waiting = engine.start("run", "--rm", "--name", "waiting", "--network", "slow", "busybox", "true")
    time.sleep(0.5)
    begin = time.monotonic()
    assert engine.ok("run", "--rm", "busybox", "echo", "served") == "served"
    assert "waiting" in engine.ok("ps", "-a", "--format", "{{.Names}}")
    engine.ok("inspect", "waiting")
    engine.ok("network", "ls")
    assert time.monotonic() - begin < 5
    assert waiting.wait(timeout=30) == 0
    waiting.communicate()
    engine.ok("network", "rm", "slow")
