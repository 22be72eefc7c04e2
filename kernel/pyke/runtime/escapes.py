"""Text as the inside of a JSON string, byte for byte as Docker's jsonlog has it: Go's encoding/json with HTML escapes.

All of it is done in passes over the whole text in C. Which passes depends on the text: in lines few kinds of characters have to be
escaped, and each is replaced; data has all kinds, and is mapped through a table.
"""

from __future__ import annotations

import codecs

from pyke.runtime.characters import BROKEN, mark_broken

_CONTROLS = bytes(code for code in range(0x20) if code not in b"\n\r")
_BY_NUMBER = _CONTROLS + b"<>&"
_SEPARATORS = [(b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029")]  # U+2028 and U+2029 end a line in JavaScript
_SHORT = [(b"\\", b"\\\\"), (b'"', b'\\"'), (b"\r", b"\\r")]  # the backslash comes first: the others contain one
_LONG = [(bytes([code]), b"\\u%04x" % code) for code in _BY_NUMBER] + [(BROKEN, b"\\ufffd")]
_SPECIAL = b"".join(plain for plain, _ in _SHORT + _LONG)

SAMPLE = 1024  # bytes by which data is told from lines

# Python's raw escapes are those that are wanted here, but of characters from U+0100 on: the others go through some that stand for nothing.
_UNASSIGNED = 0xE000
_TABLE = "".join("\ufffd" if code == BROKEN[0] else chr(_UNASSIGNED + code if code in _BY_NUMBER else code) for code in range(256))
_OURS = b"\xfe"  # a backslash of ours while there are others: like 0xff, a byte that no character has
_SET_ASIDE = [(plain, escaped.replace(b"\\", _OURS)) for plain, escaped in _SHORT + _SEPARATORS]


def escape(text: bytes) -> bytes:
    """`text` as the inside of a JSON string, with "\\n" left as it is. A byte that belongs to no character becomes "\\ufffd"."""
    if not _is_whole(text):
        text = mark_broken(text)
    if _is_data(text):
        return _mapped(text)
    if _count(text, _SPECIAL):
        text = _replaced(text, _SHORT + _LONG)
    return text if text.isascii() else _replaced(text, _SEPARATORS)


def _is_whole(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_data(text: bytes) -> bool:
    """Whether it looks like it. A wrong guess costs time, and nothing else."""
    sample = text[:SAMPLE]
    return _count(sample, _CONTROLS) > len(sample) // 16


def _count(text: bytes, kinds: bytes) -> int:
    return len(text) - len(text.translate(None, kinds))


def _replaced(text: bytes, escapes: list[tuple[bytes, bytes]]) -> bytes:
    for plain, escaped in escapes:
        text = text.replace(plain, escaped)
    return text


def _mapped(text: bytes) -> bytes:
    characters, _ = codecs.charmap_decode(_replaced(text, _SET_ASIDE), "strict", _TABLE)
    escaped, _ = codecs.raw_unicode_escape_encode(characters)
    return escaped.replace(b"\\ue0", b"\\u00").replace(_OURS, b"\\")
