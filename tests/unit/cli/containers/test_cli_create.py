"""What `run` and `create` ask of the engine."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke.cli.containers import create_spec, mounts, ports
from pyke.cli.containers.run import RUN, start_failure
from pyke.cli.flags import parse, split_csv
from pyke.errors import PykeError


def request(*words: str) -> Any:
    return create_spec.request(parse(RUN, [*words, "busybox"]))


def test_without_flags_the_output_is_attached_and_the_image_decides_the_rest() -> None:
    body = request()
    assert body["Image"] == "busybox"
    assert (body["Cmd"], body["Entrypoint"], body["WorkingDir"], body["User"]) == (None, None, "", "")
    assert (body["AttachStdin"], body["AttachStdout"], body["AttachStderr"]) == (False, True, True)
    assert body["HostConfig"]["NetworkMode"] == "default"
    assert body["NetworkingConfig"] == {"EndpointsConfig": {}}


def test_an_empty_entrypoint_clears_the_images() -> None:
    assert request("--entrypoint", "")["Entrypoint"] == [""]


def test_stdin_closes_with_the_client_only_where_it_is_attached() -> None:
    assert request("-i")["StdinOnce"] is True
    assert create_spec.request(parse(RUN, ["-di", "busybox"]), detached=True)["StdinOnce"] is False


def test_limits_become_numbers() -> None:
    config = request("-m", "64m", "--cpus", "0.5", "--pids-limit", "20", "--memory-swap", "-1", "--ulimit", "nofile=100:200")["HostConfig"]
    assert (config["Memory"], config["NanoCpus"], config["PidsLimit"], config["MemorySwap"]) == (64 << 20, 500_000_000, 20, -1)
    assert config["Ulimits"] == [{"Name": "nofile", "Soft": 100, "Hard": 200}]


def test_a_bare_variable_takes_our_value(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HERE", "1")
    monkeypatch.delenv("NOT_HERE", raising=False)
    file = tmp_path / "env"
    file.write_text("# comment\n\nX=1\nHERE\nNOT_HERE\nY=a b\n")
    body = request("--env-file", str(file), "-e", "HERE", "-e", "NOT_HERE", "-e", "X=2")
    assert body["Env"] == ["X=1", "HERE=1", "Y=a b", "HERE=1", "NOT_HERE", "X=2"]


def test_networks_have_endpoints_with_names_and_addresses() -> None:
    body = request("--network", "name=one,alias=a,ip=10.0.0.2", "--network", "two", "--network-alias", "b")
    assert body["HostConfig"]["NetworkMode"] == "one"
    assert body["NetworkingConfig"]["EndpointsConfig"] == {
        "one": {"Aliases": ["a", "b"], "IPAMConfig": {"IPv4Address": "10.0.0.2"}},
        "two": {},
    }


def test_another_containers_network_has_no_endpoint_of_ours() -> None:
    body = request("--network", "container:web")
    assert body["HostConfig"]["NetworkMode"] == "container:web"
    assert body["NetworkingConfig"]["EndpointsConfig"] == {}


def test_health_checks_are_in_nanoseconds() -> None:
    health = request("--health-cmd", "true", "--health-interval", "500ms", "--health-retries", "2")["Healthcheck"]
    assert health["Test"] == ["CMD-SHELL", "true"]
    assert (health["Interval"], health["Retries"]) == (500_000_000, 2)
    assert request("--no-healthcheck")["Healthcheck"] == {"Test": ["NONE"]}


def test_a_seccomp_profile_is_read_here(tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text('{ "defaultAction" : "SCMP_ACT_ALLOW" }')
    config = request("--security-opt", f"seccomp={profile}", "--security-opt", "no-new-privileges")["HostConfig"]
    assert config["SecurityOpt"] == ['seccomp={"defaultAction":"SCMP_ACT_ALLOW"}', "no-new-privileges"]


def test_capabilities_get_their_full_names_and_to_add_one_wins() -> None:
    config = request("--cap-add", "sys_time", "--cap-add", "CAP_NET_ADMIN", "--cap-drop", "Chown", "--cap-drop", "SYS_TIME")["HostConfig"]
    assert (config["CapAdd"], config["CapDrop"]) == (["CAP_NET_ADMIN", "CAP_SYS_TIME"], ["CAP_CHOWN"])
    config = request("--cap-add", "chown", "--cap-add", "all")["HostConfig"]
    assert (config["CapAdd"], config["CapDrop"]) == (["ALL"], None)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rm", "--restart", "always"], "conflicting options: cannot specify both --restart and --rm"),
        (["--restart", "on-failure:x"], "invalid restart policy format: maximum retry count must be an integer"),
        (["--pid", "bogus"], "--pid: invalid PID mode"),
        (["--uts", "bogus"], "--uts: invalid UTS mode"),
        (["--userns", "bogus"], "--userns: invalid USER mode"),
        (["--mac-address", "zz"], "zz is not a valid mac address"),
        (["--health-retries", "-1", "--health-cmd", "x"], "--health-retries cannot be negative"),
        (["--security-opt", "bogus"], 'Invalid --security-opt: "bogus"'),
        (["--security-opt", "seccomp=/nosuch"], "opening seccomp profile (/nosuch) failed: open /nosuch: no such file or directory"),
        (["-v", ":/x"], "invalid spec: :/x: empty section between colons"),
        (["-p", "99999:80"], "invalid hostPort: 99999"),
        (["-p", "abc"], "invalid containerPort: abc"),
        (["-p", "80:80:80:80"], "invalid IP address: 80:80"),
        (["-p", "1.2.3.4:80"], "invalid hostPort: 1.2.3.4"),
        (["-p", "80/x"], "invalid proto: x"),
    ],
)
def test_contradictions_are_refused_in_dockers_words(words: list[str], message: str) -> None:
    with pytest.raises(PykeError) as caught:
        request(*words)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("text", "bindings"),
    [
        ("80", {"80/tcp": [{"HostIp": "", "HostPort": ""}]}),
        ("8080:80/udp", {"80/udp": [{"HostIp": "", "HostPort": "8080"}]}),
        ("127.0.0.1::80", {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}),
        ("[::1]:8080:80", {"80/tcp": [{"HostIp": "::1", "HostPort": "8080"}]}),
        ("80-90:80", {"80/tcp": [{"HostIp": "", "HostPort": "80-90"}]}),
        ("81-82:91-92", {"91/tcp": [{"HostIp": "", "HostPort": "81"}], "92/tcp": [{"HostIp": "", "HostPort": "82"}]}),
        ("target=80,published=8080,protocol=udp", {"80/udp": [{"HostIp": "", "HostPort": "8080"}]}),
    ],
)
def test_published_ports(text: str, bindings: object) -> None:
    assert ports.parse_published([text]) == bindings


@given(st.text())
def test_any_port_string_is_read_or_refused(text: str) -> None:
    try:
        bindings = ports.parse_published([text])
    except PykeError:
        return
    assert all(0 <= int(port.partition("/")[0]) <= 65535 for port in bindings)


@given(st.text())
def test_any_mount_string_is_read_or_refused(text: str) -> None:
    try:
        mount = mounts.parse_mount(text)
    except ValueError:
        return
    assert mount["Target"]


def test_mounts_have_options_of_their_kind(tmp_path: Path) -> None:
    assert mounts.parse_mount("type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1777") == {
        "Type": "tmpfs",
        "Source": "",
        "Target": "/t",
        "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o1777},
    }
    driver = {"Name": "sshfs", "Options": {"o": "a,b"}}
    mount = mounts.parse_mount('src=v,target=/d,ro,volume-driver=sshfs,"volume-opt=o=a,b"')
    assert mount["ReadOnly"] is True
    assert mount["VolumeOptions"] == {"DriverConfig": driver}
    with pytest.raises(ValueError, match="cannot mix 'tmpfs-\\*' options with mount type 'volume'"):
        mounts.parse_mount("dst=/t,tmpfs-size=1m")


def test_volumes_are_binds_or_anonymous() -> None:
    assert mounts.parse_volumes(["/anon", "v:/data:ro"]) == (["v:/data:ro"], {"/anon": {}})
    assert mounts.parse_volumes(["./x:/y"])[0] == [f"{Path.cwd()}/x:/y"]


@given(st.lists(st.text(st.characters(exclude_characters='"\r\n')), min_size=1))
def test_quoted_fields_survive_commas(fields: list[str]) -> None:
    assert split_csv(",".join(f'"{field}"' for field in fields)) == fields


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ('exec: "nosuch": executable file not found in $PATH: unknown', 127),
        ("stat /nosuch: no such file or directory: unknown", 127),
        ('exec: "/etc": permission denied', 126),
        ("network nosuch not found", 125),
    ],
)
def test_a_start_that_fails_has_the_status_of_a_shell(message: str, status: int) -> None:
    assert start_failure(message) == status
