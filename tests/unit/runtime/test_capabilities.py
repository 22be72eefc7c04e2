"""Docker's choice of capabilities, as data."""

import pytest

from pyke.errors import InvalidRequest
from pyke.runtime import capabilities


def test_the_defaults_are_dockers() -> None:
    assert capabilities.bits(capabilities.chosen((), ())) == 0xA80425FB


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        (("net_admin",), ("ALL",), 1 << 12),
        (("CAP_NET_ADMIN",), ("all",), 1 << 12),
        ((), ("ALL",), 0),
        (("SYS_PTRACE",), (), 0xA80425FB | 1 << 19),
        ((), ("CHOWN", "mknod"), 0xA80425FB & ~1 & ~(1 << 27)),
        (("CHOWN",), ("CHOWN",), 0xA80425FB),
    ],
)
def test_what_is_added_and_dropped(add: tuple[str, ...], drop: tuple[str, ...], expected: int) -> None:
    assert capabilities.bits(capabilities.chosen(add, drop)) == expected


def test_all_is_what_this_system_has() -> None:
    available = {name for name in capabilities.NAMES if capabilities.is_available(name)}
    assert set(capabilities.chosen(("ALL",), ("CHOWN",))) == available - {"CAP_CHOWN"}
    assert set(capabilities.chosen((), (), privileged=True)) == available


def test_an_unknown_name_is_refused_in_dockers_words() -> None:
    with pytest.raises(InvalidRequest, match='invalid CapAdd: unknown capability: "CAP_BOGUS"'):
        capabilities.chosen(("BOGUS",), ())
