"""The sequence of keys by which a client leaves a container's terminal: as it is written, and as it is typed.

The monitor looks for it to let go of the client; the client to know why it was let go. Imported on the way of a command: errors alone.
"""

from pyke.errors import InvalidRequest

DEFAULT = "ctrl-p,ctrl-q"
LARGEST_KEYS = 16
CONTROL_CHARACTERS = "@abcdefghijklmnopqrstuvwxyz[\\]^_"


def parse(text: str) -> str:
    """ "ctrl-p,ctrl-q" or "a,b" as the characters that a terminal sends; "" is the default. `InvalidRequest` for what is no key."""
    keys = (text or DEFAULT).split(",")
    if len(keys) > LARGEST_KEYS:
        raise InvalidRequest(f"more than {LARGEST_KEYS} detach keys", hint="pyke attach --detach-keys ctrl-p,ctrl-q CONTAINER")
    return "".join(_character(key) for key in keys)


def _character(key: str) -> str:
    if len(key) == 1:
        return key
    name = key.lower().removeprefix("ctrl-")
    if key.lower().startswith("ctrl-") and len(name) == 1 and name in CONTROL_CHARACTERS:
        return chr(CONTROL_CHARACTERS.index(name))
    raise InvalidRequest(f"Unknown character: '{key}'", hint="pyke attach --detach-keys ctrl-p,ctrl-q CONTAINER")


class DetachKeys:
    """Finds the sequence of keys by which a client leaves, and passes on all else; a part of the sequence is passed on when it fails."""

    __slots__ = ("_keys", "_matched")

    def __init__(self, keys: bytes) -> None:
        self._keys, self._matched = keys, 0

    def feed(self, typed: bytes) -> tuple[bytes, bool]:
        """What goes on to the container, and whether the client leaves."""
        if not self._keys or (not self._matched and self._keys[0] not in typed):
            return typed, False
        passed = bytearray()
        for byte in typed:
            if byte != self._keys[self._matched]:
                passed += self._keys[: self._matched]
                self._matched = 0
            if byte != self._keys[self._matched]:
                passed.append(byte)
                continue
            self._matched += 1
            if self._matched == len(self._keys):
                self._matched = 0
                return bytes(passed), True
        return bytes(passed), False

    def finish(self) -> bytes:
        """The part of the sequence that was typed when the client ended."""
        begun, self._matched = self._keys[: self._matched], 0
        return begun
