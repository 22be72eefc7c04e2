"""The documentation, held against the code: hooks, settings, commands, links and examples."""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from pyke import hookspecs
from pyke.drivers import Driver
from pyke.errors import PykeError
from pyke.model import Authorization, Caller, Container, ContainerSpec, Image, ImageConfig

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("plugins/*/*/README.md")])
HOOKS = [name for name in vars(hookspecs) if name.startswith("pyke_")]
PARTS = ("**Arguments.**", "**When it runs.**", "**When it fails.**", "**Example.**", "**Who uses it.**")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
PATHS = re.compile(r"(?<![\w/.-])(?:docs|tests|scripts|kernel|plugins)/[\w./-]+\w")

SPEC = ContainerSpec(image="busybox", labels={"team": "one"})
CONTAINER = Container(
    id="a" * 64,
    name="testbox",
    created=0,
    spec=SPEC,
    image_id="sha256:" + "b" * 64,
    image_name="busybox",
    image_config=ImageConfig(),
    argv=("true",),
    storage_driver="overlay",
    hostname="testbox",
)
SAMPLES: dict[str, Any] = {
    "spec": SPEC,
    "caller": Caller(1000, 1000, 1),
    "container": CONTAINER,
    "config": {"mounts": []},
    "signal": 15,
    "image": Image(id="sha256:" + "b" * 64, manifest="sha256:" + "c" * 64),
    "source": "load",
    "request": Authorization(Caller(1000, 1000, 1), "container.create", spec=SPEC),
}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def fences(text: str, language: str) -> list[str]:
    return [code for kind, code in FENCE.findall(text) if kind == language]


def hook_section(hook: str) -> str:
    page = (ROOT / "docs" / "hooks.md").read_text()
    found = re.search(rf"^## {hook}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, f"docs/hooks.md has no heading for {hook}"
    return found[1]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_described_in_all_its_parts(hook: str) -> None:
    section = hook_section(hook)
    signature = str(inspect.signature(getattr(hookspecs, hook))).replace("'", "")
    assert f"`{hook}{signature}`" in section
    positions = [section.index(part) for part in PARTS]
    assert positions == sorted(positions)
    arguments = section[positions[0] : positions[1]]
    assert re.findall(r"^- `(\w+)`:", arguments, re.MULTILINE) == list(inspect.signature(getattr(hookspecs, hook)).parameters)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hooks_example_runs(hook: str) -> None:
    (code,) = fences(hook_section(hook), "python")
    namespace: dict[str, Any] = {}
    exec(compile(code, f"docs/hooks.md: {hook}", "exec"), namespace)
    example: Callable[..., Any] = namespace[hook]
    assert hasattr(example, "pyke_impl"), "it lacks @hookimpl"
    try:
        result = example(**{argument: SAMPLES[argument] for argument in inspect.signature(example).parameters})
    except PykeError as error:
        assert error.hint
        return
    if isinstance(result, Iterable) and not isinstance(result, (dict, ContainerSpec)):
        assert all(isinstance(each, Driver) for each in result)


def test_no_hook_is_described_that_is_not_there() -> None:
    described = re.findall(r"^## (pyke_\w+)$", (ROOT / "docs" / "hooks.md").read_text(), re.MULTILINE)
    assert described == HOOKS


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_and_paths_lead_somewhere(document: Path) -> None:
    text = document.read_text()
    for target in LINK.findall(text):
        if "://" not in target and not target.startswith("mailto:"):
            assert (document.parent / target).exists(), target
    for target in PATHS.findall(FENCE.sub("", text)):
        if "FAMILY" not in target and "DRIVER" not in target and "NNNN" not in target:
            assert any(place.joinpath(target).exists() for place in (ROOT, document.parent, ROOT / "kernel" / "pyke")), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_python_in_documents_compiles_and_its_imports_exist(document: Path) -> None:
    for code in fences(document.read_text(), "python"):
        for node in ast.walk(ast.parse(code, name(document))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("pyke."):
                module = importlib.import_module(node.module)
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{node.module} has no {alias.name}"


def commands(document: Path) -> list[list[str]]:
    """The pyke command lines in a document's shell examples, in words."""
    blocks = itertools.chain(fences(document.read_text(), "sh"), fences(document.read_text(), "console"))
    lines = (line.removeprefix("$ ").removeprefix("# ").strip() for block in blocks for line in block.splitlines())
    return [line.split() for line in lines if line.startswith("pyke ")]


@pytest.mark.parametrize("document", [ROOT / "README.md", ROOT / "HACKING.md"], ids=name)
def test_commands_exist(document: Path) -> None:
    from pyke.cli.commands import ALIASES, GROUPS, HOMES

    known = {each.split()[0] for each in (*HOMES, *ALIASES, *GROUPS)}
    for words in commands(document):
        command = next(word for word in words[1:] if not word.startswith("-"))
        assert command in known, " ".join(words)
