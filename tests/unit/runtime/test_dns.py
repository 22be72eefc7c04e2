"""DNS messages: what is taken for a question, whatever the bytes are."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke.runtime import dns

HEADER = struct.pack("!HHHHHH", 7, dns.RECURSION_DESIRED, 1, 0, 0, 0)
TAIL = struct.pack("!HH", dns.A, dns.INTERNET)


def test_a_question_is_read() -> None:
    asked = dns.question(HEADER + b"\x03WwW\x02n1\0" + TAIL)
    assert asked is not None
    assert (asked.id, asked.name, asked.kind) == (7, "www.n1", dns.A)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x03www",
        b"\x03www\0",
        b"\x03www\0" + TAIL[:3],
        b"\xc0\x0c" + TAIL,  # a pointer to itself
        b"\x40" + b"a" * 64 + b"\0" + TAIL,  # a label that is too long
        b"\x3f" + b"a" * 63 + (b"\x3f" + b"b" * 63) * 4 + b"\0" + TAIL,  # a name that is too long
        b"\x03www\0" + struct.pack("!HH", dns.A, 3),  # another class: CHAOS
    ],
)
def test_what_is_no_question_is_refused(body: bytes) -> None:
    assert dns.question(HEADER + body) is None


def test_a_reply_is_no_question() -> None:
    asked = dns.question(HEADER + b"\x03www\0" + TAIL)
    assert asked is not None
    assert dns.question(dns.addresses(asked, ["10.0.0.1"])) is None


def test_a_reply_to_another_question_is_not_believed() -> None:
    asked, other = dns.question(HEADER + b"\x03www\0" + TAIL), dns.question(HEADER + b"\x03xyz\0" + TAIL)
    assert asked is not None and other is not None
    assert dns.answers_to(dns.addresses(asked, ["10.0.0.1"]), asked, 7)
    assert not dns.answers_to(dns.addresses(asked, ["10.0.0.1"]), asked, 8)
    assert not dns.answers_to(dns.addresses(other, ["10.0.0.1"]), asked, 7)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("2.0.18.172.in-addr.arpa", "172.18.0.2"),
        ("0.18.172.in-addr.arpa", ""),
        ("x.0.18.172.in-addr.arpa", ""),
        ("999.0.18.172.in-addr.arpa", ""),
        ("2." + "0." * 23 + "6.0.0.0.0.0.d.f.ip6.arpa", "fd00:6::2"),
        ("example.org", ""),
    ],
)
def test_reverse_names(name: str, address: str) -> None:
    assert dns.reversed_address(name) == address


@given(st.binary(max_size=600))
def test_any_bytes_are_a_question_or_none(message: bytes) -> None:
    asked = dns.question(message)
    if asked is not None:
        reply = dns.addresses(asked, ["10.0.0.1", "fd00::1"])
        assert reply[:2] == message[:2]
        assert dns.answers_to(reply, asked, asked.id)
        dns.reversed_address(asked.name)
