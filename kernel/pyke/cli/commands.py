"""Which command lives where: a table, so that nothing but the command that was asked for is imported."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyke.cli.flags import Command

GROUPS = {
    "container": "Manage containers",
    "image": "Manage images",
    "manifest": "Look at images in registries",
    "network": "Manage networks",
    "plugin": "See which plugins are installed",
    "system": "Manage pyke",
    "volume": "Manage volumes",
}

COMMON = ("run", "exec", "ps", "pull", "images", "version", "info")

# The name by which a command is defined, and where: pyke.cli.MODULE, ATTRIBUTE.
HOMES = {
    "attach": "attach:ATTACH",
    "commit": "commit:COMMIT",
    "completion": "completion:COMPLETION",
    "container prune": "prune:CONTAINERS",
    "cp": "copy:COPY",
    "create": "create:CREATE",
    "diff": "inside:DIFF",
    "engine": "engine:ENGINE",
    "events": "events:EVENTS",
    "exec": "exec:EXEC",
    "export": "inside:EXPORT",
    "history": "images:HISTORY",
    "image inspect": "inspect:IMAGE",
    "image prune": "prune:IMAGES",
    "images": "images:IMAGES",
    "import": "transfer:IMPORT",
    "info": "system:INFO",
    "inspect": "inspect:INSPECT",
    "container inspect": "inspect:CONTAINER",
    "kill": "lifecycle:KILL",
    "load": "transfer:LOAD",
    "login": "login:LOGIN",
    "logout": "login:LOGOUT",
    "logs": "logs:LOGS",
    "manifest inspect": "manifest:INSPECT",
    "network connect": "networks:CONNECT",
    "network create": "networks:CREATE",
    "network disconnect": "networks:DISCONNECT",
    "network inspect": "inspect:NETWORK",
    "network ls": "networks:LS",
    "network prune": "prune:NETWORKS",
    "network rm": "networks:REMOVE",
    "pause": "lifecycle:PAUSE",
    "plugin ls": "plugin:LS",
    "port": "inside:PORT",
    "ps": "ps:PS",
    "pull": "pull:PULL",
    "push": "push:PUSH",
    "rename": "lifecycle:RENAME",
    "restart": "lifecycle:RESTART",
    "rm": "lifecycle:REMOVE",
    "rmi": "images:REMOVE",
    "run": "run:RUN",
    "save": "transfer:SAVE",
    "search": "search:SEARCH",
    "start": "start:START",
    "stats": "stats:STATS",
    "stop": "lifecycle:STOP",
    "system df": "disk_usage:DISK_USAGE",
    "system prune": "prune:SYSTEM",
    "tag": "images:TAG",
    "top": "inside:TOP",
    "unpause": "lifecycle:UNPAUSE",
    "update": "update:UPDATE",
    "version": "system:VERSION",
    "volume create": "volumes:CREATE",
    "volume inspect": "inspect:VOLUME",
    "volume ls": "volumes:LS",
    "volume prune": "prune:VOLUMES",
    "volume rm": "volumes:REMOVE",
    "wait": "lifecycle:WAIT",
    "why": "why:WHY",
}

# Other spellings, as Docker has them.
ALIASES = {
    **{
        f"container {name}": name
        for name in (
            *(
                "attach",
                "commit",
                "cp",
                "create",
                "diff",
                "exec",
                "export",
                "kill",
                "logs",
                "pause",
                "port",
                "rename",
                "restart",
                "rm",
                "run",
            ),
            *("start", "stats", "stop", "top", "unpause", "update", "wait"),
        )
    },
    **{f"image {name}": name for name in ("history", "import", "load", "pull", "push", "save", "tag")},
    "container list": "ps",
    "container ls": "ps",
    "container ps": "ps",
    "container remove": "rm",
    "image list": "images",
    "image ls": "images",
    "image remove": "rmi",
    "image rm": "rmi",
    "network list": "network ls",
    "network remove": "network rm",
    "plugin list": "plugin ls",
    "system events": "events",
    "system info": "info",
    "volume list": "volume ls",
    "volume remove": "volume rm",
}


def find(words: Sequence[str]) -> tuple[str, list[str]]:
    """Find the command a line names: its name in HOMES (or that of a group, or ""), and the words that follow."""
    first, *rest = words
    if first in GROUPS:
        name = f"{first} {rest[0]}" if rest else ""
        name = ALIASES.get(name, name)
        return (name, rest[1:]) if name in HOMES else (first, rest)
    name = ALIASES.get(first, first)
    return (name, rest) if name in HOMES else ("", rest)


def load(name: str) -> Command:
    """Import a command by any of its names."""
    module, _, attribute = HOMES[ALIASES.get(name, name)].partition(":")
    # `importlib.import_module` would do; the built-in underneath saves its import.
    command: Command = getattr(__import__(f"pyke.cli.{module}", fromlist=[attribute]), attribute)
    return command


def spellings(name: str) -> list[str]:
    """All spellings of a command, sorted."""
    return sorted([name, *(alias for alias, target in ALIASES.items() if target == name)])


def top_level() -> list[str]:
    """The commands that need no group."""
    return [name for name in HOMES if " " not in name]


def members(group: str) -> list[str]:
    """The commands of a group: one spelling each, which `find` understands."""
    preferred: dict[str, str] = {}
    for name in [*HOMES, *ALIASES]:
        if name.startswith(group + " "):
            target = ALIASES.get(name, name)
            preferred[target] = min(preferred.get(target, name), name, key=_plainness)
    return sorted(preferred.values())


def _plainness(name: str) -> tuple[int, str]:
    """`ls` before `list` and `ps`, `rm` before `remove`."""
    return (0 if name.endswith((" ls", " rm")) else 1, name)
