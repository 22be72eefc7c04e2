"""`login`, `logout`: who one is at a registry."""

from __future__ import annotations

import os
import sys

from pyke.cli.flags import BOOL, STRING, Command, Flag, Options
from pyke.cli.registries import credentials
from pyke.cli.session import STDIN
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyke.cli.session import Session


def _login(session: Session, options: Options) -> int:
    registry = credentials.server_of(options.arguments[0] if options.arguments else "")
    username, password = _asked(session, options, registry)
    body = {"username": username, "password": password, "serveraddress": registry}
    answer = session.engine.post("/auth", body=body) or {}
    token = str(answer.get("IdentityToken") or "")
    if path := credentials.keep(registry, username, token or password, is_token=bool(token)):
        session.note(f"WARNING! Your credentials are stored unencrypted in '{path}'.")
        session.note("Configure a credential helper to remove this warning: credsStore in " + credentials.docker_file())
    session.out(str(answer.get("Status") or "Login Succeeded"))
    return 0


def _asked(session: Session, options: Options, registry: str) -> tuple[str, str]:
    """The name and the password: of the flags, of standard input, or of the user at the terminal."""
    username, password = options.text("username"), options.text("password")
    if options.given("password"):
        session.note("WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
        if options.yes("password-stdin"):
            raise PykeError("--password and --password-stdin are mutually exclusive")
    if options.yes("password-stdin"):
        if not username:
            raise PykeError("Must provide --username with --password-stdin")
        return username, sys.stdin.read().rstrip("\r\n")
    if username and password:
        return username, password
    known = credentials.lookup(registry)
    if not username and not password and known.get("password"):
        session.out("Authenticating with existing credentials...")
        return known["username"], known["password"]
    if not os.isatty(STDIN):
        hint = f"pyke login -u NAME --password-stdin {registry}"
        raise PykeError("Error: Cannot perform an interactive login from a non TTY device", hint=hint)
    return _asked_at_terminal(username)


def _asked_at_terminal(username: str) -> tuple[str, str]:
    import getpass  # only for whoever sits there

    username = username or input("Username: ").strip()
    password = getpass.getpass("Password: ")
    if not username or not password:
        raise PykeError("a name and a password are needed")
    return username, password


def _logout(session: Session, options: Options) -> int:
    registry = credentials.server_of(options.arguments[0] if options.arguments else "")
    if credentials.forget(registry):
        session.out(f"Removing login credentials for {registry}")
    else:
        session.out(f"Not logged in to {registry}")
    return 0


LOGIN = Command(
    "login",
    "[SERVER]",
    "Authenticate to a registry",
    _login,
    [
        Flag("password", "p", STRING, "Password or Personal Access Token (PAT)"),
        Flag("password-stdin", "", BOOL, "Take the Password or Personal Access Token (PAT) from stdin"),
        Flag("username", "u", STRING, "Username"),
    ],
    maximum=1,
    examples=("pyke login -u me registry.corp:5000", "pass registry | pyke login -u me --password-stdin registry.corp:5000"),
)
LOGOUT = Command("logout", "[SERVER]", "Log out from a registry", _logout, maximum=1)
