"""Calling the hooks: a method for each, with the failure policy of each (docs/hooks.md).

Plugins are asked one after the other, never through pluggy's own multicall, so that what one of them does wrong carries its name and
stays its own affair.
"""

from __future__ import annotations

import copy
import functools
import json
import logging
import os
import queue
import reprlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pluggy

from pyke.errors import Forbidden, PluginFailed, PluginTimeout, PykeError
from pyke.model import Authorization, Caller, Container, ContainerSpec, Image
from pyke.plugins.deadlines import Breaker, LateCall, Workers
from pyke.plugins.discovery import Loaded
from pyke.plugins.results import fits

DECISION_DEADLINE = 10.0  # seconds that a hook which may refuse or change something has
NOTICES_KEPT = 1000  # notifications that a slow plugin may lag behind before further ones are dropped

log = logging.getLogger("pyke.plugins")
_short = reprlib.Repr()
_short.maxstring, _short.maxother = 120, 200


class Hooks:
    """The hooks as the engine calls them. Which of them fails what is written at each method."""

    def __init__(self, loaded: Loaded, workers: Workers, required: tuple[str, ...] = ()) -> None:
        self._manager, self._plugins, self._workers, self._required = loaded.manager, loaded.plugins, workers, required
        self._breakers: dict[str, Breaker] = {}
        self._notices: dict[str, _Notices] = {}
        self._lock = threading.Lock()
        self._trace = os.environ.get("PYKE_TRACE_HOOKS", "") not in ("", "0")

    # decisions: the operation waits for them

    def authorize(self, request: Authorization) -> None:
        """Ask every authoriser. Fails closed: a refusal, a crash, a late answer, a required authoriser that is missing: `Forbidden`."""
        for name in self._required:
            if self._plugins.get(name) is None or self._plugins[name].problem:
                message = f"{request.operation} is refused: the authoriser {name!r}, which the settings require, does not work"
                raise Forbidden(message, hint="pyke plugin ls")
        for hook in self._implementations("pyke_authorize"):
            try:
                self._decide(hook, {"request": request})
            except Forbidden:
                raise
            except PykeError as error:
                raise Forbidden(f"{request.operation} is refused: {error.message}", hint=error.hint) from error

    def container_creating(self, spec: ContainerSpec, caller: Caller) -> ContainerSpec:
        """The specification as the plugins leave it. A plugin that refuses, crashes or is late fails this one creation."""
        for hook in self._implementations("pyke_container_creating"):
            changed = self._decide(hook, {"spec": spec, "caller": caller})
            if changed is not None:
                spec = self._checked(hook, changed, ContainerSpec)
        return spec

    def container_starting(self, container: Container, config: dict[str, Any]) -> dict[str, Any]:
        """The OCI runtime configuration as the plugins leave it; each gets a copy.

        A plugin that refuses, crashes or is late fails this one start.
        """
        for hook in self._implementations("pyke_container_starting"):
            changed = self._decide(hook, {"container": container, "config": copy.deepcopy(config)})
            if changed is not None:
                config = self._plain(hook, self._checked(hook, changed, dict[str, Any]))
        return config

    # notifications: nobody waits; a plugin that fails is a line in the engine's log

    def engine_started(self) -> None:
        self._notify("pyke_engine_started")

    def engine_stopping(self) -> None:
        self._notify("pyke_engine_stopping")

    def container_created(self, container: Container) -> None:
        self._notify("pyke_container_created", container=container)

    def container_started(self, container: Container) -> None:
        self._notify("pyke_container_started", container=container)

    def container_stopping(self, container: Container, signal: int) -> None:
        self._notify("pyke_container_stopping", container=container, signal=signal)

    def container_exited(self, container: Container) -> None:
        self._notify("pyke_container_exited", container=container)

    def container_removed(self, container: Container) -> None:
        self._notify("pyke_container_removed", container=container)

    def image_added(self, image: Image, source: str) -> None:
        self._notify("pyke_image_added", image=image, source=source)

    def drain(self, timeout: float) -> None:
        """Give plugins up to `timeout` seconds to take the notifications that are waiting for them."""
        deadline = time.monotonic() + timeout
        for notices in list(self._notices.values()):
            notices.close(max(0.0, deadline - time.monotonic()))

    # how

    def _implementations(self, name: str) -> Iterator[pluggy.HookImpl]:
        """The implementations of a hook in pluggy's order: the one that was registered last comes first, `tryfirst` before all."""
        caller: pluggy.HookCaller = getattr(self._manager.hook, name)
        return reversed(caller.get_hookimpls())

    def _decide(self, hook: pluggy.HookImpl, arguments: dict[str, Any]) -> Any:
        breaker = self._breakers.setdefault(hook.plugin_name, Breaker())
        if not breaker.admits():
            raise self._late(hook, f"was late {breaker.threshold} times in a row and is left alone for {breaker.wait_time():.0f} s")
        try:
            result = self._workers.run(lambda: self._call(hook, arguments), DECISION_DEADLINE)
        except LateCall:
            breaker.was_late()
            raise self._late(hook, f"did not answer within {DECISION_DEADLINE:.0f} s") from None
        except PykeError:
            breaker.answered()
            raise
        except BaseException as error:
            breaker.answered()
            log.error("%s of %s failed", hook.function.__name__, hook.plugin_name, exc_info=error)
            raise PluginFailed(f"{self._name(hook)} failed: {type(error).__name__}: {error}", hint="pyke plugin ls") from error
        breaker.answered()
        return result

    def _call(self, hook: pluggy.HookImpl, arguments: dict[str, Any]) -> Any:
        started, outcome = time.perf_counter(), "raised"
        try:
            result = hook.function(*(arguments[name] for name in hook.argnames))
            outcome = _short.repr(result)
            return result
        finally:
            if self._trace:
                told = ", ".join(f"{name}={_short.repr(value)}" for name, value in arguments.items())
                duration = (time.perf_counter() - started) * 1e3
                sys.stderr.write(f"pyke: {hook.function.__name__}({told}) by {hook.plugin_name}: {outcome} in {duration:.2f} ms\n")

    def _notify(self, name: str, **arguments: Any) -> None:
        for hook in self._implementations(name):
            with self._lock:
                if hook.plugin_name not in self._notices:
                    self._notices[hook.plugin_name] = _Notices(hook.plugin_name)
            self._notices[hook.plugin_name].put(functools.partial(self._call, hook, arguments))

    def _checked(self, hook: pluggy.HookImpl, value: Any, kind: Any) -> Any:
        if not fits(value, kind):
            raise PluginFailed(f"{self._name(hook)} returned {type(value).__name__}, not a sound {kind.__name__}", hint="pyke plugin ls")
        return value

    def _plain(self, hook: pluggy.HookImpl, config: dict[str, Any]) -> dict[str, Any]:
        try:
            json.dumps(config)
        except (TypeError, ValueError, RecursionError) as error:
            raise PluginFailed(f"{self._name(hook)} returned what JSON cannot hold: {error}", hint="pyke plugin ls") from error
        return config

    def _name(self, hook: pluggy.HookImpl) -> str:
        plugin = self._plugins.get(hook.plugin_name)
        return f"{hook.function.__name__} of {plugin.label if plugin else hook.plugin_name}"

    def _late(self, hook: pluggy.HookImpl, what: str) -> PluginTimeout:
        return PluginTimeout(f"{self._name(hook)} {what}", hint="pyke plugin ls")


class _Notices:
    """The notifications on their way to one plugin: delivered in order, by a thread of their own, waited for by nobody."""

    def __init__(self, plugin: str) -> None:
        self._plugin = plugin
        self._queue: queue.Queue[Callable[[], object] | None] = queue.Queue(NOTICES_KEPT)
        self._thread = threading.Thread(target=self._deliver, name=f"pyke-notices-{plugin}", daemon=True)
        self._thread.start()

    def put(self, notice: Callable[[], object]) -> None:
        try:
            self._queue.put_nowait(notice)
        except queue.Full:
            log.warning("plugin %s lags %d notifications behind: one is dropped", self._plugin, NOTICES_KEPT)

    def close(self, timeout: float) -> None:
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(timeout)

    def _deliver(self) -> None:
        while (notice := self._queue.get()) is not None:
            try:
                notice()
            except BaseException as error:  # a plugin's SystemExit must not end the thread silently
                log.error("plugin %s failed at a notification", self._plugin, exc_info=error)
