"""Which kernel parameters a container may set."""

import pytest

from pyke.runtime import sysctl

OWN = frozenset(("network", "ipc", "uts"))


@pytest.mark.parametrize(
    "name", ["net.ipv4.ip_forward", "net/ipv4/conf/eth0.100/forwarding", "kernel.shmmax", "fs.mqueue.msg_max", "kernel/domainname"]
)
def test_what_a_namespace_keeps_apart_is_allowed_with_it_alone(name: str) -> None:
    assert sysctl.refusal(name, OWN) == ""
    assert "namespace" in sysctl.refusal(name, frozenset())


@pytest.mark.parametrize(
    "name", ["kernel.core_pattern", "vm.swappiness", "net", "net.", "net/../kernel/x", "kernel.shmmax/..", "fs.mqueue", "", "a\n.b"]
)
def test_everything_else_is_refused(name: str) -> None:
    assert sysctl.refusal(name, OWN)


def test_the_first_separator_decides() -> None:
    assert sysctl.parts("net/ipv4/conf/eth0.100/forwarding") == ["net", "ipv4", "conf", "eth0.100", "forwarding"]
    assert sysctl.parts("net.ipv4.conf.eth0/100.forwarding") == ["net", "ipv4", "conf", "eth0.100", "forwarding"]
