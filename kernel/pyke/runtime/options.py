"""Mount options, as OCI and mount(8) spell them, sorted into what the kernel wants to hear in different places."""

from __future__ import annotations

from pyke.runtime import linux

#: option: (attributes set, attributes cleared)
ATTRIBUTES = {
    "ro": (linux.MOUNT_ATTR_RDONLY, 0),
    "rw": (0, linux.MOUNT_ATTR_RDONLY),
    "nosuid": (linux.MOUNT_ATTR_NOSUID, 0),
    "suid": (0, linux.MOUNT_ATTR_NOSUID),
    "nodev": (linux.MOUNT_ATTR_NODEV, 0),
    "dev": (0, linux.MOUNT_ATTR_NODEV),
    "noexec": (linux.MOUNT_ATTR_NOEXEC, 0),
    "exec": (0, linux.MOUNT_ATTR_NOEXEC),
    "noatime": (linux.MOUNT_ATTR_NOATIME, linux.MOUNT_ATTR__ATIME),
    "relatime": (0, linux.MOUNT_ATTR__ATIME),
    "strictatime": (linux.MOUNT_ATTR_STRICTATIME, linux.MOUNT_ATTR__ATIME),
    "nodiratime": (linux.MOUNT_ATTR_NODIRATIME, 0),
    "diratime": (0, linux.MOUNT_ATTR_NODIRATIME),
}

#: option: (propagation, recursive)
PROPAGATIONS = {
    prefix + name: (value, bool(prefix))
    for name, value in (
        ("private", linux.MS_PRIVATE),
        ("shared", linux.MS_SHARED),
        ("slave", linux.MS_SLAVE),
        ("unbindable", linux.MS_UNBINDABLE),
    )
    for prefix in ("", "r")
}

#: Options that say nothing which is not already so.
EMPTY = frozenset(("defaults", "async", "auto", "noauto", "nouser", "loud", "norelatime", "nostrictatime"))


class Options:
    """The options of one mount. `set` and `clear` are attributes of the mount, `recursive_set` those of everything below it as well,
    `data` goes to the file system: (key, value), or (flag, None)."""

    __slots__ = ("clear", "data", "is_bind", "is_recursive", "propagation", "propagation_is_recursive", "recursive_set", "set")

    def __init__(self, options: list[str]) -> None:
        self.set = self.clear = self.recursive_set = self.propagation = 0
        self.is_bind = self.is_recursive = self.propagation_is_recursive = False
        self.data: list[tuple[str, str | None]] = []
        for option in options:
            self._add(option)

    def _add(self, option: str) -> None:
        if option in ("bind", "rbind"):
            self.is_bind, self.is_recursive = True, option == "rbind"
        elif option in PROPAGATIONS:
            self.propagation, self.propagation_is_recursive = PROPAGATIONS[option]
        elif option in ATTRIBUTES:
            added, removed = ATTRIBUTES[option]
            self.set = self.set & ~removed | added
            self.clear = self.clear & ~added | removed
        elif option[:1] == "r" and option[1:] in ATTRIBUTES:
            self.recursive_set |= ATTRIBUTES[option[1:]][0]
        elif option and option not in EMPTY:
            key, has_value, value = option.partition("=")
            self.data.append((key, value if has_value else None))

    def apply(self, mount: int) -> None:
        """Give the detached mount `mount` its attributes and its propagation."""
        if self.set or self.clear:
            # The kernel takes a change of access times only with the whole field cleared.
            clear = self.clear | (linux.MOUNT_ATTR__ATIME if self.set & linux.MOUNT_ATTR__ATIME else 0)
            linux.mount_setattr(mount, set=self.set, clear=clear & ~self.set | clear & linux.MOUNT_ATTR__ATIME)
        if self.recursive_set:
            linux.mount_setattr(mount, set=self.recursive_set, recursive=True)
        if self.propagation:
            linux.mount_setattr(mount, propagation=self.propagation, recursive=self.propagation_is_recursive)
