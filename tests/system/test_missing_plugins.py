"""A host that has only some of the plugins: what is there works, and what is not is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pyke.testing.engine import TestEngine


@pytest.fixture
def without_bridge(tmp_path: Path) -> Iterator[TestEngine]:
    with TestEngine(tmp_path / "root", {"PYKE_DISABLE_PLUGINS": "network-bridge"}) as engine:
        engine.load_busybox()
        yield engine


def test_containers_run_without_the_bridge_driver(without_bridge: TestEngine) -> None:
    assert without_bridge.ok("run", "--rm", "--network", "none", "busybox", "echo", "hello") == "hello"


def test_the_missing_driver_is_named_where_it_is_needed(without_bridge: TestEngine) -> None:
    refused = without_bridge.pyke("run", "--rm", "busybox", "true")
    assert refused.status == 125
    assert "bridge" in refused.stderr and "PYKE_DISABLE_PLUGINS" in refused.stderr
    assert without_bridge.ok("ps", "-aq") == ""


def test_an_unknown_driver_is_not_guessed(busybox: TestEngine) -> None:
    refused = busybox.pyke("network", "create", "--driver", "brigde", "testnet")
    assert refused.status != 0
    assert "no network driver 'brigde' is installed" in refused.stderr
    assert "pip install" not in refused.stderr


def test_without_any_plugin_the_engine_answers(tmp_path: Path) -> None:
    with TestEngine(tmp_path / "root", {"PYKE_DISABLE_PLUGINS": "*"}) as engine:
        assert engine.pyke("ps").status == 0
        assert engine.pyke("images").status == 0
        listed = engine.ok("plugin", "ls").splitlines()[1:]
        assert listed and not any(line.endswith(" ok") for line in listed)
        refused = engine.pyke("create", "busybox")
        assert refused.status != 0 and refused.stderr.startswith(("pyke: ", "Unable to find image"))


def test_settings_that_cannot_be_used_are_an_error_of_one_line(tmp_path: Path) -> None:
    with TestEngine(tmp_path / "root") as engine:
        (tmp_path / "root").mkdir()
        (tmp_path / "root" / "config.yaml").write_text("idle_timeuot: 5\n")
        refused = engine.pyke("ps")
        assert refused.status != 0
        assert "idle_timeuot: did you mean idle_timeout?" in refused.stderr
        assert "Traceback" not in refused.stderr
