"""What probes make of a container's health, and when the next one is due: rules of Docker's daemon/health.go, as data."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke.engine.containers.health import DEFAULTS, LOG_ENTRIES, command, interval, judged
from pyke.engine.containers.unhealthy import LABEL, wish
from pyke.model import Container, ContainerSpec, Health, HealthCheck, ImageConfig, Probe

GOOD, BAD = Probe(0, 1, 0), Probe(0, 1, 1)
CHECK = HealthCheck(("CMD", "true"), retries=2)


def container(own: HealthCheck | None = None, image: HealthCheck | None = None, **spec: object) -> Container:
    return Container(
        id="a" * 64,
        name="c",
        created=0,
        spec=ContainerSpec("i", health=own, **spec),  # type: ignore[arg-type]
        image_id="i",
        image_name="i",
        image_config=ImageConfig(health=image, labels={LABEL: "kill"}, shell=("/bin/ash", "-ec")),
        argv=("true",),
        storage_driver="overlay",
        hostname="c",
    )


def test_one_success_is_enough() -> None:
    assert judged(Health("unhealthy", 7), GOOD, CHECK, 100).status == "healthy"
    assert judged(Health("unhealthy", 7), GOOD, CHECK, 100).failing_streak == 0


def test_failures_have_to_come_in_a_row() -> None:
    once = judged(Health("healthy"), BAD, CHECK, 100)
    assert (once.status, once.failing_streak) == ("healthy", 1)
    assert judged(once, BAD, CHECK, 100).status == "unhealthy"
    assert judged(judged(once, GOOD, CHECK, 100), BAD, CHECK, 100).status == "healthy"


def test_failures_while_it_starts_do_not_count() -> None:
    check = HealthCheck(("CMD", "true"), retries=1, start_period=60)
    young = judged(Health(), BAD, check, 59)
    assert (young.status, young.failing_streak, len(young.log)) == ("starting", 0, 1)
    assert judged(young, BAD, check, 61).status == "unhealthy"
    assert judged(Health("healthy"), BAD, check, 10).status == "unhealthy"  # it has started: the period is over


@given(st.lists(st.integers(-1, 3), max_size=30), st.integers(1, 5))
def test_the_status_follows_from_the_last_probes(codes: list[int], retries: int) -> None:
    health = Health()
    for code in codes:
        health = judged(health, Probe(0, 1, code), HealthCheck(("CMD", "true"), retries=retries), 1000)
    assert [each.exit_code for each in health.log] == codes[-LOG_ENTRIES:]
    streak = next((count for count, code in enumerate(reversed(codes)) if code == 0), len(codes))
    assert health.failing_streak == streak
    assert health.status == ("unhealthy" if streak >= retries else "healthy" if 0 in codes else "starting")


@pytest.mark.parametrize(
    ("check", "status", "age", "seconds"),
    [
        (HealthCheck(), "starting", 0, DEFAULTS.interval),
        (HealthCheck(interval=7), "healthy", 0, 7),
        (HealthCheck(interval=7, start_period=20), "starting", 10, DEFAULTS.start_interval),
        (HealthCheck(interval=7, start_period=20, start_interval=1), "starting", 10, 1),
        (HealthCheck(interval=7, start_period=20, start_interval=1), "healthy", 10, 7),
        (HealthCheck(interval=7, start_period=20, start_interval=1), "starting", 21, 7),
    ],
)
def test_probes_are_more_frequent_at_the_start(check: HealthCheck, status: str, age: float, seconds: float) -> None:
    assert interval(check, Health(status), age) == seconds


def test_what_a_container_leaves_open_its_image_says() -> None:
    image = HealthCheck(("CMD-SHELL", "test -f /ok"), interval=5, retries=4)
    assert container(None, image).health_check == image
    assert container(HealthCheck(interval=9), image).health_check == HealthCheck(("CMD-SHELL", "test -f /ok"), interval=9, retries=4)
    assert container(HealthCheck(("NONE",)), image).health_check is None
    assert container(None, HealthCheck(("NONE",))).health_check is None
    assert container().health_check is None


def test_a_command_line_is_for_the_shell_of_the_image() -> None:
    assert command(container(), HealthCheck(("CMD-SHELL", "test -f /ok"))) == ("/bin/ash", "-ec", "test -f /ok")
    assert command(container(), HealthCheck(("CMD", "test", "-f", "/ok"))) == ("test", "-f", "/ok")


def test_an_image_has_no_say_in_what_is_done_with_the_unhealthy() -> None:
    assert wish(container()) == "none"
    assert wish(container(labels={LABEL: "restart"})) == "restart"
    assert wish(container(labels={LABEL: "explode"})) == "none"
