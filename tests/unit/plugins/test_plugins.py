"""Discovery, drivers and calls, with real distributions written to a directory on sys.path."""

from __future__ import annotations

import os
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyke.drivers import NetworkDriver, ReconcilesNetworks
from pyke.errors import InvalidRequest, NotInstalled, PluginClash, PluginFailed, PluginTimeout
from pyke.model import Endpoint, Network
from pyke.paths import Layout
from pyke.plugins import Plugins
from pyke.settings import Settings

Install = Callable[..., Path]

NETWORK = Network(id="1" * 64, name="testnet", driver="good")
ENDPOINT = Endpoint(id="2" * 64, network=NETWORK.id, network_name="testnet", container="3" * 64)

GOOD = """
    from pyke.api import Driver, hookimpl

    @hookimpl
    def pyke_network_drivers():
        yield Driver("good", "{package}_driver:GoodDriver", summary="attaches nothing")
"""

DRIVER = """
    import threading, time
    from pyke.api import InvalidRequest, NetworkDriver

    class GoodDriver(NetworkDriver):
        made = 0

        def __init__(self, home):
            super().__init__(home)
            GoodDriver.made += 1

        def attach(self, network, endpoint, namespace):
            return endpoint

        def detach(self, network, endpoint, namespace):
            {detach}
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Writes an installed distribution: metadata, entry point and modules, as pip would leave them."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    before = set(sys.modules)

    def write(name: str, code: str = GOOD, *, detach: str = "pass", entry: str = "", version: str = "1.2") -> Path:
        package = "pyke_" + name.replace("-", "_")
        package = package if not (site / package).exists() else package + "_two"
        metadata = site / f"{package}-{version}.dist-info"
        metadata.mkdir()
        distribution = package.replace("_", "-")
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\nSummary: for a test\n")
        (metadata / "entry_points.txt").write_text(f"[pyke]\n{entry or name} = {package}\n")
        (site / package).mkdir()
        (site / package / "__init__.py").write_text(textwrap.dedent(code).replace("{package}", package))
        (site / f"{package}_driver.py").write_text(textwrap.dedent(DRIVER).replace("{detach}", detach))
        return site / package

    yield write
    for module in set(sys.modules) - before:
        if module.startswith("pyke_"):
            del sys.modules[module]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Callable[..., Plugins]]:
    made: list[Plugins] = []

    def start(settings: Settings | None = None) -> Plugins:
        made.append(Plugins(Layout(str(tmp_path / "root")), settings))
        return made[-1]

    yield start
    for plugins in made:
        plugins.close(0.1)


def problem(plugins: Plugins, name: str) -> str:
    return next(report.problem for report in plugins.report() if report.name == name)


def test_a_plugin_is_reported_with_its_drivers(install: Install, load: Callable[..., Plugins]) -> None:
    install("network-good")
    report = next(each for each in load().report() if each.name == "network-good")
    assert (report.distribution, report.version, report.summary) == ("pyke-network-good", "1.2", "for a test")
    assert report.drivers == {"network": ("good",)}
    assert report.problem == ""


def test_a_driver_is_imported_at_first_use_and_made_once(install: Install, load: Callable[..., Plugins]) -> None:
    install("network-good")
    plugins = load()
    assert "pyke_network_good_driver" not in sys.modules
    instances: list[object] = []
    threads = [threading.Thread(target=lambda: instances.append(plugins.driver("network", "good"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(instance) for instance in instances}) == 1
    assert sys.modules["pyke_network_good_driver"].GoodDriver.made == 1


def test_a_driver_gets_a_home_of_its_own_and_its_settings(install: Install, load: Callable[..., Plugins], tmp_path: Path) -> None:
    install("network-good")
    driver = load(Settings(drivers={"network-good": {"mtu": "1400"}})).driver("network", "good")
    assert isinstance(driver, NetworkDriver)
    assert driver.home.directory == str(tmp_path / "root/network/good")
    assert driver.home.run_directory == str(tmp_path / "root/run/network/good")
    assert driver.home.options == {"mtu": "1400"}
    assert len(driver.home.tag) == 6


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import nonexistent_module_of_nobody", "ModuleNotFoundError"),
        ("raise SystemExit(3)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("def broken(:", "SyntaxError"),
        ("", "implements no hook"),
        ("from pyke.api import hookimpl\n@hookimpl\ndef pyke_netwrok_drivers(): return []", "did you mean pyke_network_drivers?"),
        ("from pyke.api import hookimpl\n@hookimpl\ndef pyke_network_drivers(surprise): return []", "surprise"),
        ("from pyke.api import hookimpl\n@hookimpl\ndef pyke_network_drivers(): return [42]", "not int"),
        ("from pyke.api import hookimpl\n@hookimpl\ndef pyke_network_drivers(): return 42", "TypeError"),
        ("from pyke.api import Driver, hookimpl\n@hookimpl\ndef pyke_network_drivers(): yield Driver('../x', 'a:B')", "'../x'"),
        ("from pyke.api import Driver, hookimpl\n@hookimpl\ndef pyke_network_drivers(): yield Driver('x', 'os.system')", "module:Class"),
        ("from pyke.api import *\n@hookimpl\ndef pyke_network_drivers():\n while True: yield Driver('x', 'a:B')", "more than 100"),
        ("from pyke.api import hookimpl\n@hookimpl(wrapper=True)\ndef pyke_authorize(request): return (yield)", "hook wrapper"),
    ],
)
def test_a_broken_plugin_is_kept_with_its_problem_and_the_rest_work(
    install: Install, load: Callable[..., Plugins], code: str, said: str
) -> None:
    install("network-broken", code)
    install("network-good")
    plugins = load()
    assert said in problem(plugins, "network-broken")
    assert plugins.driver("network", "good") is not None


def test_a_broken_plugin_is_named_when_its_driver_is_wanted(install: Install, load: Callable[..., Plugins]) -> None:
    install("network-broken", "import nonexistent_module_of_nobody")
    with pytest.raises(PluginFailed, match=r"pyke-network-broken 1\.2 is broken: ModuleNotFoundError"):
        load().driver("network", "broken")


def test_two_plugins_with_one_driver_clash_only_where_it_is_used(install: Install, load: Callable[..., Plugins]) -> None:
    install("network-good")
    install("network-twin", version="2.0")
    install("network-other", GOOD.replace('"good"', '"other"'))
    plugins = load()
    with pytest.raises(PluginClash, match=r"pyke-network-good 1\.2 and pyke-network-twin 2\.0"):
        plugins.call("network", "good", "detach", NETWORK, ENDPOINT, "")
    assert plugins.call("network", "other", "detach", NETWORK, ENDPOINT, "") is None
    assert plugins.default("network") == "bridge"  # the settings' choice, installed or not


def test_two_distributions_with_one_entry_point_are_both_refused(install: Install, load: Callable[..., Plugins]) -> None:
    install("network-good")
    install("network-good", entry="network-good")
    plugins = load()
    both = [report.problem for report in plugins.report() if report.name.startswith("network-good")]
    assert len(both) == 2 and all("pyke-network-good 1.2 and pyke-network-good-two 1.2" in each for each in both)


@pytest.mark.parametrize("switch", ["network-good", "pyke-network-good", "else, network-good", "*"])
def test_plugins_are_switched_off(install: Install, load: Callable[..., Plugins], monkeypatch: pytest.MonkeyPatch, switch: str) -> None:
    install("network-good")
    monkeypatch.setenv("PYKE_DISABLE_PLUGINS", switch)
    plugins = load()
    assert "pyke_network_good" not in sys.modules
    with pytest.raises(NotInstalled, match="disabled by PYKE_DISABLE_PLUGINS") as caught:
        plugins.driver("network", "good")
    assert caught.value.hint == "unset PYKE_DISABLE_PLUGINS"


def test_what_is_missing_is_named_with_what_installs_it(install: Install, load: Callable[..., Plugins]) -> None:
    install("network-good")
    plugins = load()
    with pytest.raises(NotInstalled, match="no volume driver 'nfs' is installed") as unknown:
        plugins.driver("volume", "nfs")
    assert "pip" not in unknown.value.hint
    with pytest.raises(NotInstalled, match="no network driver 'macvlan' is installed") as other:
        plugins.driver("network", "macvlan")
    assert "good" in other.value.hint and "pip" not in other.value.hint
    with pytest.raises(InvalidRequest):
        plugins.driver("nonsense", "x")


def test_the_fixed_table_of_official_names() -> None:
    from pyke.plugins import FAMILIES

    assert FAMILIES["network"].distribution("bridge") == "pyke-network-bridge"
    assert FAMILIES["storage"].distribution("overlay") == "pyke-storage-overlay"
    assert FAMILIES["volume"].distribution("local") == "pyke-storage-local"
    assert FAMILIES["network"].distribution("brigde") == ""


@pytest.mark.parametrize("place", [".", "__init__.py"])
def test_a_plugin_that_others_can_write_is_refused(install: Install, load: Callable[..., Plugins], place: str) -> None:
    (install("network-good") / place).chmod(0o777)
    plugins = load()
    assert "can be written by others" in problem(plugins, "network-good")
    assert "pyke_network_good" not in sys.modules


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_plugin_of_another_user_is_refused(install: Install, load: Callable[..., Plugins]) -> None:
    os.chown(install("network-good"), 54321, 54321)
    assert "belongs to user 54321" in problem(load(), "network-good")


def test_a_call_returns_what_the_driver_returns(install: Install, load: Callable[..., Plugins]) -> None:
    install("network-good")
    assert load().call("network", "good", "attach", NETWORK, ENDPOINT, "/proc/self/ns/net") == ENDPOINT


def test_expected_errors_pass_and_others_are_translated(install: Install, load: Callable[..., Plugins]) -> None:
    install("network-good", detach="raise InvalidRequest('no such option') if namespace else ValueError('oops')")
    plugins = load()
    with pytest.raises(InvalidRequest, match="no such option"):
        plugins.call("network", "good", "detach", NETWORK, ENDPOINT, "x")
    with pytest.raises(PluginFailed, match=r"detach of network driver 'good' of pyke-network-good 1\.2 failed: ValueError: oops"):
        plugins.call("network", "good", "detach", NETWORK, ENDPOINT, "")


def test_a_driver_that_leaves_fails_its_call_only(install: Install, load: Callable[..., Plugins]) -> None:
    install("network-good", detach="raise SystemExit(1)")
    plugins = load()
    with pytest.raises(PluginFailed, match="SystemExit"):
        plugins.call("network", "good", "detach", NETWORK, ENDPOINT, "")
    assert plugins.call("network", "good", "attach", NETWORK, ENDPOINT, "") == ENDPOINT


@pytest.mark.parametrize("result", ["42", "endpoint", "'done'"])
def test_a_result_that_the_contract_does_not_know_is_refused(install: Install, load: Callable[..., Plugins], result: str) -> None:
    install("network-good", detach=f"return {result}")
    with pytest.raises(PluginFailed, match="not what its contract says"):
        load().call("network", "good", "detach", NETWORK, ENDPOINT, "")


def test_a_class_that_is_no_driver_is_refused(install: Install, load: Callable[..., Plugins]) -> None:
    install("network-good", GOOD.replace("{package}_driver:GoodDriver", "collections:OrderedDict"))
    with pytest.raises(PluginFailed, match=r"network driver 'good' of pyke-network-good 1\.2"):
        load().driver("network", "good")


def test_optional_abilities_are_asked_for(install: Install, load: Callable[..., Plugins]) -> None:
    install("network-good")
    plugins = load()
    assert not plugins.implements("network", "good", ReconcilesNetworks)
    assert plugins.implements("network", "good", NetworkDriver)


def test_a_late_call_is_abandoned_and_a_hanging_plugin_left_alone(install: Install, load: Callable[..., Plugins]) -> None:
    install("network-good", detach="threading.Event().wait(2)")
    plugins = load()
    for _ in range(3):
        with pytest.raises(PluginTimeout, match=r"detach of network driver 'good' of pyke-network-good 1\.2 did not end within 0\.05 s"):
            plugins.call("network", "good", "detach", NETWORK, ENDPOINT, "", deadline=0.05)
    started = time.monotonic()
    with pytest.raises(PluginTimeout, match="3 times in a row"):
        plugins.call("network", "good", "attach", NETWORK, ENDPOINT, "", deadline=5)
    assert time.monotonic() - started < 0.05


def test_a_call_costs_little(install: Install, load: Callable[..., Plugins]) -> None:
    install("network-good")
    plugins = load()
    durations = []
    for _ in range(300):
        started = time.perf_counter()
        plugins.call("network", "good", "detach", NETWORK, ENDPOINT, "")
        durations.append(time.perf_counter() - started)
    assert sorted(durations)[len(durations) // 4] < 0.0005  # seconds; the machine may be busy, a quarter of the calls is not
