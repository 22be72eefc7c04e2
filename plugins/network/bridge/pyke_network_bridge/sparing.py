"""Import a few modules of a package without all that the package imports by itself."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any


@contextlib.contextmanager
def sparing(name: str) -> Iterator[None]:
    """Within the block, what is imported from below the package `name` comes without the package's own `__init__`.

    That runs when somebody asks the package for a name that it does not have yet, so that nobody else notices.
    """
    spec = None if name in sys.modules else importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        yield  # it is there already, or not at all
        return
    package = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        yield
    except BaseException:
        del sys.modules[name]
        raise
    package.__getattr__ = lambda wanted: _completed(package, wanted)  # type: ignore[method-assign]  # PEP 562


def _completed(package: ModuleType, wanted: str) -> Any:
    del package.__getattr__
    assert package.__spec__ is not None and package.__spec__.loader is not None
    package.__spec__.loader.exec_module(package)
    return getattr(package, wanted)
