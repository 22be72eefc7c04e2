"""The body of POST /containers/NAME/exec → `ExecSpec`."""

from __future__ import annotations

from pyke import detach
from pyke.errors import InvalidRequest
from pyke.http.fields import Fields
from pyke.http.requests.create import console_size, environment_lines
from pyke.model import ExecSpec


def detach_keys(text: str) -> str:
    """The keys as they are written, once they have been understood. Raises `InvalidRequest`."""
    detach.parse(text)
    return text


def exec_spec(fields: Fields) -> ExecSpec:
    """What is to be run. Raises `InvalidRequest`."""
    command = fields.texts("Cmd")
    if not command:
        raise InvalidRequest("No exec command specified", hint="pyke exec CONTAINER COMMAND")
    return ExecSpec(
        command=command,
        environment=environment_lines(fields, "Env"),
        working_directory=fields.text("WorkingDir"),
        user=fields.text("User"),
        tty=fields.flag("Tty"),
        privileged=fields.flag("Privileged"),
        attach_stdin=fields.flag("AttachStdin"),
        attach_stdout=fields.flag("AttachStdout"),
        attach_stderr=fields.flag("AttachStderr"),
        detach_keys=detach_keys(fields.text("DetachKeys")),
        console_size=console_size(fields),
    )
