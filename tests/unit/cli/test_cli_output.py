"""How things are shown: tables, sizes, times, progress, and what a terminal must not obey."""

import os
import pty
import re
import signal
import subprocess
import sys
import termios
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyke.cli import jsontext, listing, tables, timestamps, units, usage
from pyke.cli.containers import ps, terminal
from pyke.cli.images import progress
from pyke.cli.session import Session, neutralise
from pyke.errors import PykeError


def test_columns_are_ten_wide_and_three_apart() -> None:
    rows = [["NETWORK ID", "NAME", "DRIVER"], ["6b3d1c7bd6e8", "bridge", "bridge"]]
    assert tables.render(rows) == "NETWORK ID     NAME      DRIVER\n6b3d1c7bd6e8   bridge    bridge\n"


def test_a_row_without_a_cell_ends_the_column() -> None:
    assert tables.render([["a" * 20, "b"], ["alone"], ["c", "d"]]) == "a" * 20 + "   b\nalone\nc         d\n"


@given(st.lists(st.lists(st.text(st.characters(exclude_characters="\n\r\t"), max_size=30), min_size=1, max_size=5), max_size=6))
def test_no_cell_is_lost(rows: list[list[str]]) -> None:
    lines = tables.render(rows).split("\n")[:-1] if rows else []
    for row, line in zip(rows, lines, strict=False):
        assert "".join(line.split(" ")) == "".join("".join(row).split(" "))


@pytest.mark.parametrize(
    ("size", "shown"), [(0, "0B"), (999, "999B"), (1986000, "1.986MB"), (682700, "682.7kB"), (1000, "1kB"), (5 * 10**12, "5TB")]
)
def test_sizes(size: int, shown: str) -> None:
    assert units.human_size(size) == shown


def test_sizes_with_three_digits_and_in_powers_of_1024() -> None:
    assert units.human_size(1986000, 3) == "1.99MB"
    assert units.binary_size(25276063744) == "23.54GiB"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.5, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (1500, "25 minutes"),
        (3600, "About an hour"),
        (3600 * 47, "47 hours"),
        (86400 * 3, "3 days"),
        (86400 * 20, "2 weeks"),
        (86400 * 90, "3 months"),
        (86400 * 800, "2 years"),
    ],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert units.human_duration(seconds) == words


@pytest.mark.parametrize(
    ("text", "size"), [("64m", 64 << 20), ("64MB", 64 << 20), ("1.5g", 3 << 29), ("100", 100), ("1kib", 1024), ("10b", 10)]
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert units.parse_size(text) == size


@given(st.text())
def test_any_size_is_read_or_refused(text: str) -> None:
    try:
        assert units.parse_size(text) >= 0
    except ValueError as error:
        assert str(error)


@given(st.integers(min_value=-(2**62), max_value=2**62))
def test_a_duration_that_was_written_is_read(nanoseconds: int) -> None:
    assert units.parse_duration(units.format_duration(nanoseconds)) == nanoseconds


@given(st.text())
def test_any_duration_is_read_or_refused(text: str) -> None:
    try:
        units.parse_duration(text)
    except ValueError as error:
        assert str(error).startswith("time: ")


def test_since_may_be_a_duration_an_instant_or_seconds() -> None:
    assert timestamps.api_timestamp("1700000000.5") == "1700000000.5"
    assert timestamps.api_timestamp("10m", now=1000) == "400.000000000"
    assert timestamps.api_timestamp("2026-11-24T03:01:53.692276058Z") == "1795489313.692276058"
    assert timestamps.api_timestamp("2026-11-24T04:01:53+01:00") == "1795489313.000000000"
    with pytest.raises(ValueError, match=r"failed to parse value as time or duration"):
        timestamps.api_timestamp("yesterday")


def test_instants_are_shown_as_go_shows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert timestamps.rfc3339_nano(1795490951522623782) == "2026-11-24T03:29:11.522623782+00:00"
    assert timestamps.local(1795489313) == "2026-11-24 03:01:53 +0000 UTC"
    assert timestamps.ago(0) == "N/A"


def port(private: int, public: int = 0, address: str = "", protocol: str = "tcp") -> dict[str, Any]:
    return {"PrivatePort": private, "PublicPort": public, "IP": address, "Type": protocol}


def test_ports_are_shown_with_neighbours_as_ranges() -> None:
    assert ps.ports([port(80, 18080, "0.0.0.0"), port(80, 18080, "::")]) == "0.0.0.0:18080->80/tcp, [::]:18080->80/tcp"
    assert ps.ports([port(82), port(80), port(81)]) == "80-82/tcp"
    assert ps.ports([port(83, 18083, "0.0.0.0", "udp")]) == "0.0.0.0:18083->83/udp"


def test_a_name_cannot_speak_to_the_terminal() -> None:
    assert neutralise("a\x1b]0;title\x07\x9b31m\r\u202eb\n\tc") == "a\\x1b]0;title\\x07\\x9b31m\\x0d\\u202eb\n\tc"
    assert neutralise("plain é …") == "plain é …"


@given(st.text())
def test_no_control_character_is_left(text: str) -> None:
    assert re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", neutralise(text)) is None


def collect(capfd: pytest.CaptureFixture[str], template: str) -> str:
    fields = {"Name": ("NAME", lambda item: item["n"]), "Size": ("SIZE", lambda item: item["s"])}
    view = listing.Listing("*formatter.X", fields, ("Name", "Size"))
    listing.show(Session("/nonexistent"), view, [{"n": "one<", "s": "1B"}, {"n": "two", "s": "2B"}], template)
    return capfd.readouterr().out


@pytest.mark.parametrize(
    ("template", "printed"),
    [
        ("", "NAME      SIZE\none<      1B\ntwo       2B\n"),
        ("json", '{"Name":"one\\u003c","Size":"1B"}\n{"Name":"two","Size":"2B"}\n'),
        ("{{.Name}}={{.Size}}", "one<=1B\ntwo=2B\n"),
        ("table {{.Size}}\\t{{upper .Name}}", "SIZE      NAME\n1B        ONE<\n2B        TWO\n"),
        ("{{json .}}", '{"Name":"one\\u003c","Size":"1B"}\n{"Name":"two","Size":"2B"}\n'),
    ],
)
def test_formats_of_a_listing(capfd: pytest.CaptureFixture[str], template: str, printed: str) -> None:
    assert collect(capfd, template) == printed


def test_an_unknown_field_of_a_listing_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PykeError, match=r"template parsing error: .*can't evaluate field Bogus in type \*formatter.X"):
        collect(capfd, "{{.Bogus}}")


