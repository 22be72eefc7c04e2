"""What can go wrong, drawn as a tree.

    PykeError                 500   something that pyke expected might fail, did
    ├── InvalidRequest        400   the words of the request make no sense
    │   └── BadArchive        400   an archive that is broken, hostile or over its limits
    │       └── NoDirectory         ... or wants something below what is no directory
    ├── Forbidden             403   policy says no
    ├── NotFound              404   no such container, image, network, volume, driver
    │   ├── NoSuchContainer
    │   ├── NoSuchImage
    │   ├── NoSuchNetwork
    │   ├── NoSuchVolume
    │   ├── NoSuchExec
    │   └── NotInstalled            a driver that no installed plugin brings
    ├── NotModified           304   already so
    ├── Conflict              409   the state of the object forbids it
    │   └── NameInUse
    ├── StartFailed           400   the container's process could not be started
    ├── NoSpace               507   the disk, an address pool or a table is full
    ├── RegistryFailed        500   a registry answered with an error, or nonsense
    │   ├── RegistryUnavailable     ... or not at all, or not now: it may go better a moment later
    │   └── RegistryDenied    401   ... or wants (other) credentials
    ├── PluginFailed          500   a plugin crashed, lied or does not load
    │   ├── PluginTimeout           ... or did not answer in time
    │   └── PluginClash             two plugins bring a driver of one name
    └── EngineUnavailable     503   no engine answers

Every error carries a `message` that names the object and what was tried, a `hint`: a command that works when pasted, and the
`status` with which the Engine API answers. An error of another library is translated at the border where it arises, with
`raise ... from exc`; whatever is not a PykeError is a defect of pyke and shows its traceback.
"""

from __future__ import annotations


class PykeError(Exception):
    """An expected failure: one line that names the object, and a hint that says what to type next."""

    status = 500

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class InvalidRequest(PykeError):
    """The request cannot mean anything, whatever the state of the engine."""

    status = 400


class BadArchive(InvalidRequest):
    """An archive or layer is broken, hostile, or larger than its limits allow."""


class NoDirectory(BadArchive):
    """A part of a name in an archive that should be a directory is a file or a symbolic link."""


class Forbidden(PykeError):
    """An authoriser refused, or none could answer: authorisation fails closed."""

    status = 403


class NotFound(PykeError):
    """The named object does not exist."""

    status = 404


class NoSuchContainer(NotFound):
    """No container has this name, ID or unambiguous prefix."""


class NoSuchImage(NotFound):
    """No image has this name, ID or unambiguous prefix."""


class NoSuchNetwork(NotFound):
    """No network has this name, ID or unambiguous prefix."""


class NoSuchVolume(NotFound):
    """No volume has this name."""


class NoSuchExec(NotFound):
    """No exec instance has this ID."""


class NotInstalled(NotFound):
    """No installed plugin brings this driver; the hint says which package does, where that is known."""


class NotModified(PykeError):
    """The object is already in the state that was asked for."""

    status = 304


class Conflict(PykeError):
    """The present state of the object forbids the operation."""

    status = 409


class NameInUse(Conflict):
    """The name already belongs to another object of this kind."""


class StartFailed(PykeError):
    """The container's process could not be started; `exit_status` is 125, 126 or 127 as at a shell."""

    status = 400

    def __init__(self, message: str, *, hint: str = "", exit_status: int = 125) -> None:
        super().__init__(message, hint=hint)
        self.exit_status = exit_status


class NoSpace(PykeError):
    """A disk, an address pool or a limit of the engine is exhausted."""

    status = 507


class RegistryFailed(PykeError):
    """A registry refused a request, or answered with what is no answer."""


class RegistryUnavailable(RegistryFailed):
    """A registry cannot be reached or cannot answer now; `retry_after` is in seconds, 0 where it did not say."""

    def __init__(self, message: str, *, hint: str = "", retry_after: float = 0.0) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class RegistryDenied(RegistryFailed):
    """A registry wants credentials, or others."""

    status = 401


class PluginFailed(PykeError):
    """A plugin raised something unforeseen, returned nonsense or does not load; the message names it."""


class PluginTimeout(PluginFailed):
    """A plugin did not answer within its deadline."""


class PluginClash(PluginFailed):
    """Two installed plugins bring a driver of the same family and name; the message names both."""


class EngineUnavailable(PykeError):
    """No engine answers on the socket and none could be started."""

    status = 503
