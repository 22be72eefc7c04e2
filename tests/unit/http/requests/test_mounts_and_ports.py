from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke.errors import InvalidRequest
from pyke.http.fields import Fields
from pyke.http.requests.mounts import all_mounts, parse_bind
from pyke.http.requests.ports import exposed_ports, port_bindings
from pyke.model import MountSpec


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/a:/b", MountSpec("bind", "/b", "/a", create_source=True)),
        ("/a/../c/:/b/./d/", MountSpec("bind", "/b/d", "/c", create_source=True)),
        ("/a:/b:ro", MountSpec("bind", "/b", "/a", True, create_source=True)),
        ("/a:/b:ro,Z", MountSpec("bind", "/b", "/a", True, {"relabel": "Z"}, create_source=True)),
        ("name:/b:rw", MountSpec("volume", "/b", "name")),
        ("/only", MountSpec("volume", "/only")),
        ("/a:/b:cached", MountSpec("bind", "/b", "/a", create_source=True)),
        ("/a://b", MountSpec("bind", "/b", "/a", create_source=True)),
    ],
)
def test_binds(text: str, found: MountSpec) -> None:
    assert parse_bind(text) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:b:c:d", "invalid volume specification: 'a:b:c:d'"),
        ("", "invalid volume specification: ''"),
        (":/b", "invalid volume specification: ':/b'"),
        ("/a:", "invalid volume specification: '/a:'"),
        ("/a:b", "invalid volume specification: '/a:b': invalid mount config for type \"bind\": "
                 "invalid mount path: 'b' mount path must be absolute"),
        ("/:/:ro", "invalid volume specification: '/:/:ro': invalid mount config for type \"bind\": "
                   "invalid specification: destination can't be '/'"),
        ("/a:/../..", "invalid volume specification: '/a:/../..': invalid mount config for type \"bind\": "
                      "invalid specification: destination can't be '/'"),
        ("/a:/b:bogus", "invalid mode: bogus"),
        ("/a:/b:ro,rw", "invalid mode: ro,rw"),
        ("/a:/b:nocopy", "invalid mode: nocopy"),
        ("name:/b:rshared", "invalid mode: rshared"),
        ("x:/b", "volume name is too short, names should be at least two alphanumeric characters"),
    ],
)  # fmt: skip
def test_binds_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_bind(text)
    assert caught.value.message == message


def test_a_relative_source_is_a_volume_name_and_a_bad_one() -> None:
    with pytest.raises(InvalidRequest, match='"rel/path" includes invalid characters for a local volume name'):
        parse_bind("rel/path:/w")


@pytest.mark.parametrize(
    ("mount", "message"),
    [
        ({"Type": "bogus", "Target": "/t"}, 'invalid mount config for type "bogus": mount type unknown'),
        ({"Type": "volume"}, 'invalid mount config for type "volume": field Target must not be empty'),
        ({"Type": "bind", "Target": "/t"}, 'invalid mount config for type "bind": field Source must not be empty'),
        ({"Type": "tmpfs", "Target": "/t", "Source": "/x"}, 'invalid mount config for type "tmpfs": field Source must not be specified'),
        (
            {"Type": "bind", "Source": "/a", "Target": "/t", "VolumeOptions": {}},
            'invalid mount config for type "bind": field VolumeOptions must not be specified',
        ),
        (
            {"Type": "volume", "Source": "vv", "Target": "/t", "VolumeOptions": {"Subpath": "../etc"}},
            "invalid mount config for type \"volume\": subpath '../etc' must be a relative path within the volume",
        ),
    ],
)
def test_mounts_that_are_refused(mount: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        all_mounts(Fields({"Mounts": [mount]}))
    assert caught.value.message == message


def test_two_mounts_at_one_target_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="Duplicate mount point: /b"):
        all_mounts(Fields({"Binds": ["/a:/b", "/c:/b/"]}))


def test_mount_options_are_taken_over() -> None:
    bind, volume, tmpfs = all_mounts(
        Fields(
            {
                "Mounts": [
                    {"Type": "bind", "Source": "/a", "Target": "/1", "ReadOnly": True, "BindOptions": {"Propagation": "shared"}},
                    {
                        "Type": "volume",
                        "Target": "/2",
                        "VolumeOptions": {"NoCopy": True, "Labels": {"a": "b"}, "DriverConfig": {"Name": "sshfs", "Options": {"o": "p"}}},
                    },
                    {"Type": "tmpfs", "Target": "/3", "TmpfsOptions": {"SizeBytes": 1048576, "Mode": 0o1777}},
                ]
            }
        )
    )
    assert bind == MountSpec("bind", "/1", "/a", True, {"propagation": "shared"})
    assert volume == MountSpec("volume", "/2", "", False, {"nocopy": "true"}, "sshfs", {"o": "p"}, {"a": "b"})
    assert tmpfs == MountSpec("tmpfs", "/3", options={"tmpfs-size": "1048576", "tmpfs-mode": "1777"})


@pytest.mark.parametrize("text", ["size=1x", "mode=99", "bogus", "uid=1;x", "size=", "noexec=1"])
def test_tmpfs_options_that_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="invalid tmpfs option"):
        all_mounts(Fields({"Tmpfs": {"/t": text}}))


@given(st.text(alphabet="/ab.:,ro-Z\n", max_size=20))
def test_any_bind_is_absolute_and_below_the_root_or_refused(text: str) -> None:
    try:
        found = parse_bind(text)
    except InvalidRequest:
        return
    assert found.target.startswith("/")
    assert found.target != "/"
    assert ".." not in found.target.split("/")
    assert found.kind == ("bind" if found.source.startswith("/") else "volume")


@pytest.mark.parametrize("key", ["0/tcp", "65536/tcp", "abc", "80/icmp", "", "80-90/tcp", "-1", "80/tcp/udp"])
def test_port_keys_that_are_refused(key: str) -> None:
    with pytest.raises(InvalidRequest):
        port_bindings(Fields({"PortBindings": {key: [{"HostPort": "1"}]}}))


@pytest.mark.parametrize("binding", [{"HostPort": "99999"}, {"HostPort": "a"}, {"HostPort": "9-8"}, {"HostIp": "1.2.3"}, {"HostPort": 80}])
def test_bindings_that_are_refused(binding: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        port_bindings(Fields({"PortBindings": {"80/tcp": [binding]}}))


@given(st.integers(1, 65535), st.sampled_from(["tcp", "udp", "sctp", ""]))
def test_any_port_is_exposed_once(port: int, protocol: str) -> None:
    key = f"{port}/{protocol}" if protocol else str(port)
    assert exposed_ports(Fields({"ExposedPorts": {key: {}, f"{port}/{protocol or 'tcp'}": {}}})) == (f"{port}/{protocol or 'tcp'}",)
