"""A volume is the directory HOME/NAME/_data; with the options `type`, `device` and `o` it is a mount on it."""

import os
import shutil
import subprocess

from pyke.api import DriverHome, InvalidRequest, PykeError, Volume, VolumeDriver

OPTIONS = ("type", "device", "o")
HOME_MODE = 0o700  # a container may leave set-user-ID programs in a volume: users of the host must not reach them (CVE-2021-41091)
MOUNT_DEADLINE = 25.0  # seconds, below the engine's own: a dead NFS server gets an error of ours
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C"}


class LocalDriver(VolumeDriver):
    """Keeps volumes below its home."""

    def __init__(self, home: DriverHome) -> None:
        super().__init__(home)

    def validate(self, volume: Volume) -> None:
        unknown = sorted(set(volume.options) - set(OPTIONS))
        if unknown:
            raise InvalidRequest(
                f'create {volume.name}: invalid option: "{unknown[0]}"', hint="pyke volume create --opt type=tmpfs --opt device=tmpfs NAME"
            )
        if "device" not in volume.options and ("type" in volume.options or "o" in volume.options):
            raise InvalidRequest(
                f"create {volume.name}: missing required option: 'device'",
                hint="pyke volume create --opt type=tmpfs --opt device=tmpfs NAME",
            )

    def create(self, volume: Volume) -> None:
        self._make(volume)

    def remove(self, volume: Volume) -> None:
        self.unmount(volume)
        shutil.rmtree(self._directory(volume), ignore_errors=False, onerror=_unless_gone)

    def mount(self, volume: Volume) -> str:
        data = self._make(volume)
        if volume.options.get("device") and not os.path.ismount(data):
            self._run("mount", *self._arguments(volume), "--", volume.options["device"], data)
        return data

    def unmount(self, volume: Volume) -> None:
        if volume.options.get("device") and os.path.ismount(self._data(volume)):
            self._run("umount", self._data(volume))

    def _make(self, volume: Volume) -> str:
        os.makedirs(self.home.directory, exist_ok=True)
        os.chmod(self.home.directory, HOME_MODE)
        os.makedirs(self._data(volume), mode=0o755, exist_ok=True)
        return self._data(volume)

    def _arguments(self, volume: Volume) -> list[str]:
        kind, options = volume.options.get("type", ""), volume.options.get("o", "")
        return [*(("-t", kind) if kind and kind != "none" else ()), *(("-o", options) if options else ())]

    def _directory(self, volume: Volume) -> str:
        if "/" in volume.name or volume.name in ("", ".", ".."):
            raise InvalidRequest(f"{volume.name!r} is not a volume's name", hint="pyke volume create NAME")
        return os.path.join(self.home.directory, volume.name)

    def _data(self, volume: Volume) -> str:
        return os.path.join(self._directory(volume), "_data")

    def _run(self, *command: str) -> None:
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=MOUNT_DEADLINE, env=ENVIRONMENT)
        except subprocess.CalledProcessError as error:
            raise PykeError(f"{command[0]} of a volume failed: {error.stderr.strip()}", hint="pyke volume inspect NAME") from error
        except subprocess.TimeoutExpired as error:
            raise PykeError(
                f"{command[0]} of a volume did not end within {MOUNT_DEADLINE:.0f} s", hint="pyke volume inspect NAME"
            ) from error


def _unless_gone(function: object, path: str, problem: tuple[type, BaseException, object]) -> None:
    if not isinstance(problem[1], FileNotFoundError):
        raise PykeError(f"a volume's data could not be deleted: {problem[1]}", hint=f"ls -la {path}") from problem[1]
