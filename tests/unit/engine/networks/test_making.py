"""Networks are made: of one driver one at a time, and nobody waits for another driver."""

from __future__ import annotations

import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyke.engine.engine import Engine
from pyke.errors import NameInUse
from pyke.model import Caller, Network
from pyke.paths import Layout

ROOT = Caller(0, 0, 0)
PLUGIN = """
import os, time
from pyke.api import *
from pyke.api import hookimpl

class Swift(NetworkDriver):
    def validate(self, network): pass
    def create(self, network, taken):
        subnet = next(each for each in ("10.71.0.0/16", "10.72.0.0/16") if each not in taken)
        return replace(network, subnets=(Subnet(subnet, subnet.replace("0.0/16", "0.1")),))
    def remove(self, network): pass
    def attach(self, network, endpoint, namespace): return endpoint
    def detach(self, network, endpoint, namespace): pass

class Slow(Swift):
    def create(self, network, taken):
        open(os.path.join(network.options["place"], "begun"), "w").close()
        while not os.path.exists(os.path.join(network.options["place"], "go")):
            time.sleep(0.005)
        return super().create(network, taken)

@hookimpl
def pyke_network_drivers():
    yield Driver("swift", "pyke_making:Swift")
    yield Driver("slow", "pyke_making:Slow")
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine with two more network drivers: one is swift, the other waits in `create` for a file `go`."""
    (tmp_path / "pyke_making.py").write_text(textwrap.dedent(PLUGIN))
    metadata = tmp_path / "pyke_making-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: pyke-making\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[pyke]\nmaking = pyke_making\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    engine = Engine(Layout(str(tmp_path / "root")))
    yield engine
    engine.networks.close()
    engine.plugins.close()
    engine.state.close()
    sys.modules.pop("pyke_making", None)


def making(engine: Engine, network: Network) -> threading.Thread:
    thread = threading.Thread(target=engine.networks.create, args=(network,), kwargs={"caller": ROOT})
    thread.start()
    return thread


def test_a_driver_that_hangs_holds_nobody_else(engine: Engine, tmp_path: Path) -> None:
    slow = making(engine, Network("", "late", "slow", options={"place": str(tmp_path)}))
    while not (tmp_path / "begun").exists():
        slow.join(0.005)
    made = engine.networks.create(Network("", "early", "swift"), caller=ROOT)
    with pytest.raises(NameInUse):
        engine.networks.create(Network("", "late", "swift"), caller=ROOT)
    assert slow.is_alive() and [network.name for network in engine.networks.all()] == ["early"]
    (tmp_path / "go").touch()
    slow.join()
    assert made.subnets[0].subnet == "10.71.0.0/16"


def test_two_drivers_that_settle_on_one_subnet_do_not_both_have_it(engine: Engine, tmp_path: Path) -> None:
    """What was free when a driver was asked, and is not when it answers, is looked for again."""
    slow = making(engine, Network("", "late", "slow", options={"place": str(tmp_path)}))
    while not (tmp_path / "begun").exists():
        slow.join(0.005)
    engine.networks.create(Network("", "early", "swift"), caller=ROOT)
    (tmp_path / "go").touch()
    slow.join()
    subnets = {network.name: network.subnets[0].subnet for network in engine.networks.all()}
    assert subnets == {"early": "10.71.0.0/16", "late": "10.72.0.0/16"}
