"""DNS messages, as little as a name server of a few names needs: one question in, addresses or a pointer out. Source: RFC 1035.

A message comes from inside a container: every length in it is a claim. `question` takes what is well-formed and nothing else.
"""

from __future__ import annotations

import ipaddress
import struct

A, PTR, AAAA = 1, 12, 28
INTERNET = 1
NO_ERROR, FORMAT_ERROR, SERVER_FAILURE, NAME_ERROR = 0, 1, 2, 3
TTL = 600  # seconds, as Docker's
LONGEST_NAME = 255
LONGEST_LABEL = 63
HEADER = struct.Struct("!HHHHHH")
RESPONSE, RECURSION_AVAILABLE, RECURSION_DESIRED, OPCODE = 0x8000, 0x0080, 0x0100, 0x7800
NAME_AT_12 = 0xC00C  # a compressed name: the question's, right after the header


class Question:
    """What a client asks: `name` is in lower case, without the final dot; `raw` is the question as it came."""

    def __init__(self, id: int, flags: int, name: str, kind: int, raw: bytes) -> None:
        self.id, self.flags, self.name, self.kind, self.raw = id, flags, name, kind, raw


def question(message: bytes) -> Question | None:
    """The one question of a query, or None where the message is anything else."""
    if len(message) < HEADER.size:
        return None
    id, flags, questions, answers, _, _ = HEADER.unpack_from(message)
    if flags & (RESPONSE | OPCODE) or questions != 1 or answers:
        return None
    parsed = _name(message, HEADER.size)
    if parsed is None or len(message) < parsed[1] + 4:
        return None
    name, end = parsed
    kind, family = struct.unpack_from("!HH", message, end)
    return Question(id, flags, name, kind, message[HEADER.size : end + 4]) if family == INTERNET else None


def _name(message: bytes, at: int) -> tuple[str, int] | None:
    """A name without compression, which a question has no use for, and where it ends."""
    labels: list[bytes] = []
    start = at
    while at < len(message) and at - start < LONGEST_NAME:
        length = message[at]
        if length == 0:
            return b".".join(labels).decode("ascii", "backslashreplace").lower(), at + 1
        if length > LONGEST_LABEL or at + 1 + length > len(message):
            return None
        labels.append(message[at + 1 : at + 1 + length])
        at += 1 + length
    return None


def addresses(asked: Question, found: list[str]) -> bytes:
    """An answer with those of `found` that are of the family asked for; none is an answer too: the name exists."""
    packed = [ipaddress.ip_address(address).packed for address in found]
    records = [data for data in packed if len(data) == (4 if asked.kind == A else 16)]
    return _reply(asked, NO_ERROR, [(asked.kind, data) for data in records])


def pointer(asked: Question, name: str) -> bytes:
    """An answer to a reverse lookup."""
    labels = [label.encode("ascii", "replace")[:LONGEST_LABEL] for label in name.split(".") if label]
    return _reply(asked, NO_ERROR, [(PTR, b"".join(bytes([len(label)]) + label for label in labels) + b"\0")])


def failure(asked: Question, code: int) -> bytes:
    """An answer that says why there is none."""
    return _reply(asked, code, [])


def _reply(asked: Question, code: int, records: list[tuple[int, bytes]]) -> bytes:
    flags = RESPONSE | RECURSION_AVAILABLE | (asked.flags & RECURSION_DESIRED) | code
    body = b"".join(struct.pack("!HHHIH", NAME_AT_12, kind, INTERNET, TTL, len(data)) + data for kind, data in records)
    return HEADER.pack(asked.id, flags, 1, len(records), 0, 0) + asked.raw + body


def answers_to(message: bytes, asked: Question, id: int) -> bool:
    """Whether a message is a server's reply to a query that was sent with `id`, and not something that was slipped in."""
    if len(message) < HEADER.size:
        return False
    found, flags, questions, _, _, _ = HEADER.unpack_from(message)
    same = message[HEADER.size : HEADER.size + len(asked.raw)].lower() == asked.raw.lower()
    return found == id and bool(flags & RESPONSE) and questions == 1 and same


def with_id(message: bytes, id: int) -> bytes:
    """The same message under another number."""
    return id.to_bytes(2, "big") + message[2:]


def reversed_address(name: str) -> str:
    """The address that a reverse name stands for ("2.0.18.172.in-addr.arpa" is 172.18.0.2), or ""."""
    for suffix, base, count, separator in ((".in-addr.arpa", 10, 4, "."), (".ip6.arpa", 16, 32, "")):
        parts = name.removesuffix(suffix).split(".")
        if name.endswith(suffix) and len(parts) == count:
            try:
                text = separator.join(str(int(part, base)) if base == 10 else part for part in reversed(parts))
                if base == 16:
                    text = ":".join(text[at : at + 4] for at in range(0, 32, 4))
                return str(ipaddress.ip_address(text))
            except ValueError:
                return ""
    return ""
