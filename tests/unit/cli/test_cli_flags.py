"""Flags are read as Docker's client reads them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke.cli import commands
from pyke.cli.containers import create_spec
from pyke.cli.containers.run import RUN
from pyke.cli.flags import BOOL, DECIMAL, INT, LIST, STRING, Command, Flag, HelpWanted, UsageError, parse

FLAGS = [
    Flag("detach", "d", BOOL, ""),
    Flag("interactive", "i", BOOL, ""),
    Flag("tty", "t", BOOL, "", True),
    Flag("env", "e", LIST, ""),
    Flag("name", "", STRING, ""),
    Flag("retries", "r", INT, ""),
    Flag("cpus", "", DECIMAL, ""),
]


def command(*, passes_rest: bool = True, minimum: int = 0) -> Command:
    return Command("try", "IMAGE [ARG...]", "", lambda _session, _options: 0, FLAGS, minimum=minimum, maximum=None, passes_rest=passes_rest)


def test_long_flags_take_their_value_behind_an_equals_sign_or_as_the_next_word() -> None:
    options = parse(command(), ["--name=a=b", "--env", "--name", "--env", "x", "image"])
    assert options.text("name") == "a=b"
    assert options.texts("env") == ["--name", "x"]
    assert options.arguments == ["image"]


def test_a_cluster_of_short_flags_ends_with_one_that_takes_a_value() -> None:
    options = parse(command(), ["-die", "A=1", "-eB=2", "-e=C", "-r3"])
    assert options.yes("detach") and options.yes("interactive")
    assert options.texts("env") == ["A=1", "B=2", "C"]
    assert options.number("retries") == 3


def test_bools_can_be_denied() -> None:
    assert not parse(command(), ["--tty=false"]).yes("tty")
    assert not parse(command(), ["-t=0"]).yes("tty")
    assert parse(command(), []).yes("tty")


def test_after_the_image_everything_belongs_to_its_command() -> None:
    options = parse(command(), ["image", "ls", "-d", "--bogus", "--", "x"])
    assert options.arguments == ["image", "ls", "-d", "--bogus", "--", "x"]
    assert not options.yes("detach")


def test_elsewhere_flags_may_follow_arguments_until_two_dashes() -> None:
    options = parse(command(passes_rest=False), ["one", "-d", "--", "-i"])
    assert options.arguments == ["one", "-i"]
    assert options.yes("detach") and not options.yes("interactive")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--bogus"], "unknown flag: --bogus"),
        (["-dz"], "unknown shorthand flag: 'z' in -dz"),
        (["--name"], "flag needs an argument: --name"),
        (["-de"], "flag needs an argument: 'e' in -de"),
        (["--detach=maybe"], 'invalid argument "maybe" for "-d, --detach" flag: strconv.ParseBool: parsing "maybe": invalid syntax'),
        (["-r", "abc"], 'invalid argument "abc" for "-r, --retries" flag: strconv.ParseInt: parsing "abc": invalid syntax'),
        (["--cpus", "abc"], 'invalid argument "abc" for "--cpus" flag: failed to parse abc as a rational number'),
    ],
)
def test_what_is_wrong_with_a_flag_is_said_in_dockers_words(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(command(), words)
    assert message in caught.value.message
    assert caught.value.exit_status == 125


def test_too_few_arguments_are_a_failure_of_their_own() -> None:
    with pytest.raises(UsageError, match="'pyke try' requires at least 1 argument\n") as caught:
        parse(command(minimum=1), [])
    assert caught.value.exit_status == 1


def test_help_is_wanted_before_anything_is_complained_about() -> None:
    for words in (["--help"], ["-h"], ["-d", "--help", "--bogus"]):
        with pytest.raises(HelpWanted):
            parse(command(minimum=1), words)


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("-e", "=x", "invalid environment variable: =x"),
        ("--label", "", "invalid label '': empty name"),
        ("--memory", "abc", "invalid size: 'abc'"),
        ("--ulimit", "bogus=1", "invalid ulimit type: bogus"),
        ("--sysctl", "kernel.bogus=1", "sysctl 'kernel.bogus=1' is not allowed"),
        ("--dns", "abc", "IP address is not correctly formatted: abc"),
        ("--add-host", "bad", 'bad format for add-host: "bad"'),
        ("--health-interval", "1", 'time: missing unit in duration "1"'),
        ("-a", "bogus", "valid streams are STDIN, STDOUT and STDERR"),
        ("--mount", "src=a", "target is required"),
    ],
)
def test_values_of_run_are_checked_as_docker_does(flag: str, value: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(RUN, [flag, value, "busybox"])
    assert message in caught.value.message


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"))))
def test_any_words_parse_or_are_refused(words: list[str]) -> None:
    try:
        options = parse(RUN, words)
    except (UsageError, HelpWanted):
        return
    assert options.arguments and words[-len(options.arguments) :] == options.arguments


@given(st.lists(st.text(min_size=1), min_size=1))
def test_what_follows_two_dashes_reaches_the_container_unchanged(words: list[str]) -> None:
    options = parse(RUN, ["--rm", "--", "busybox", *words])
    assert create_spec.request(options)["Cmd"] == words


def test_every_command_of_the_table_exists_and_is_called_what_the_table_says() -> None:
    for name in commands.HOMES:
        assert commands.load(name).name == name


def test_every_alias_leads_to_a_command() -> None:
    for alias, name in commands.ALIASES.items():
        assert name in commands.HOMES, alias
        assert commands.find(alias.split(" ")) == (name, [])


def test_a_list_of_strings_may_stand_in_one_word() -> None:
    options = parse(commands.load("network connect"), ["--alias", 'a,b,"c,d"', "--alias=e", "--alias", "", "net", "one"])
    assert options.texts("alias") == ["a", "b", "c,d", "e"]


def test_a_command_is_called_as_it_was_typed() -> None:
    assert commands.as_typed("ps", ["container", "list"]).called == "pyke container ls"
    assert commands.as_typed("rm", ["container", "remove"]).called == "pyke container rm"
    assert commands.as_typed("ps", ["ps"]).called == "pyke ps"
    assert commands.as_typed("network rm", ["network", "remove"]).called == "pyke network rm"


def test_no_command_declares_a_flag_twice() -> None:
    for name in commands.HOMES:
        flags = commands.load(name).flags
        for spelling in ([flag.name for flag in flags], [flag.short for flag in flags if flag.short]):
            assert len(spelling) == len(set(spelling)), name


def test_every_command_is_in_the_manual() -> None:
    manual = (Path(__file__).parents[3] / "docs" / "commands.md").read_text()
    assert [name for name in commands.HOMES if f"`{name}`" not in manual] == []
