"""Whole commands: their output, their errors, their exit status, and what they import."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable

import pytest

from pyke.testing.memory import MemoryEngine
from pyke.testing.registry import Exchange, PlayRegistry

Pyke = Callable[..., subprocess.CompletedProcess[str]]

# json alone costs 9 ms, socket 10, re 7, argparse 11, http.client 38: a whole `ps` has 16
NOT_ON_THE_WAY = {
    *("argparse", "collections", "dataclasses", "enum", "http.client", "json", "logging", "pathlib", "re", "signal", "socket"),
    *("subprocess", "threading", "typing"),
}


def created(pyke: Pyke, *words: str) -> str:
    done = pyke("create", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_ps_lists_what_was_created(pyke: Pyke) -> None:
    identity = created(pyke, "--name", "one", "busybox", "sleep", "300")
    assert pyke("ps").stdout == "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n"
    lines = pyke("ps", "-a").stdout.splitlines()
    assert lines[1].startswith(f'{identity[:12]}   busybox   "sleep 300"   ')
    assert pyke("ps", "-aq", "--no-trunc").stdout == f"{identity}\n"
    assert pyke("ps", "-a", "--format", "{{.Names}} {{.State}}").stdout == "one created\n"


def test_aliases_do_the_same(pyke: Pyke) -> None:
    created(pyke, "--name", "one", "busybox", "true")
    for words in (("ps", "-aq"), ("container", "ls", "-aq"), ("container", "list", "-aq"), ("container", "ps", "-aq")):
        assert pyke(*words).stdout == pyke("ps", "-a", "-q").stdout


def test_the_life_of_a_container(pyke: Pyke) -> None:
    created(pyke, "--name", "one", "busybox", "sleep", "300")
    for words in (("start", "one"), ("pause", "one"), ("unpause", "one"), ("stop", "-t", "0", "one"), ("rm", "one")):
        done = pyke(*words)
        assert (done.returncode, done.stdout, done.stderr) == (0, "one\n", "")
    assert pyke("ps", "-aq").stdout == ""


def test_many_are_done_in_the_order_given_and_one_failure_fails_all(pyke: Pyke) -> None:
    for name in ("one", "two", "three"):
        created(pyke, "--name", name, "busybox", "true")
    done = pyke("rm", "three", "none", "one", "two")
    assert (done.returncode, done.stdout) == (1, "three\none\ntwo\n")
    assert done.stderr.startswith("pyke: No such container: none\n")


def test_removing_by_force_what_is_not_there_is_no_failure(pyke: Pyke) -> None:
    done = pyke("rm", "-f", "none")
    assert (done.returncode, done.stdout) == (0, "")
    assert "No such container: none" in done.stderr


def test_inspect_prints_json_templates_and_what_it_did_not_find(pyke: Pyke) -> None:
    created(pyke, "--name", "one", "-l", "a=b", "busybox", "true")
    assert pyke("inspect", "-f", "{{.Name}} {{.State.Status}} {{json .Config.Labels.a}}", "one").stdout == '/one created "b"\n'
    assert pyke("inspect", "one").stdout.startswith('[\n    {\n        "Id": "')
    missing = pyke("inspect", "nosuch")
    assert (missing.returncode, missing.stdout, missing.stderr) == (1, "[]\n", "pyke: No such object: nosuch\n")
    assert pyke("inspect", "-f", "{{.Id", "one").returncode == 64
    bogus = pyke("inspect", "-f", "{{.Bogus}}", "one")
    assert (bogus.returncode, bogus.stdout) == (1, "\n")
    assert 'template: :1:2: executing "" at <.Bogus>: map has no entry for key "Bogus"' in bogus.stderr


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["bogus"], 1, "pyke: unknown command: pyke bogus\n\nRun 'pyke --help' for more information\n"),
        (["container", "bogus"], 1, "pyke: unknown command: pyke container bogus\n"),
        (["run"], 1, "pyke: 'pyke run' requires at least 1 argument\n"),
        (["rename", "one"], 1, "pyke: 'pyke rename' requires 2 arguments\n"),
        (["ps", "extra"], 1, "pyke: 'pyke ps' accepts no arguments\n"),
        (
            ["run", "--bogus", "busybox"],
            125,
            "unknown flag: --bogus\n\nUsage:  pyke run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\nRun 'pyke run --help' for more information\n",
        ),
        (["ps", "--filter", "bogus"], 125, 'invalid argument "bogus" for "-f, --filter" flag: bad format of filter (expected '),
        (["run", "-it", "busybox"], 1, "pyke: the input device is not a TTY\n"),
        (["run", "-p", "abc", "busybox"], 125, "pyke: invalid containerPort: abc\n"),
        (["run", "--env-file", "nosuchfile", "busybox"], 125, "pyke: open nosuchfile: no such file or directory\n"),
        (["load", "-i", "nosuch.tar"], 1, "pyke: open nosuch.tar: no such file or directory\n"),
        (["update", "one"], 1, "pyke: you must provide one or more flags when using this command\n"),
        (["logs", "none"], 1, "pyke: No such container: none\n"),
        (["ps", "--format", "{{.Bogus}}"], 1, ""),
    ],
)
def test_what_goes_wrong_is_said_in_a_line_and_by_the_exit_status(pyke: Pyke, words: list[str], status: int, message: str) -> None:
    if "--format" in words:
        created(pyke, "busybox", "true")
        words = [*words, "-a"]
        message = 'pyke: failed to execute template: template: :1:2: executing "" at <.Bogus>: can\'t evaluate field Bogus in type '
    done = pyke(*words)
    assert done.returncode == status
    assert done.stderr.startswith(message)
    assert "Traceback" not in done.stderr


def test_a_missing_image_is_looked_for_in_a_registry_unless_that_is_forbidden(pyke: Pyke) -> None:
    done = pyke("run", "none", "true")
    assert done.returncode == 125
    assert done.stderr.startswith("Unable to find image 'none:latest' locally\npyke: ")
    never = pyke("run", "--pull", "never", "none", "true")
    assert (never.returncode, "Unable to find" in never.stderr) == (125, False)


def test_what_a_container_prints_is_printed(pyke: Pyke) -> None:
    done = pyke("run", "--rm", "busybox", "echo", "-n", "--rm", "x")
    assert (done.returncode, done.stdout, done.stderr) == (0, "echo -n --rm x\n", "")
    assert pyke("run", "-t", "busybox", "echo", "x").stdout == "echo x\n"
    assert pyke("ps", "-aq").stdout.count("\n") == 1  # --rm left none


def test_exec_prints_what_its_command_prints(pyke: Pyke) -> None:
    created(pyke, "--name", "one", "busybox", "sleep", "300")
    stopped = pyke("exec", "one", "true")
    assert (stopped.returncode, stopped.stdout) == (1, "")
    assert stopped.stderr.startswith("pyke: Container ") and "is not running" in stopped.stderr
    pyke("start", "one")
    assert pyke("exec", "one", "echo", "-d", "x").stdout == "-d x\n"


def test_a_detached_run_prints_its_id(pyke: Pyke) -> None:
    done = pyke("run", "-d", "--name", "one", "busybox", "sleep", "300")
    assert done.stdout == pyke("inspect", "-f", "{{.Id}}", "one").stdout
    assert pyke("wait", "none").returncode == 1


def test_a_cidfile_is_written_once(pyke: Pyke, tmp_path: object) -> None:
    path = f"{tmp_path}/cid"
    identity = created(pyke, "--cidfile", path, "busybox", "true")
    with open(path) as file:
        assert file.read() == identity
    again = pyke("create", "--cidfile", path, "busybox", "true")
    assert again.returncode == 1
    assert "container ID file found, make sure the other container isn't running or delete" in again.stderr


def test_a_reader_that_leaves_ends_us_quietly(engine: MemoryEngine) -> None:
    command = [sys.executable, "-m", "pyke.cli.main", "--root", engine.layout.root, "ps", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_help_of_every_command_has_its_usage(pyke: Pyke) -> None:
    done = pyke("run", "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("Usage:  pyke run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\nCreate and run a new container from an image\n")
    assert "\n  -m, --memory bytes " in done.stdout
    assert pyke("network").stderr.startswith("Usage:  pyke network COMMAND\n")
    assert pyke("container", "list", "--help").stdout.startswith("Usage:  pyke container ls [OPTIONS]\n")


def test_help_is_asked_for_in_two_ways(pyke: Pyke) -> None:
    assert pyke("help").stdout == pyke("--help").stdout == pyke().stderr
    for name in ("run", "network", "network create"):
        assert pyke("help", *name.split()).stdout == pyke(*name.split(), "--help").stdout
    refused = pyke("help", "network", "bogus")
    assert (refused.returncode, refused.stderr) == (1, "unknown help topic: bogus\n")


def test_an_image_is_imported_from_a_url(pyke: Pyke) -> None:
    content = b"a root file system" * 100000

    def hang_up(exchange: Exchange) -> None:
        exchange.reply(200, content, length=len(content) + 1)
        exchange.cut()

    with PlayRegistry() as server:
        server.answer = lambda exchange: exchange.reply(200, content)
        done = pyke("import", f"{server.url}/root.tar", "mine:1")
        assert done.stdout == f"Downloading from {server.url}/root.tar\nsha256:{hashlib.sha256(content).hexdigest()}\n"
        server.answer = hang_up
        refused = pyke("import", f"{server.url}/root.tar", "mine:2")
    assert refused.returncode == 1
    assert "the server hung up 1 bytes before the end" in refused.stderr
    assert "hint: curl -fL http" in refused.stderr
    assert "mine:2" not in pyke("images", "--format", "{{.Repository}}:{{.Tag}}").stdout


@pytest.mark.parametrize(
    "words",
    [
        *(["ps"], ["ps", "-a"], ["logs", "one"], ["start", "one"], ["run", "-d", "busybox", "true"]),
        *(["run", "--rm", "busybox", "echo", "x"], ["exec", "one", "echo", "x"], ["exec", "-d", "one", "true"]),
    ],
)
def test_nothing_heavy_is_imported_on_the_way_of_a_frequent_command(pyke: Pyke, engine: MemoryEngine, words: list[str]) -> None:
    created(pyke, "--name", "one", "busybox", "sleep", "300")
    if words[0] == "exec":
        assert pyke("start", "one").returncode == 0
    code = f"from pyke.cli.main import main; status = main({['--root', engine.layout.root, *words]!r})"
    report = "import sys; print('MODULES', status, *sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", f"{_PATH}; {code}; {report}"], capture_output=True, text=True, timeout=60)
    _, _, listed = done.stdout.rpartition("MODULES ")
    status, *modules = listed.split()
    assert status == "0", done.stderr
    assert not NOT_ON_THE_WAY & set(modules)
    ours = {name for name in modules if name.startswith("pyke")}
    assert {name.split(".")[1] for name in ours if "." in name} <= {"cli", "errors", "paths"}
    assert {name.split(".")[0] for name in modules} <= {*sys.stdlib_module_names, "__main__", "pyke"}


_PATH = f"import sys; sys.path.insert(0, {str(__import__('pyke').__path__[0].removesuffix('/pyke'))!r})"
