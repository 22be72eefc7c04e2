"""Help texts, in one style for all commands. Imported only when somebody asks."""

from __future__ import annotations

from pyke.cli import commands
from pyke.cli.flags import BOOL, Command, Flag

WIDTH = 100


def command_help(command: Command) -> str:
    """`pyke COMMAND --help`."""
    parts = [f"Usage:  {command.usage}", command.description or command.summary]
    aliases = commands.spellings(command.name)
    if len(aliases) > 1:
        parts.append("Aliases:\n  " + ", ".join(f"pyke {alias}" for alias in aliases))
    if command.flags:
        parts.append("Options:\n" + "\n".join(_flag_lines(command.flags)))
    if command.examples:
        parts.append("Examples:\n" + "\n".join(f"  {example}" for example in command.examples))
    return "\n\n".join(parts)


def _flag_lines(flags: object) -> list[str]:
    assert isinstance(flags, (list, tuple))
    heads = [(_head(flag), flag) for flag in sorted(flags, key=lambda flag: str(flag.name).lower())]
    column = max(len(head) for head, _ in heads) + 3
    lines = []
    for head, flag in heads:
        first, *others = _wrap(flag.summary + _default(flag), WIDTH - column)
        lines.append(head.ljust(column) + first)
        lines += [" " * column + other for other in others]
    return lines


def _head(flag: Flag) -> str:
    short = f"-{flag.short}, " if flag.short else "    "
    return f"  {short}--{flag.name} {flag.kind.word}".rstrip()


def _default(flag: Flag) -> str:
    if flag.default == flag.kind.empty or flag.kind.repeats:
        return ""
    if flag.kind is BOOL:
        return f" (default {str(flag.default).lower()})"
    return f' (default "{flag.default}")' if isinstance(flag.default, str) else f" (default {flag.default})"


def _wrap(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def group_help(group: str) -> str:
    """`pyke network`: the commands of a group."""
    members = commands.members(group)
    lines = _summaries([(name.split(" ", 1)[1], name) for name in members])
    return "\n\n".join(
        [
            f"Usage:  pyke {group} COMMAND",
            commands.GROUPS[group],
            "Commands:\n" + lines,
            f"Run 'pyke {group} COMMAND --help' for more information on a command.",
        ]
    )


def overview() -> str:
    """`pyke --help`."""
    groups = "\n".join(f"  {name:<11} {summary}" for name, summary in sorted(commands.GROUPS.items()))
    others = sorted(set(commands.top_level()) - set(commands.COMMON))
    return "\n\n".join(
        [
            "Usage:  pyke [OPTIONS] COMMAND",
            "A container engine for Linux whose every driver is a plugin",
            "Common Commands:\n" + _summaries([(name, name) for name in commands.COMMON]),
            "Management Commands:\n" + groups,
            "Commands:\n" + _summaries([(name, name) for name in others]),
            "Global Options:\n" + GLOBAL_OPTIONS,
            "Run 'pyke COMMAND --help' for more information on a command.",
        ]
    )


def _summaries(names: list[tuple[str, str]]) -> str:
    return "\n".join(f"  {shown:<11} {commands.load(name).summary}" for shown, name in names)


GLOBAL_OPTIONS = """\
  -D, --debug         Show where an error came from
      --help          Print usage
  -H, --host string   Socket of the engine: unix://PATH or tcp://HOST:PORT (environment: PYKE_HOST)
      --root string   Where the engine keeps its state (environment: PYKE_ROOT) (default "/var/lib/pyke")
  -v, --version       Print version information and quit"""
