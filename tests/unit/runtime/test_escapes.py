"""What Docker's log has for every text: byte for byte, however the text is."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke.runtime.escapes import escape


def escaped_byte_by_byte(text: bytes) -> bytes:
    """What Docker's jsonlogbytes.go does, told a character at a time (unicode/utf8's DecodeRune takes one byte of what is broken)."""
    out, position = b"", 0
    while position < len(text):
        for length in (1, 2, 3, 4):
            try:
                character = text[position : position + length].decode()
            except UnicodeDecodeError:
                continue
            if len(character) == 1:
                break
        else:
            out, position = out + b"\\ufffd", position + 1
            continue
        out += escaped_character(character)
        position += length
    return out


def escaped_character(character: str) -> bytes:
    named = {'"': b'\\"', "\\": b"\\\\", "\r": b"\\r", "\u2028": b"\\u2028", "\u2029": b"\\u2029"}
    if character in named:
        return named[character]
    if (character < " " and character != "\n") or character in "<>&":
        return b"\\u%04x" % ord(character)
    return character.encode()


BYTES = st.one_of(st.binary(), st.text().map(str.encode), st.binary().map(lambda data: data + "äé€😀\u2028".encode() + data[::-1]))


@given(BYTES)
def test_escapes_as_docker_does(text: bytes) -> None:
    assert escape(text) == escaped_byte_by_byte(text)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 4096, 16384, 70000])
def test_data_is_escaped_as_docker_does(size: int) -> None:
    data = os.urandom(size)
    assert escape(data) == escaped_byte_by_byte(data)


@pytest.mark.parametrize("text", ["Größe", "Привет", "日本語", "😀"])
@pytest.mark.parametrize("encoding", ["latin-1", "koi8-r", "utf-16", "shift-jis"])
def test_other_encodings_are_escaped_as_docker_does(text: str, encoding: str) -> None:
    lines = f'{text} says "{text}" & <\t>\n'.encode(encoding, "ignore") * 40
    assert escape(lines) == escaped_byte_by_byte(lines)
