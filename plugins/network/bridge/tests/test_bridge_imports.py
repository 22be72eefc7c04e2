"""What the driver imports: no more of pyroute2 than it needs, and nobody else who needs the rest notices."""

from __future__ import annotations

import subprocess
import sys

SPARING = """
import sys
from pyke_network_bridge.netlink import Netlink
with Netlink() as netlink:
    assert any(link.name == "lo" for link in netlink.links()) and netlink.routed() is not None
needless = [name for name in ("pyroute2.ndb", "pyroute2.plan9", "pyroute2.ipset", "pyroute2.netlink.nl80211") if name in sys.modules]
assert not needless, needless
"""
COMPLETE = """
import pyroute2
from pyroute2 import NDB, IPRoute
import pyke_network_bridge.netlink
assert pyroute2.netns.setns is pyke_network_bridge.netlink.setns and IPRoute is pyke_network_bridge.netlink.IPRoute
assert pyroute2.__version__ and not hasattr(pyroute2, "nosuch")
"""


def run(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


def test_only_what_is_needed_of_pyroute2_is_imported() -> None:
    run(SPARING)


def test_whoever_wants_all_of_pyroute2_afterwards_has_it() -> None:
    run(SPARING + COMPLETE)


def test_all_of_pyroute2_may_be_there_before() -> None:
    run(COMPLETE)
