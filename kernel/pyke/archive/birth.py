"""What the kernel gives a file when it is made, so that it need not be given again.

Owner and mode of most files of an image are those that a new file has anyway. Each call saved is a change of an inode that the file system
does not have to keep a journal of: measured, a tenth of the unpacking of a large image.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass

from pyke.archive.tar import Entry

DEFAULT_ACL = "system.posix_acl_default"
WITHOUT_ATTRIBUTES = {errno.ENODATA, errno.ENOTSUP}


@dataclass(frozen=True, slots=True)
class Birth:
    """The owner of new files, and the bits that their mode may have; None where that cannot be told before."""

    owner: tuple[int, int] | None
    mode: int

    @classmethod
    def below(cls, root: int) -> Birth:
        """What holds below an empty directory, where nothing but the process decides: no set-group-ID, group or ACL to be inherited."""
        found = os.fstat(root)
        inherits = found.st_mode & stat.S_ISGID or found.st_gid != os.getegid() or _has_default_acl(root) or os.listdir(root)
        return NOTHING if inherits else cls((os.geteuid(), os.getegid()), 0o777 & ~_umask())

    def gives(self, entry: Entry) -> bool:
        """Whether a file or directory made with the mode of `entry` needs nothing more but its time."""
        return (entry.uid, entry.gid) == self.owner and entry.mode & self.mode == entry.mode and not entry.xattrs


NOTHING = Birth(None, 0)


def _has_default_acl(directory: int) -> bool:
    try:
        return bool(os.getxattr(directory, DEFAULT_ACL))
    except OSError as error:
        if error.errno not in WITHOUT_ATTRIBUTES:
            raise
        return False


def _umask() -> int:
    """Read where it can be read without being changed, which other threads would notice (proc_pid_status(5), Linux 4.7)."""
    with open("/proc/self/status") as file:
        return next((int(line.split()[1], 8) for line in file if line.startswith("Umask:")), 0o777)
