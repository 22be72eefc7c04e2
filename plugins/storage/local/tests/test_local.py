"""The local volume driver, on a real directory and with a real tmpfs."""

import os
from pathlib import Path

import pytest

from pyke.api import DriverHome, InvalidRequest, Volume
from pyke_storage_local.driver import LocalDriver


@pytest.fixture
def driver(tmp_path: Path) -> LocalDriver:
    return LocalDriver(DriverHome(str(tmp_path / "volumes"), str(tmp_path / "run")))


def test_a_volume_is_a_directory_that_keeps_its_data(driver: LocalDriver) -> None:
    volume = Volume("data")
    driver.create(volume)
    driver.create(volume)
    Path(driver.mount(volume), "file").write_text("kept")
    driver.unmount(volume)
    assert Path(driver.mount(volume), "file").read_text() == "kept"


def test_removing_twice_succeeds(driver: LocalDriver) -> None:
    volume = Volume("data")
    driver.create(volume)
    directory = driver.mount(volume)
    driver.remove(volume)
    driver.remove(volume)
    assert not os.path.exists(os.path.dirname(directory))


def test_a_mount_of_a_tmpfs_is_made_once_and_undone(driver: LocalDriver) -> None:
    volume = Volume("scratch", options={"type": "tmpfs", "device": "tmpfs", "o": "size=1m"})
    driver.validate(volume)
    driver.create(volume)
    path = driver.mount(volume)
    try:
        assert driver.mount(volume) == path
        assert os.path.ismount(path)
        assert os.statvfs(path).f_blocks * os.statvfs(path).f_frsize == 1 << 20
    finally:
        driver.unmount(volume)
    driver.unmount(volume)
    assert not os.path.ismount(path)
    driver.remove(volume)


def test_a_link_in_the_data_is_removed_and_not_followed(driver: LocalDriver, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.mkdir()
    (canary / "file").write_text("here")
    volume = Volume("data")
    os.symlink(canary, os.path.join(driver.mount(volume), "link"))
    driver.remove(volume)
    assert (canary / "file").read_text() == "here"


@pytest.mark.parametrize("options", [{"size": "1m"}, {"type": "tmpfs"}, {"o": "bind"}])
def test_options_that_mean_nothing_are_refused(driver: LocalDriver, options: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        driver.validate(Volume("data", options=options))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x"])
def test_a_name_never_leads_out_of_the_home(driver: LocalDriver, name: str) -> None:
    with pytest.raises(InvalidRequest):
        driver.mount(Volume(name))


def test_users_of_the_host_cannot_run_what_containers_leave_in_volumes(driver: LocalDriver, tmp_path: Path) -> None:
    driver.create(Volume("data"))
    assert os.stat(tmp_path / "volumes").st_mode & 0o7777 == 0o700
    os.chmod(tmp_path / "volumes", 0o755)
    driver.mount(Volume("data"))
    assert os.stat(tmp_path / "volumes").st_mode & 0o7777 == 0o700
