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

# The name by which a command is defined, and where: pyke.cli.ROOM.MODULE, ATTRIBUTE.
HOMES = {
    "attach": "containers.attach:ATTACH",
    "commit": "containers.commit:COMMIT",
    "completion": "system.completion:COMPLETION",
    "container prune": "system.prune:CONTAINERS",
    "cp": "containers.copy:COPY",
    "create": "containers.create:CREATE",
    "diff": "containers.inside:DIFF",
    "engine": "system.engine:ENGINE",
    "events": "system.events:EVENTS",
    "exec": "containers.exec:EXEC",
    "export": "containers.inside:EXPORT",
    "history": "images.history:HISTORY",
    "image inspect": "system.inspect:IMAGE",
    "image prune": "system.prune:IMAGES",
    "images": "images.ls:IMAGES",
    "import": "images.transfer:IMPORT",
    "info": "system.info:INFO",
    "inspect": "system.inspect:INSPECT",
    "container inspect": "system.inspect:CONTAINER",
    "kill": "containers.lifecycle:KILL",
    "load": "images.transfer:LOAD",
    "login": "registries.login:LOGIN",
    "logout": "registries.login:LOGOUT",
    "logs": "containers.logs:LOGS",
    "manifest inspect": "registries.manifest:INSPECT",
    "network connect": "networks.connect:CONNECT",
    "network create": "networks.create:CREATE",
    "network disconnect": "networks.connect:DISCONNECT",
    "network inspect": "system.inspect:NETWORK",
    "network ls": "networks.ls:LS",
    "network prune": "system.prune:NETWORKS",
    "network rm": "networks.create:REMOVE",
    "pause": "containers.lifecycle:PAUSE",
    "plugin ls": "system.plugin:LS",
    "port": "containers.inside:PORT",
    "ps": "containers.ps:PS",
    "pull": "images.pull:PULL",
    "push": "images.push:PUSH",
    "rename": "containers.lifecycle:RENAME",
    "restart": "containers.lifecycle:RESTART",
    "rm": "containers.lifecycle:REMOVE",
    "rmi": "images.tag:REMOVE",
    "run": "containers.run:RUN",
    "save": "images.transfer:SAVE",
    "search": "registries.search:SEARCH",
    "start": "containers.start:START",
    "stats": "containers.stats:STATS",
    "stop": "containers.lifecycle:STOP",
    "system df": "system.disk_usage:DISK_USAGE",
    "system prune": "system.prune:SYSTEM",
    "tag": "images.tag:TAG",
    "top": "containers.inside:TOP",
    "unpause": "containers.lifecycle:UNPAUSE",
    "update": "containers.update:UPDATE",
    "version": "system.info:VERSION",
    "volume create": "volumes.create:CREATE",
    "volume inspect": "system.inspect:VOLUME",
    "volume ls": "volumes.ls:LS",
    "volume prune": "system.prune:VOLUMES",
    "volume rm": "volumes.create:REMOVE",
    "wait": "containers.lifecycle:WAIT",
    "why": "containers.why:WHY",
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


def as_typed(name: str, words: Sequence[str]) -> Command:
    """The command `name`, which a line's words named: who has typed its group reads it with its group in help and errors."""
    command, group = load(name), words[0]
    if group not in GROUPS or name.startswith(f"{group} "):
        return command
    return command.by_the_name(next(each for each in members(group) if ALIASES.get(each) == name))


def spellings(name: str) -> list[str]:
    """All spellings of a command, sorted."""
    name = ALIASES.get(name, name)
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
