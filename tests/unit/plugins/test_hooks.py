"""The failure policy of each hook, with plugins that refuse, crash, lie and hang."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyke.errors import Forbidden, InvalidRequest, PluginFailed
from pyke.model import Authorization, Caller, Container, ContainerSpec, ImageConfig
from pyke.paths import Layout
from pyke.plugins import Plugins
from pyke.settings import Settings

CALLER = Caller(uid=1000, gid=1000, pid=1)
SPEC = ContainerSpec(image="busybox")
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
    hostname="a" * 12,
)

Hooked = Callable[..., Plugins]


@pytest.fixture
def hooked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hooked]:
    """Plugins whose hooks have the given bodies: `hooked("pyke_authorize(request)", "raise ...")`."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made: list[Plugins] = []

    def load(signature: str, *bodies: str, settings: Settings | None = None) -> Plugins:
        for number, body in enumerate(bodies, 1):
            package = f"pyke_hooked_{number}"
            head = f"import time\nfrom pyke.api import *\nfrom pyke.api import hookimpl\nseen = []\n\n@hookimpl\ndef {signature}:\n"
            (tmp_path / f"{package}.py").write_text(head + textwrap.indent(textwrap.dedent(body), "    "))
            metadata = tmp_path / f"{package}-1.0.dist-info"
            metadata.mkdir()
            (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package.replace('_', '-')}\nVersion: 1.0\n")
            (metadata / "entry_points.txt").write_text(f"[pyke]\nhooked-{number} = {package}\n")
        made.append(Plugins(Layout(str(tmp_path / "root")), settings))
        return made[-1]

    yield load
    for plugins in made:
        plugins.close(0.1)
    for name in [name for name in sys.modules if name.startswith("pyke_hooked_")]:
        del sys.modules[name]


def authorize(plugins: Plugins) -> None:
    plugins.hooks.authorize(Authorization(CALLER, "container.create", spec=SPEC))


def test_without_an_authoriser_all_is_allowed(hooked: Hooked) -> None:
    authorize(hooked("pyke_authorize(request)", "return None"))


def test_an_authoriser_refuses_in_its_own_words(hooked: Hooked) -> None:
    plugins = hooked("pyke_authorize(request)", "raise Forbidden(f'user {request.caller.uid} may not {request.operation}')")
    with pytest.raises(Forbidden, match=r"^user 1000 may not container\.create$"):
        authorize(plugins)


@pytest.mark.parametrize(
    "body", ["raise ValueError('oops')", "raise SystemExit", "raise InvalidRequest('what?')", "import nonexistent_module"]
)
def test_authorisation_fails_closed(hooked: Hooked, body: str) -> None:
    with pytest.raises(Forbidden, match=r"container\.create is refused"):
        authorize(hooked("pyke_authorize(request)", "pass", body))


@pytest.mark.parametrize("name", ["hooked-9", "hooked-1"])
def test_a_required_authoriser_that_is_missing_or_broken_refuses_all(hooked: Hooked, name: str) -> None:
    plugins = hooked("pyke_authorize(wrong_argument)", "pass", settings=Settings(authorizers=(name,)))
    with pytest.raises(Forbidden, match=f"'{name}'"):
        authorize(plugins)


def test_creating_may_change_the_specification_one_after_the_other(hooked: Hooked) -> None:
    plugins = hooked(
        "pyke_container_creating(spec)",
        "return replace(spec, labels={**spec.labels, 'first': '1'})",
        "return None",
        "return replace(spec, labels={**spec.labels, 'third': str(len(spec.labels))})",
    )
    changed = plugins.hooks.container_creating(SPEC, CALLER)
    assert set(changed.labels) == {"first", "third"}
    assert SPEC.labels == {}


def test_creating_may_refuse(hooked: Hooked) -> None:
    with pytest.raises(InvalidRequest, match="no labels"):
        hooked("pyke_container_creating(spec)", "raise InvalidRequest('no labels')").hooks.container_creating(SPEC, CALLER)


@pytest.mark.parametrize("body", ["raise ValueError('oops')", "return 42", "return replace(spec, labels=7)", "raise SystemExit"])
def test_a_crash_or_lie_at_creating_names_the_plugin(hooked: Hooked, body: str) -> None:
    with pytest.raises(PluginFailed, match=r"pyke_container_creating of pyke-hooked-1 1\.0"):
        hooked("pyke_container_creating(spec)", body).hooks.container_creating(SPEC, CALLER)


def test_starting_gets_a_copy_and_its_answer_is_plain_data(hooked: Hooked) -> None:
    config = {"process": {"args": ["true"]}}
    changes = hooked("pyke_container_starting(container, config)", "config['process']['args'].append(container.name)\nreturn config")
    assert changes.hooks.container_starting(CONTAINER, config) == {"process": {"args": ["true", "testbox"]}}
    assert config == {"process": {"args": ["true"]}}


def test_starting_refuses_what_json_cannot_hold(hooked: Hooked) -> None:
    plugins = hooked("pyke_container_starting(config)", "return {'process': object()}")
    with pytest.raises(PluginFailed, match="JSON"):
        plugins.hooks.container_starting(CONTAINER, {})


def test_notifications_are_delivered_in_order_and_waited_for_by_nobody(hooked: Hooked) -> None:
    plugins = hooked("pyke_container_stopping(container, signal)", "seen.append(signal)\ntime.sleep(0.05)")
    started = time.monotonic()
    for number in range(5):
        plugins.hooks.container_stopping(CONTAINER, number)
    assert time.monotonic() - started < 0.05
    plugins.hooks.drain(5)
    assert sys.modules["pyke_hooked_1"].seen == [0, 1, 2, 3, 4]


def test_a_plugin_that_crashes_or_hangs_at_a_notification_disturbs_nobody(hooked: Hooked, caplog: pytest.LogCaptureFixture) -> None:
    plugins = hooked("pyke_container_exited(container)", "raise SystemExit('bye')", "time.sleep(2)", "seen.append(container.name)")
    plugins.hooks.container_exited(CONTAINER)
    started = time.monotonic()
    plugins.close(0.3)
    assert time.monotonic() - started < 1
    assert sys.modules["pyke_hooked_3"].seen == ["testbox"]
    assert "hooked-1" in caplog.text


def test_every_hook_of_the_specification_is_called_by_somebody() -> None:
    from pyke import hookspecs
    from pyke.plugins import FAMILIES, hooks

    source = Path(hooks.__file__).read_text()
    offered = {family.hook for family in FAMILIES.values()}
    for name in dir(hookspecs):
        if name.startswith("pyke_"):
            assert name in offered or f'"{name}"' in source, name


def test_a_trace_shows_each_call(hooked: Hooked, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PYKE_TRACE_HOOKS", "1")
    hooked("pyke_container_creating(spec, caller)", "return None").hooks.container_creating(SPEC, CALLER)
    line = capsys.readouterr().err
    assert line.startswith("pyke: pyke_container_creating(spec=ContainerSpec(image='busybox'") and "by hooked-1: None in " in line
