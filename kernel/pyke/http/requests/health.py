"""Healthcheck of a container's configuration: nanoseconds in Docker's JSON, seconds in the model."""

from __future__ import annotations

from pyke.errors import InvalidRequest
from pyke.http.fields import Fields
from pyke.model import HealthCheck

SHORTEST = 1_000_000  # ns


def health_check(config: Fields) -> HealthCheck | None:
    """None where the container has none of its own and takes its image's. Raises `InvalidRequest`."""
    if not config.has("Healthcheck"):
        return None
    fields = config.object("Healthcheck")
    test = fields.texts("Test")
    if test and test[0] not in ("NONE", "CMD", "CMD-SHELL"):
        raise InvalidRequest(f"Unknown healthcheck type {test[0]!r} in Healthcheck.Test", hint="pyke run --help")
    if fields.integer("Retries") < 0:
        raise InvalidRequest("Retries in Healthcheck cannot be negative")
    return HealthCheck(
        test,
        _seconds(fields, "Interval"),
        _seconds(fields, "Timeout"),
        _seconds(fields, "StartPeriod"),
        fields.integer("Retries"),
        _seconds(fields, "StartInterval"),
    )


def _seconds(fields: Fields, key: str) -> float:
    nanoseconds = fields.integer(key)
    if nanoseconds != 0 and nanoseconds < SHORTEST:
        raise InvalidRequest(f"{key} in Healthcheck cannot be less than 1ms")
    return nanoseconds / 1e9
