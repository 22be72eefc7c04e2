"""Links of old: what a container on the default network learns of another."""

from __future__ import annotations

from pyke.testing.engine import TestEngine

ENVIRONMENT = """
AL_X_PORT=udp://{0}:53
AL_X_PORT_90_TCP_START=tcp://{0}:90
AL_X_PORT_90_TCP_PORT_START=90
AL_X_PORT_90_TCP_END=tcp://{0}:91
AL_X_PORT_90_TCP_PORT_END=91
AL_X_PORT_53_UDP=udp://{0}:53
AL_X_PORT_53_UDP_ADDR={0}
AL_X_PORT_90_TCP=tcp://{0}:90
AL_X_PORT_90_TCP_ADDR={0}
AL_X_PORT_90_TCP_PORT=90
AL_X_PORT_90_TCP_PROTO=tcp
AL_X_PORT_91_TCP=tcp://{0}:91
AL_X_ENV_FOO=bar
"""


def test_a_link_lives_until_it_is_removed(shared: TestEngine) -> None:
    ports = ("--expose", "90-91", "--expose", "53/udp")
    shared.ok("run", "-d", "--name", "store", *ports, "-e", "FOO=bar", "-e", "HOME=/elsewhere", "busybox", "sleep", "1000")
    address = shared.ok("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "store")
    shared.ok("run", "-d", "--init", "--name", "web", "--link", "store:al-x", "-e", "AL_X_NAME=mine", "busybox", "sleep", "1000")

    told = shared.ok("exec", "web", "env").splitlines()
    assert set(ENVIRONMENT.format(address).split()) <= set(told)
    assert "AL_X_NAME=mine" in told and not any(line.startswith("AL_X_ENV_HOME") for line in told)

    shared.ok("rename", "store", "depot")
    assert shared.ok("inspect", "-f", "{{json .HostConfig.Links}}", "web") == '["/depot:/web/al-x"]'
    assert shared.ok("ps", "--no-trunc", "--format", "{{.Names}}").splitlines() == ["web", "depot,web/al-x"]
    assert shared.ok("ps", "--format", "{{.Names}}").splitlines() == ["web", "depot"]

    shared.ok("stop", "-t", "0", "depot")
    refused = shared.pyke("restart", "-t", "0", "web")
    assert refused.status == 1 and "Cannot link to a non running container: /depot AS /web/al-x" in refused.stderr
    assert "hint: pyke start depot" in refused.stderr
    for wrong in ("web", "web/nosuch", "nosuch/al-x"):
        assert shared.pyke("rm", "--link", wrong).status == 1
    assert shared.ok("rm", "--link", "web/al-x") == "web/al-x"
    shared.ok("start", "web")
    assert not any(line.startswith("AL_X_PORT") for line in shared.ok("exec", "web", "env").splitlines())
    assert "al-x" not in shared.ok("exec", "web", "cat", "/etc/hosts")
