"""The kernel's files, read as numbers."""

from __future__ import annotations

from pyke.engine.containers.statistics import TICK, interface_counters, system_time

STAT = "cpu  100 1 20 3000 4 0 6 7 50 0\ncpu0 50 0 10 1500 2 0 3 3 25 0\n"
NET_DEV = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:      10       1    0    0    0     0          0         0       10       1    0    0    0     0       0          0
  eth0:    1060      11    1    2    0     0          0         0      500       5    3    4    0     0       0          0
"""


def test_the_machine_s_clock_counts_idle_time_and_counts_guests_once() -> None:
    assert system_time(STAT) == (100 + 1 + 20 + 3000 + 4 + 0 + 6 + 7) * TICK


def test_the_loopback_is_left_out() -> None:
    counters = interface_counters(NET_DEV)
    assert list(counters) == ["eth0"]
    assert counters["eth0"] == {
        "rx_bytes": 1060, "rx_packets": 11, "rx_errors": 1, "rx_dropped": 2,
        "tx_bytes": 500, "tx_packets": 5, "tx_errors": 3, "tx_dropped": 4,
    }  # fmt: skip
