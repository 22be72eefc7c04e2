"""Scripts are read with their notes, run in a folder of their own, and compared without what differs from run to run."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyke.testing.transcript import Outcome, Step, Terminal, Words, differences, read

SCRIPT = """
# A remark.
docker ps
docker run x
  differs: because
  cli status differs: for another reason
"""


def test_a_script_is_read_with_its_notes() -> None:
    first, second = read(SCRIPT)
    assert (first.command, second.command) == ("docker ps", "docker run x")
    assert second.allowed("differs", "cli") == second.allowed("differs", "engine") == "because"
    assert second.allowed("status differs", "cli") == "for another reason"
    assert second.allowed("status differs", "engine") == first.allowed("differs", "cli") == ""


def test_a_note_needs_a_reason() -> None:
    with pytest.raises(AssertionError, match="without a reason"):
        read("docker ps\n  differs:\n")


def test_what_differs_from_run_to_run_is_replaced() -> None:
    text = f"{'a1' * 32}  busybox   2 seconds ago   Up About a minute  \n2026-11-24T03:27:27.1Z 172.17.0.2 02:42:ac:11:00:02 /root/x\n"
    found = Words([("/root", "<root>")]).comparable(Outcome(0, text, "")).stdout
    assert found == "<id>  busybox  <ago>  Up <ago>\n<time> <address> <mac> <root>/x\n"


def test_differences_without_a_note_and_notes_without_a_difference_are_told() -> None:
    steps = [Step("same"), Step("other"), Step("noted", {"differs": "because"}), Step("stale", {"differs": "because"})]
    left = [Outcome(0, "a\n", "")] * 4
    right = [Outcome(0, "a\n", ""), Outcome(1, "b\n", "c\n"), Outcome(0, "b\n", ""), Outcome(0, "a\n", "")]
    told = list(differences(steps, left, right, "cli"))
    assert [each.splitlines()[0] for each in told] == ["$ other", "$ other", "$ stale"]
    assert "  err| c\n" in told[0]
    assert len(list(differences(steps, left, right, "cli", checks_notes=False))) == 2


def test_a_command_runs_in_its_folder_with_the_client_under_test(tmp_path: Path) -> None:
    terminal = Terminal(str(tmp_path), ["echo", "client"], ["env"])
    assert terminal.run("pwd; docker a b; echo x >&2; exit 3") == Outcome(3, f"{tmp_path}/folder\nclient a b\n", "x\n")
