"""Signals by name and number; what an image calls one."""

import contextlib
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke.engine.containers.signals import signal_number, stop_signal
from pyke.errors import InvalidRequest
from pyke.model import Container, ContainerSpec, ImageConfig

KNOWN = {
    "TERM": 15, "sigkill": 9, "SIGUSR1": 10, "9": 9, "64": 64, "RTMIN": 34, "SIGRTMIN+3": 37, "RTMAX": 64, "RTMAX-1": 63, "poll": 29,
}  # fmt: skip


@pytest.mark.parametrize("text", KNOWN)
def test_signals_of_linux(text: str) -> None:
    assert signal_number(text) == KNOWN[text]


@pytest.mark.parametrize("text", ["", "0", "65", "-1", "999", "²", "RTMIN+²", "RTMIN+99", "RTMAX-99", "RTMIN-1", "RTMAX+1", "SIG", "../x"])
def test_what_is_none(text: str) -> None:
    with pytest.raises(InvalidRequest, match="Invalid signal: "):
        signal_number(text)


@given(st.text(max_size=10))
def test_any_text_is_a_signal_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidRequest):
        assert 0 < signal_number(text) <= signal.SIGRTMAX


def container(asked: str, image: str) -> Container:
    return Container(
        id="1" * 64,
        name="c",
        created=0,
        spec=ContainerSpec(image="busybox", stop_signal=asked),
        image_id="",
        image_name="busybox",
        image_config=ImageConfig(stop_signal=image),
        argv=("sh",),
        storage_driver="overlay",
        hostname="c",
    )


def test_the_container_s_signal_goes_before_the_image_s_and_nonsense_of_an_image_is_passed_over() -> None:
    assert stop_signal(container("", "")) == signal.SIGTERM
    assert stop_signal(container("", "QUIT")) == signal.SIGQUIT
    assert stop_signal(container("INT", "QUIT")) == signal.SIGINT
    assert stop_signal(container("", "\x1b[31m")) == signal.SIGTERM
    with pytest.raises(InvalidRequest):
        stop_signal(container("BOGUS", ""))
