"""Fixtures of all tests: a real engine for system tests, and the check that nothing is left behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from pyke.testing import leaks
from pyke.testing.engine import TestEngine

NEEDING_ROOT = ("system", "hostile")  # the folders whose tests act on the kernel
PR_SET_CHILD_SUBREAPER = 36

# How long an example takes says something of the machine, which may have other work, and nothing of what is tested.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_configure(config: pytest.Config) -> None:
    """Orphans of tests become children of pytest, so that a daemon which a test leaves is seen; and nothing depends on who started it: a
    shell has its background jobs ignore signals, which all that they start inherits."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def leaves_nothing_behind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A system test fails when mounts, interfaces, namespaces, tables, cgroups or processes are there that were not before.

    With PYKE_TEST_SHARED=1 (others run engines on this machine) only what carries the test's own names counts.
    """
    folder = request.path.relative_to(request.config.rootpath).parts[1:2]
    if not folder or folder[0] not in NEEDING_ROOT:
        yield
        return
    if os.geteuid() != 0:
        pytest.fail("this test acts on the kernel and needs root: run it as root, or leave tests/system and tests/hostile out")
    before = leaks.snapshot()
    yield
    _reap_orphans()
    own = str(tmp_path_factory.getbasetemp())
    marks = (own,) if os.environ.get("PYKE_TEST_SHARED") else (own, "pyke")
    left = leaks.left_behind(before, marks)
    assert not left, "left behind:\n  " + "\n  ".join(left)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[TestEngine]:
    """A real engine with a root of its own and nothing in it, started by its first command."""
    with TestEngine(tmp_path / "root") as engine:
        yield engine


@pytest.fixture
def busybox(engine: TestEngine) -> TestEngine:
    """The same, with the image `busybox:latest` loaded."""
    engine.load_busybox()
    return engine


@pytest.fixture(scope="module")
def module_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestEngine]:
    """One engine with busybox for all tests of a module, warm: its processes are there before the first test is looked at."""
    with TestEngine(tmp_path_factory.mktemp("shared") / "root") as engine:
        engine.load_busybox()
        engine.ok("network", "create", "warm")
        engine.ok("run", "--rm", "--network", "warm", "busybox", "true")
        engine.empty()
        yield engine


@pytest.fixture
def shared(module_engine: TestEngine) -> Iterator[TestEngine]:
    """The module's engine, from which everything but its image is removed after the test."""
    yield module_engine
    module_engine.empty()


def _reap_orphans() -> None:
    """Collect what was orphaned to this process and has ended; what still runs is found by the check."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
