"""The house as it is laid out: what lives where, what it is called, how long it is, and who may touch what."""

from __future__ import annotations

import ast
import functools
import re
import statistics
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KERNEL = ROOT / "kernel" / "pyke"
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/*/pyproject.toml"))
SOURCES = sorted([*KERNEL.rglob("*.py"), *(path for plugin in PLUGINS for path in plugin.glob("pyke_*/**/*.py"))])
TESTS = sorted([*ROOT.glob("tests/**/*.py"), *ROOT.glob("plugins/*/*/tests/**/*.py")])
MARKS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
MACHINE_PATHS = re.compile(r"(?<![\w/])/(?:work/|home/\w|root/\.)")

FILE_LIMIT, FUNCTION_LIMIT, USUAL_FUNCTION, MEDIAN_FUNCTION = 400, 60, 35, 12  # lines
NO_TESTS_OF_ITS_OWN = {"__init__", "__main__"}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, anywhere in it."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Every function of a file with its number of lines, its docstring not counted: a specification may be as long as it must."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0]
            documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
            docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
            yield node.name, (node.end_lineno or 0) - node.lineno + 1 - docstring


@pytest.mark.parametrize("plugin", PLUGINS, ids=name)
def test_a_plugin_is_spelt_by_the_rule(plugin: Path) -> None:
    """plugins/FAMILY/DRIVER = distribution pyke-FAMILY-DRIVER = package pyke_FAMILY_DRIVER = entry point FAMILY-DRIVER = driver DRIVER."""
    family, driver = plugin.parts[-2:]
    project = tomllib.loads((plugin / "pyproject.toml").read_text())["project"]
    package = f"pyke_{family}_{driver}"
    assert project["name"] == f"pyke-{family}-{driver}"
    assert project["entry-points"]["pyke"] == {f"{family}-{driver}": package}
    assert any(re.split(r"[^\w-]", each)[0] == "pyke" for each in project["dependencies"])
    assert (plugin / package / "__init__.py").is_file()
    assert f'"{driver}"' in (plugin / package / "__init__.py").read_text()
    assert project["license"] == "Apache-2.0" and project["requires-python"] == ">=3.11"


@pytest.mark.parametrize("plugin", PLUGINS, ids=name)
def test_a_plugin_has_what_its_users_and_authors_need(plugin: Path) -> None:
    assert len((plugin / "README.md").read_text().split()) > 15
    assert list(plugin.glob("tests/test_*.py"))


def test_the_model_room_is_small() -> None:
    """If the `none` driver needs more than 15 lines of code, the contract is too wide."""
    driver = ROOT / "plugins" / "network" / "none" / "pyke_network_none" / "driver.py"
    code = [line for line in driver.read_text().splitlines() if line.strip() and not line.strip().startswith(("#", '"""'))]
    assert len(code) <= 15


@pytest.mark.parametrize("plugin", PLUGINS, ids=name)
def test_a_plugin_is_cheap_to_discover(plugin: Path) -> None:
    """The package that the entry point names is imported by every engine: nothing but pyke.api in it."""
    package = next(plugin.glob("pyke_*/__init__.py"))
    assert set(imports(package)) <= {"__future__", "collections.abc", "pyke.api"}


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_file_is_one_room(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= FILE_LIMIT
    assert all(length <= FUNCTION_LIMIT for _, length in functions(path)), [each for each in functions(path) if each[1] > FUNCTION_LIMIT]


@pytest.mark.parametrize("path", [path for path in SOURCES if path.read_text().strip()], ids=name)
def test_a_file_says_who_lives_there(path: Path) -> None:
    assert ast.get_docstring(parsed(path)), "no module docstring"


def test_functions_tell_straight_stories() -> None:
    lengths = [length for path in SOURCES for _, length in functions(path)]
    assert statistics.median(lengths) <= MEDIAN_FUNCTION
    assert sum(length <= USUAL_FUNCTION for length in lengths) >= 0.9 * len(lengths)


def test_only_one_file_speaks_to_the_c_library() -> None:
    speakers = [name(path) for path in SOURCES if any(each.split(".")[0] == "ctypes" for each in imports(path))]
    assert speakers == ["kernel/pyke/runtime/linux.py"]


def test_only_the_plugins_package_knows_the_manager() -> None:
    for path in SOURCES:
        if "PluginManager" in path.read_text():
            assert path.parent == KERNEL / "plugins", name(path)
        if "pluggy" in imports(path):
            assert path.parent == KERNEL / "plugins" or path == KERNEL / "hookspecs.py", name(path)


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_tarfile_never_extracts(path: Path) -> None:
    """Archives from outside go through pyke.archive, which follows nothing and keeps limits."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Attribute) and node.attr in ("extract", "extractall"):
            assert "tarfile" not in imports(path), f"line {node.lineno}"
    assert "shutil.unpack_archive" not in path.read_text()


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=name)
def test_nothing_is_left_for_later(path: Path) -> None:
    if path != Path(__file__):
        assert not MARKS.search(path.read_text())
        assert not MACHINE_PATHS.search(path.read_text()), "names a path of somebody's machine"


@pytest.mark.parametrize("path", TESTS, ids=name)
def test_nothing_of_our_own_is_mocked(path: Path) -> None:
    assert not any(each.startswith("unittest") for each in imports(path))
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setattr":
            owner = node.func.value
            assert not (isinstance(owner, ast.Name) and owner.id == "monkeypatch"), f"line {node.lineno}: monkeypatch.setattr"


def test_unit_tests_mirror_the_kernel() -> None:
    folders = {path.relative_to(KERNEL) for path in KERNEL.rglob("*") if path.is_dir() and any(path.glob("*.py"))}
    for path in (ROOT / "tests" / "unit").rglob("test_*.py"):
        folder = path.parent.relative_to(ROOT / "tests" / "unit")
        assert folder in folders or folder == Path(), f"{name(path)}: kernel/pyke has no {folder}"


def test_test_files_have_names_of_their_own() -> None:
    """pytest --import-mode=importlib does without packages, and people find a test by its file's name."""
    seen: dict[str, Path] = {}
    for path in (each for each in TESTS if each.name.startswith("test_")):
        assert path.name not in seen, f"{name(path)} and {name(seen[path.name])}"
        seen[path.name] = path


FRONT_DOOR = ["README.md", "HACKING.md", "CHANGELOG.md", "LICENSE", "tox.ini", "scripts/setup", "scripts/demo", "scripts/test", ".ci/run"]


@pytest.mark.parametrize("file", FRONT_DOOR)
def test_the_front_door(file: str) -> None:
    path = ROOT / file
    assert path.stat().st_size > 0
    assert not path.read_bytes().startswith(b"#!") or path.stat().st_mode & 0o111, "not executable"


def test_decisions_are_numbered_and_short() -> None:
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert decisions
    for path in decisions:
        assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", path.name), path.name
        assert len(path.read_text().splitlines()) <= 60, path.name
    numbers = [path.name[:4] for path in decisions]
    assert len(numbers) == len(set(numbers)), numbers
