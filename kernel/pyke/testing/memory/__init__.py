"""An engine that lives in memory: what a client of the API can be tested against, without processes, disks or root."""

from pyke.testing.memory.engine import MemoryEngine, busybox

__all__ = ["MemoryEngine", "busybox"]
