"""A command inside a container as Docker shows it."""

from __future__ import annotations

from typing import Any

from pyke.model import Exec


def inspect(found: Exec) -> dict[str, Any]:
    """/exec/ID/json. ExitCode is null until the command has ended."""
    spec = found.spec
    return {
        "ID": found.id,
        "Running": found.is_running,
        "ExitCode": found.exit_code,
        "ProcessConfig": {
            "tty": spec.tty,
            "entrypoint": spec.command[0],
            "arguments": list(spec.command[1:]),
            "privileged": spec.privileged,
            **({"user": spec.user} if spec.user else {}),
        },
        "OpenStdin": spec.attach_stdin,
        "OpenStderr": spec.attach_stderr,
        "OpenStdout": spec.attach_stdout,
        "CanRemove": False,
        "ContainerID": found.container,
        **({"Error": found.error} if found.error else {}),  # pyke's own
        "DetachKeys": spec.detach_keys,
        "Pid": found.pid,
    }
