"""Signals by the names that people and images write."""

from __future__ import annotations

import signal

from pyke.errors import InvalidRequest
from pyke.model import Container


def signal_number(text: str) -> int:
    """A signal by name ("TERM", "sigterm", "RTMIN+3", "RTMAX-1") or number. Raises `InvalidRequest` for what Linux does not have."""
    number = _number(text.upper().removeprefix("SIG"))
    if not 0 < number <= signal.SIGRTMAX:
        raise InvalidRequest(f"Invalid signal: {text}", hint="pyke kill --signal TERM CONTAINER")
    return number


def stop_signal(container: Container) -> int:
    """What a container is to be stopped with. An image that names no signal of Linux is passed over, as in Docker: it must not make
    containers that nobody can stop."""
    if container.spec.stop_signal:
        return signal_number(container.spec.stop_signal)
    try:
        return signal_number(container.image_config.stop_signal or "TERM")
    except InvalidRequest:
        return signal.SIGTERM


def _number(name: str) -> int:
    if _is_decimal(name):
        return int(name)
    for base, sign, direction in (("RTMIN", "+", 1), ("RTMAX", "-", -1)):
        offset = name.removeprefix(base + sign)
        if offset != name and _is_decimal(offset):
            number: int = signal.Signals[f"SIG{base}"] + direction * int(offset)
            return number if number >= signal.SIGRTMIN else 0
    return signal.Signals.__members__.get(f"SIG{name}", 0)


def _is_decimal(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 4
