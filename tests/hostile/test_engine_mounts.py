"""Images and containers that lead the engine's mounts astray: links, volumes over the kernel's file systems, exchanged places."""

from __future__ import annotations

import os

import pytest

from pyke.testing import images
from pyke.testing.images import Node, symbolic_link
from pyke.testing.witness import TEXT, Witness, refused


@pytest.mark.parametrize("place", ["dev", "proc", "sys"])
def test_a_link_in_place_of_the_kernels_file_systems(siege: Witness, place: str) -> None:
    name = siege.image({place: symbolic_link(str(siege.directory))})
    refused(siege.engine.pyke("run", "--rm", name, "true"), 125, f"/{place}")


def test_links_in_etc_and_dev_end_inside(siege: Witness) -> None:
    """CVE-2025-31133, -52565: what the engine mounts in /etc and /dev, as links to the host."""
    host, canary = str(siege.directory), str(siege.canary)
    look = f"cat {canary}; cat /etc/hosts; echo x > /dev/null; echo x > /etc/hostname; cat /proc/keys; ls -A {host}"
    changes: list[dict[str, Node | bytes | None]] = [
        {"etc": symbolic_link(host)},
        {"etc/hosts": symbolic_link(canary), "etc/resolv.conf": symbolic_link(f"../../../../..{canary}")},
        {
            "dev/null": symbolic_link(canary),
            "dev/console": symbolic_link(canary),
            "dev/pts": symbolic_link(host),
            "dev/shm": symbolic_link(host),
        },
        {"etc/hostname": symbolic_link("/proc/self/exe")},
    ]
    for number, change in enumerate(changes):
        name = siege.image(change)
        done = siege.engine.pyke("run", "--rm", name, "sh", "-c", look)
        assert TEXT not in done.stdout and "Traceback" not in done.stderr, (number, done)
        siege.engine.ok("create", "-t", "--name", "terminal", name, "sh", "-c", look)
        siege.engine.pyke("start", "terminal")
        siege.engine.pyke("wait", "terminal")
        assert TEXT not in siege.engine.pyke("logs", "terminal").stdout
        siege.engine.ok("rm", "-f", "terminal")


PLACES_IN_PROC = ("/proc", "//x/../proc/.", "/proc/self")


@pytest.mark.parametrize("target", PLACES_IN_PROC)
def test_no_volume_takes_the_place_of_proc(siege: Witness, target: str) -> None:
    """CVE-2019-19921: a volume that holds a forged /proc, already prepared by another container."""
    engine = siege.engine
    forge = "mkdir -p /v/self/fd /v/self/attr /v/sys/net/ipv4; echo 1 > /v/sys/net/ipv4/ip_unprivileged_port_start; touch /v/self/exe"
    engine.ok("run", "--rm", "--network", "none", "-v", "forged:/v", "busybox", "sh", "-c", forge)
    refused(engine.pyke("run", "--rm", "-v", f"forged:{target}", "busybox", "true"), 125, "/proc")
    refused(engine.pyke("run", "--rm", "--tmpfs", target, "busybox", "true"), 125, "/proc")
    refused(engine.pyke("run", "--rm", siege.image(Volumes={os.path.normpath(target): {}}), "true"), 125, "/proc")


@pytest.mark.parametrize("target", ["/dev", "/sys", "/etc", "/"])
def test_a_volume_in_another_place_of_the_kernels_opens_nothing(siege: Witness, target: str) -> None:
    look = f"cat {siege.canary} /proc/keys /proc/timer_list; for f in sysrq-trigger sys/kernel/core_pattern; do echo b > /proc/$f; done"
    done = siege.engine.pyke("run", "--rm", "-v", f"v:{target}", "busybox", "sh", "-c", look)
    assert done.stdout == "" and "Traceback" not in done.stderr and "defect" not in done.stderr, done


SWAP = "mkdir -p /v/a; while :; do rm -rf /v/a; ln -s {target} /v/a; rm /v/a; mkdir /v/a; done"


@pytest.mark.parametrize("target", ["/", "/proc"])
def test_a_mounts_place_is_exchanged_by_another_container(siege: Witness, target: str) -> None:
    """CVE-2021-30465: one container makes links in a volume while another is being mounted there."""
    engine = siege.engine
    engine.ok("run", "-d", "--name", "swapper", "-v", "shared:/v", "busybox", "sh", "-c", SWAP.format(target=target))
    look = f"cat {siege.canary}; ls /v/a/"
    for _ in range(5):
        done = engine.pyke("run", "--rm", "--network", "none", "-v", "shared:/v", "-v", "other:/v/a/b", "busybox", "sh", "-c", look)
        assert TEXT not in done.stdout and "Traceback" not in done.stderr, done


def test_mount_targets_stay_inside(siege: Witness) -> None:
    """CVE-2022-23648 and its kin."""
    engine = siege.engine
    done = siege.load(images.docker_archive(["evil"], [images.layer(images.busybox_tree())], {"Volumes": {"/../../../etc": {}}}))
    refused(done, 1, "/../../../etc")
    before = sorted(os.listdir("/"))
    engine.pyke("run", "--rm", "-v", "v:/../../../../inside", "busybox", "touch", "/inside/file")
    engine.pyke("run", "--rm", "--tmpfs", "/../../../../inside", "busybox", "touch", "/inside/file")
    assert sorted(os.listdir("/")) == before