PULL: list[dict[str, Any]] = [
    {"status": "Pulling from library/busybox", "id": "latest"},
    {"status": "Downloading", "id": "abc", "progressDetail": {"current": 50, "total": 100}},
    {"status": "Pull complete", "id": "abc", "progressDetail": {}},
    {"status": "Digest: sha256:00"},
]


def test_progress_in_a_file_says_what_has_happened(capfd: pytest.CaptureFixture[str]) -> None:
    progress.show(iter(PULL), 1)
    assert capfd.readouterr().out == "latest: Pulling from library/busybox\nabc: Pull complete\nDigest: sha256:00\n"


def test_progress_on_a_terminal_redraws_a_layers_line() -> None:
    ours, theirs = pty.openpty()
    progress.show(iter(PULL), theirs)
    shown = ""
    while "Digest" not in shown:  # a terminal hands over what it has, not all that was written
        shown += os.read(ours, 65536).decode()
    os.close(ours)
    os.close(theirs)
    assert f"abc: Downloading [{'=' * 25}>" in shown
    assert shown.count("\x1b[1A") == 3  # each layer's line is reached again


def test_an_error_in_the_stream_is_an_error() -> None:
    with pytest.raises(PykeError, match=r"^no space$") as caught:
        progress.show(iter([{"errorDetail": {"message": "no space"}, "error": "no space", "hint": "pyke system prune"}]), 1)
    assert caught.value.hint == "pyke system prune"


def test_a_terminal_gets_its_mode_back_whatever_happens() -> None:
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    with pytest.raises(KeyboardInterrupt), terminal.Raw(theirs):
        assert not termios.tcgetattr(theirs)[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
        raise KeyboardInterrupt
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


def test_a_terminal_gets_its_mode_back_when_we_are_asked_to_end() -> None:
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as caught, terminal.Raw(theirs):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    assert caught.value.code == 143
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


def test_a_pipe_has_no_mode_and_no_size() -> None:
    reading, writing = os.pipe()
    with terminal.Raw(reading):
        assert terminal.size(reading) == (0, 0)
    os.close(reading)
    os.close(writing)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_json_survives_its_own_text(value: object) -> None:
    plain, escaped, ascii_only = jsontext.dumps(value), jsontext.dumps(value, escape_html=True), jsontext.dumps(value, ascii_only=True)
    for text in (plain, escaped, ascii_only, jsontext.pretty(value)):
        assert jsontext.loads(text) == value


@given(st.text())
def test_what_is_not_json_is_a_value_error(text: str) -> None:
    try:
        jsontext.loads(text)
    except ValueError:
        return


def test_what_is_no_json_is_told_where_nobody_has_imported_json() -> None:
    # The scanner in C looks for its exception in `json.decoder`, and has none to raise where that is not loaded.
    script = """
import sys
from pyke.cli import jsontext
assert "json" not in sys.modules
for text in ("{", '{"a', "[1 2]", '"abc', ""):
    try:
        jsontext.loads(text)
    except ValueError:
        continue
    sys.exit(f"{text} was taken")
"""
    subprocess.run([sys.executable, "-S", "-c", script], env={"PYTHONPATH": os.pathsep.join(sys.path)}, check=True)


def test_json_is_laid_out_as_by_inspect() -> None:
    assert jsontext.pretty({"a": [], "b": {}, "c": [1, {"d": None}]}) == (
        '{\n    "a": [],\n    "b": {},\n    "c": [\n        1,\n        {\n            "d": null\n        }\n    ]\n}'
    )


def test_the_overview_and_every_group_have_a_help() -> None:
    assert "Usage:  pyke [OPTIONS] COMMAND" in usage.overview()
    assert "  ls          List containers" in usage.group_help("container")
    assert "  connect     Connect a container to a network" in usage.group_help("network")
