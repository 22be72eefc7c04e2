"""`pyke completion bash|zsh|fish`: a script for the shell, written from the commands' own declarations."""

from __future__ import annotations

from pyke.cli import commands
from pyke.cli.flags import Command, Options
from pyke.errors import PykeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyke.cli.session import Session

# The first word of a command's arguments, and what prints the names that it may be.
_NAMES = {
    "CONTAINER": "pyke ps -a --format '{{.Names}}'",
    "IMAGE": "pyke images --format '{{.Repository}}:{{.Tag}}'",
    "NETWORK": "pyke network ls --format '{{.Name}}'",
    "VOLUME": "pyke volume ls -q",
}

_BASH = """\
# bash completion for pyke: source <(pyke completion bash)
_pyke() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} command="" word position=1
    for word in "${{COMP_WORDS[@]:1:$((COMP_CWORD - 1))}}"; do
        case $word in
            -*) ;;
            *) command="${{command:+$command }}$word"; [[ " {groups} " == *" $command "* ]] || break ;;
        esac
    done
    local words="" names=""
    case $command in
{cases}
    esac
    [[ $current != -* && -n $names ]] && words="$words $(eval "$names" 2>/dev/null)"
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _pyke pyke
"""


def _spelled() -> dict[str, Command]:
    """All spellings of all commands."""
    spellings = {name: name for name in commands.HOMES} | commands.ALIASES
    return {spelling: commands.load(name) for spelling, name in sorted(spellings.items())}


def _flag_words(command: Command) -> str:
    return " ".join([*(f"--{flag.name}" for flag in command.flags), "--help"])


def _name_source(command: Command) -> str:
    first = command.arguments.split(" ")[0].split("[")[0] if not command.arguments.startswith("[") else ""
    return _NAMES.get(first, "")


def _bash() -> str:
    spelled = _spelled()
    top = sorted({spelling.split(" ")[0] for spelling in spelled})
    cases = [f'        "") words="{" ".join(top)} --help --host --root --version" ;;']
    for group in commands.GROUPS:
        members = " ".join(spelling.split(" ")[1] for spelling in spelled if spelling.startswith(group + " "))
        cases.append(f'        {group}) words="{members}" ;;')
    for spelling, command in spelled.items():
        names = _name_source(command).replace('"', '\\"')
        cases.append(f'        "{spelling}") words="{_flag_words(command)}"; names="{names}" ;;')
    return _BASH.format(groups=" ".join(commands.GROUPS), cases="\n".join(cases))


def _zsh() -> str:
    head = "#compdef pyke\n# zsh completion for pyke: source <(pyke completion zsh)\n"
    return head + "autoload -U +X bashcompinit && bashcompinit\n" + _bash()


def _fish() -> str:
    lines = ["# fish completion for pyke: pyke completion fish | source", "complete -c pyke -f"]
    for room, summary in commands.GROUPS.items():
        lines.append(f"complete -c pyke -n __fish_use_subcommand -a {room} -d {_fish_quoted(summary)}")
    for spelling, command in _spelled().items():
        *group, name = spelling.split(" ")
        condition = f"__fish_seen_subcommand_from {group[0]}" if group else "__fish_use_subcommand"
        lines.append(f"complete -c pyke -n '{condition}' -a {name} -d {_fish_quoted(command.summary)}")
        seen = f"__fish_seen_subcommand_from {name}"
        if source := _name_source(command):
            lines.append(f"complete -c pyke -n '{seen}' -a \"({source})\"")
        for flag in command.flags:
            short = f" -s {flag.short}" if flag.short else ""
            lines.append(f"complete -c pyke -n '{seen}' -l {flag.name}{short} -d {_fish_quoted(flag.summary)}")
    return "\n".join(lines) + "\n"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SHELLS = {"bash": _bash, "fish": _fish, "zsh": _zsh}


def _completion(session: Session, options: Options) -> int:
    shell = options.arguments[0]
    if shell not in SHELLS:
        raise PykeError(f"no completion for the shell {shell!r}: there is one for {', '.join(SHELLS)}", hint="pyke completion bash")
    session.out(SHELLS[shell]().rstrip("\n"))
    return 0


COMPLETION = Command(
    "completion",
    "SHELL",
    "Generate the completion script for bash, zsh or fish",
    _completion,
    minimum=1,
    maximum=1,
    examples=("source <(pyke completion bash)", "pyke completion fish | source"),
)
