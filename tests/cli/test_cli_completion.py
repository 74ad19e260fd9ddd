"""Completion: which words fit, and that bash, where it is there, completes by them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cli_daemon import SmallDaemon, tree
from cli_program import Program

from thrum_kernel.cli import completion
from thrum_kernel.cli.app import kernel_tree
from thrum_kernel.errors import UsageError


def words(*typed: str) -> list[str]:
    return [
        word for word, _ in completion.candidates(tree(), typed, lambda: [("@bob", "tester"), ("@eve", "")])
    ]


def test_commands_are_offered_with_what_they_do() -> None:
    found = completion.candidates(tree(), ["te"], list)

    assert found == [("team", "The team"), ("terminal", "Own the terminal")]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (("team", ""), ["local"]),
        (("team", "here", "--a"), ["--all"]),
        (("send", "--b"), ["--body-file"]),
        (("send", "--js"), ["--json"]),
        (("--json", "sen"), ["send"]),
        (("--role", "x", "sen"), ["send"]),
        (("send", "--to", "@"), ["@bob", "@eve"]),
        (("send", "--to", "@e"), ["@eve"]),
        (("send", "--body-file", ""), []),
        (("send", "--", "--b"), []),
        (("nothing", "like", ""), words("")),
    ],
)
def test_what_fits(typed: tuple[str, ...], expected: list[str]) -> None:
    assert words(*typed) == expected


def test_every_command_of_the_kernel_can_be_completed() -> None:
    commands = kernel_tree()
    for path, command in commands.root.commands():
        if not command.hidden and path:
            *before, last = path
            assert last in [word for word, _ in completion.candidates(commands, [*before, last], list)]
            completion.candidates(commands, [*path, "--"], list)


def test_there_is_a_script_for_each_shell() -> None:
    for shell in ("bash", "zsh", "fish", "powershell"):
        assert "thrum __complete" in completion.script(shell)
    with pytest.raises(UsageError, match='unknown shell "tcsh"'):
        completion.script("tcsh")


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
@pytest.mark.parametrize(
    ("line", "expected"),
    [("thrum sen", "send"), ("thrum send --body", "--body-file"), ("thrum team ", "local")],
)
def test_bash_completes(
    daemon: SmallDaemon, thrum: Program, tmp_path: Path, line: str, expected: str
) -> None:
    (tmp_path / "completion").write_text(completion.script("bash"))
    asked = f'. {tmp_path}/completion; COMP_LINE="$1"; COMP_POINT=${{#1}}; _thrum; printf "%s\\n" "${{COMPREPLY[@]}}"'
    env = {**thrum.env, "PATH": f"{Path(thrum.words[0]).parent}{os.pathsep}{thrum.env['PATH']}"}

    done = subprocess.run(
        ["bash", "-c", asked, "bash", line],
        cwd=thrum.cwd,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == [expected]
