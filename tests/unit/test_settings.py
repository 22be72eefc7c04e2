"""config.yaml: types, suffixes, suggestions, and the page that documents it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pyke.settings import BadSettings, Settings, documentation, load, parse

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "settings.md"


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert load(str(tmp_path / "config.yaml")) == Settings()


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "---\n"])
def test_an_empty_file_changes_nothing(text: str) -> None:
    assert parse(text) == Settings()


def test_what_is_set_is_set(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "idle_timeout: 5m\nlogs: {max_size: 1g, max_files: 5}\ndisabled_plugins: [network-host]\ndrivers: {network-bridge: {mtu: '1400'}}\n"
    )
    settings = load(str(path))
    assert settings.idle_timeout == 300.0
    assert (settings.logs.max_size, settings.logs.max_files, settings.logs.driver) == (1024**3, 5, "json-file")
    assert settings.disabled_plugins == ("network-host",)
    assert settings.drivers == {"network-bridge": {"mtu": "1400"}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("idle_timeuot: 1", "there is no key idle_timeuot: did you mean idle_timeout?"),
        ("idle-timeout: 1", "did you mean idle_timeout?"),
        ("logs: {maxsize: 1}", "there is no key logs.maxsize: did you mean max_size?"),
        ("nonsense: 1", "the keys are "),
        ("idle_timeout: soon", "idle_timeout must be a number of seconds"),
        ("idle_timeout: -1", "idle_timeout must not be -1"),
        ("idle_timeout: .inf", "idle_timeout must not be inf"),
        ("idle_timeout: .nan", "idle_timeout must not be nan"),
        ("idle_timeout: true", "idle_timeout must be a number of seconds, not True"),
        ("logs: {max_files: 2.5}", "logs.max_files must be a whole number, not 2.5"),
        ("logs: {max_size: 10q}", "with one of b, k, m, g, t behind it"),
        ("storage_driver: 7", "storage_driver must be text, not 7: put it in quotes"),
        ("storage_driver:", "storage_driver must be text, not nothing"),
        ("disabled_plugins: network-host", "disabled_plugins must be a list"),
        ("disabled_plugins: [1]", "disabled_plugins[0] must be text"),
        ("drivers: {network-bridge: {mtu: 1400}}", "drivers.network-bridge.mtu must be text, not 1400: put it in quotes"),
        ("drivers: {network-bridge: 7}", "drivers.network-bridge must hold keys and values"),
        ("logs: 7", "logs must hold keys and values, not 7"),
        ("[1]", "the file must hold keys and values"),
        ("logs: [", "expected the node content"),
        ("x: !!python/object/apply:os.system [id]", "could not determine a constructor"),
    ],
)
def test_what_is_wrong_is_named(text: str, said: str) -> None:
    with pytest.raises(BadSettings) as caught:
        parse(text)
    assert said in caught.value.message


def test_an_error_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("x: 1")
    with pytest.raises(BadSettings, match=f"^{path}: there is no key x"):
        load(str(path))


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").mkdir()
    with pytest.raises(BadSettings, match="cannot be read"):
        load(str(tmp_path / "config.yaml"))


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@given(st.recursive(SCALARS, lambda each: st.lists(each) | st.dictionaries(st.text(), each)))
def test_any_document_is_taken_or_refused_with_words(data: object) -> None:
    try:
        parse(yaml.safe_dump(data))
    except BadSettings as error:
        assert error.message


@given(st.sampled_from([field.name for field in dataclasses.fields(Settings)]), st.integers() | st.text() | st.lists(st.text()))
def test_any_value_of_a_key_is_taken_or_refused_with_its_name(name: str, value: object) -> None:
    try:
        assert isinstance(parse(yaml.safe_dump({name: value})), Settings)
    except BadSettings as error:
        assert error.message.startswith(name) or "there is no key" in error.message


def test_the_page_documents_every_key() -> None:
    assert DOCUMENTATION.read_text() == documentation(), "python -m pyke.settings > docs/settings.md"


def test_no_key_is_a_promise_that_nobody_keeps() -> None:
    """Every key is read by something else than the settings themselves (`storage_driver` by `Plugins.default`, which spells it itself)."""
    kernel = Path(__file__).parents[2] / "kernel" / "pyke"
    readers = "\n".join(path.read_text() for path in kernel.rglob("*.py") if path.name != "settings.py")
    for section in (Settings, *(type(field.default) for field in dataclasses.fields(Settings) if dataclasses.is_dataclass(field.default))):
        for field in dataclasses.fields(section):
            assert f".{field.name}" in readers or field.name == "storage_driver", field.name
