"""Starting an engine where none answers, and the engine's half of that conversation.

On the way of every command that finds no engine, and of a monitor whose engine is away: os and the C module below `socket`, no more.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time

from pyke import sockets
from pyke.errors import EngineUnavailable
from pyke.paths import Layout

START_DEADLINE = 30.0  # seconds; recovery may have thousands of containers to look at
RETRY_INTERVAL = 0.02
PROXIES = ("http_proxy", "https_proxy", "no_proxy")  # in capitals, too
READY_VARIABLE = "PYKE_READY_FD"  # the descriptor on which an engine says "ready", or why it is not
FIRST_ACTIVATED = 3  # sd_listen_fds(3): SD_LISTEN_FDS_START
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket


def engine_argv(layout: Layout) -> list[str]:
    """The command that runs the engine of `layout` in the foreground."""
    return [sys.executable, "-m", "pyke.engine", "--root", layout.root]


def engine_environment() -> dict[str, str]:
    """A fixed environment: nothing of the caller's shell reaches an engine but what is addressed to it, and the proxies of this host."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if (name.startswith("PYKE_") or name.lower() in PROXIES) and name != READY_VARIABLE
    }
    return {"PATH": PATH, "LANG": "C.UTF-8", **kept}


# --- the client's half -----------------------------------------------------------------------------------------------


def connect_or_start(layout: Layout) -> sockets.Socket:
    """A connection to the engine, which is started first unless it answers. `EngineUnavailable` when it does not come up."""
    deadline = time.monotonic() + START_DEADLINE
    while True:
        try:
            return sockets.connect(layout.socket)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            pass
        except OSError as error:
            message = f"the engine at {layout.socket} cannot be reached: {error.strerror}"
            raise EngineUnavailable(message, hint=_access_hint(layout)) from error
        if time.monotonic() > deadline:
            message = f"no engine answered at {layout.socket} within {START_DEADLINE:.0f} s"
            raise EngineUnavailable(message, hint=f"tail {layout.engine_log}")
        if _start(layout, deadline) == "busy":
            time.sleep(RETRY_INTERVAL)  # another engine holds the lock, and will listen in a moment


def _access_hint(layout: Layout) -> str:
    return f"sudo pyke --root {layout.root} ps" if os.geteuid() else f"ls -l {layout.socket}"


def _start(layout: Layout, deadline: float) -> str:
    """Start an engine and wait for its word: "ready", "busy" when another one was quicker, or "killed" when somebody did that to it."""
    hearing, saying = os.pipe()
    try:
        pid = _spawn(layout, saying)
        os.close(saying)
        saying = -1
        word = _hear(hearing, deadline)
    finally:
        os.close(hearing)
        if saying >= 0:
            os.close(saying)
    if word in ("ready", "busy"):
        return word
    if not word and time.monotonic() < deadline and _is_killed(pid):
        return "killed"
    raise EngineUnavailable(f"the engine did not start: {word or _last_line(layout)}", hint=f"tail {layout.engine_log}")


def _is_killed(pid: int) -> bool:
    """Whether an engine that has ended without a word was ended by SIGKILL: no fault of its own, so that the next one may do."""
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:
        return False  # SIGCHLD is ignored, and the kernel has buried it
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == 9  # `signal` would bring `enum` with it


def _spawn(layout: Layout, saying: int) -> int:
    """Run the engine in a session of its own, with its words in the log and nothing else of ours; its process ID."""
    try:
        os.makedirs(layout.root, mode=0o711, exist_ok=True)
        log = os.open(layout.engine_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        hint = f"sudo pyke --root {layout.root} ps" if os.geteuid() else f"ls -ld {layout.root}"
        raise EngineUnavailable(f"an engine cannot be started in {layout.root}: {error.strerror}", hint=hint) from error
    # Above all descriptors that are set up, so that none of the copies below overwrites it.
    saying = fcntl.fcntl(saying, fcntl.F_DUPFD, 10)
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, log, 1),
        (os.POSIX_SPAWN_DUP2, log, 2),
        # A descriptor of the user's shell that lived on in the engine would keep somebody waiting for its end.
        *[(os.POSIX_SPAWN_CLOSE, number) for number in _open_descriptors() if number > 2 and number != saying],
    ]
    environment = {**engine_environment(), READY_VARIABLE: str(saying)}
    try:
        return os.posix_spawn(sys.executable, engine_argv(layout), environment, file_actions=actions, setsid=True)
    finally:
        os.close(log)
        os.close(saying)


def _open_descriptors() -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/fd")]


def _hear(hearing: int, deadline: float) -> str:
    """The engine's one line; "" when it ends, or does not come, without a word."""
    import select

    line = b""
    poll = select.poll()
    poll.register(hearing, select.POLLIN)
    while not line.endswith(b"\n") and poll.poll(max(0, deadline - time.monotonic()) * 1000):
        data = os.read(hearing, 4096)
        if not data:
            break
        line += data
    return line.decode(errors="replace").strip()


def _last_line(layout: Layout) -> str:
    with open(layout.engine_log, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
        lines = file.read().decode(errors="replace").splitlines()
    return lines[-1].strip() if lines else "it said nothing"


# --- the engine's half -----------------------------------------------------------------------------------------------


def take_lock(layout: Layout) -> int | None:
    """Become the engine of `layout`: a descriptor to be kept open, or None when there is one already (it has been told to the client).

    Writes RUN/engine.pid. The run directory must exist.
    """
    os.chdir("/")
    if (descriptor := os.environ.get(READY_VARIABLE, "")).isdigit():
        os.set_inheritable(int(descriptor), False)  # or what the engine starts would keep the client waiting
    lock = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        _say("busy")
        return None
    with open(os.path.join(layout.run, "engine.pid"), "w", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
    return lock


def announce_ready() -> None:
    """Tell the client that started this engine that it listens. Nobody may have asked, and nobody is told twice."""
    _say("ready")


def announce_failure(message: str) -> None:
    """Tell the client that started this engine why there will be none."""
    _say(message.splitlines()[0] if message else "it failed without a message")


def inherited_listener() -> socket.socket | None:
    """The listening socket that systemd made (socket activation), or None. Source: sd_listen_fds(3)."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or int(os.environ.get("LISTEN_FDS", "0")) < 1:
        return None
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    os.set_inheritable(FIRST_ACTIVATED, False)
    import socket  # an engine can afford it

    return socket.socket(fileno=FIRST_ACTIVATED)


def _say(word: str) -> None:
    descriptor = os.environ.pop(READY_VARIABLE, "")
    if not descriptor.isdigit():
        return
    try:
        os.write(int(descriptor), word.encode() + b"\n")
        os.close(int(descriptor))
    except OSError:
        pass  # the client has given up waiting
