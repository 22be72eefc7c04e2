"""Certificates for servers of tests, made by the machine's `openssl`."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificate:
    """Paths of a certificate, which vouches for itself, and of its key."""

    certificate: str
    key: str


def self_signed(directory: Path, name: str = "server", hosts: Sequence[str] = ()) -> Certificate:
    """A certificate for 127.0.0.1, localhost and other `hosts` that is good for a day."""
    directory.mkdir(parents=True, exist_ok=True)
    made = Certificate(str(directory / f"{name}.pem"), str(directory / f"{name}.key"))
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"),
            *(
                "-subj",
                f"/CN={name}",
                "-addext",
                ",".join(["subjectAltName=IP:127.0.0.1", *(f"DNS:{host}" for host in ("localhost", *hosts))]),
                "-keyout",
                made.key,
                "-out",
                made.certificate,
            ),
        ],
        check=True,
        capture_output=True,
        timeout=30,
    )
    return made
