"""Restart policies as data: whether, and after how long."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pyke.engine.containers.restarts import FIRST_DELAY, LONGEST_DELAY, judge, needs_engine, next_delay
from pyke.engine.containers.unhealthy import LABEL
from pyke.model import Container, ContainerSpec, ContainerState, ImageConfig, Request, RestartPolicy

SECOND = 1_000_000_000
CONTAINER = Container(
    id="a" * 64, name="c", created=0, spec=ContainerSpec("i"), image_id="i", image_name="i", image_config=ImageConfig(), argv=("true",),
    storage_driver="overlay", hostname="c",
)  # fmt: skip


def ended(policy: str, retries: int = 0, **state: object) -> Container:
    spec = replace(CONTAINER.spec, restart=RestartPolicy(policy, retries))
    return replace(CONTAINER, spec=spec, state=ContainerState(status="exited", **state))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("container", "is_restarted"),
    [
        (ended("no", exit_code=1), False),
        (ended("always"), True),
        (ended("always", manually_stopped=True), False),
        (ended("unless-stopped", exit_code=1), True),
        (ended("unless-stopped", manually_stopped=True), False),
        (ended("on-failure"), False),
        (ended("on-failure", exit_code=1, restart_count=1000), True),
        (ended("on-failure", 3, exit_code=1, restart_count=2), True),
        (ended("on-failure", 3, exit_code=1, restart_count=3), False),
        (ended("on-failure", exit_code=1, manually_stopped=True), False),
        (ended("no", exit_code=137, request=Request("unhealthy", 15)), False),
    ],
)
def test_a_policy_decides(container: Container, is_restarted: bool) -> None:
    assert judge(container)[0] is is_restarted
    assert judge(container)[1]


def test_a_label_restarts_the_unhealthy_under_every_policy() -> None:
    container = ended("no", exit_code=137, request=Request("unhealthy", 15))
    container = replace(container, spec=replace(container.spec, labels={LABEL: "restart"}))
    assert judge(container)[0]
    assert needs_engine(container) and not needs_engine(CONTAINER)


def test_the_delay_doubles_up_to_a_minute_and_begins_anew_after_a_good_run() -> None:
    quick, delays = ContainerState(started_at=0, finished_at=SECOND), []
    for _ in range(12):
        delays.append(next_delay(quick))
        quick = replace(quick, backoff=delays[-1])
    assert delays == [pytest.approx(min(FIRST_DELAY * 2**step, LONGEST_DELAY)) for step in range(12)]
    assert next_delay(replace(quick, finished_at=11 * SECOND)) == FIRST_DELAY
