"""``tmux exec …`` as people type it: no project, no daemon."""

from __future__ import annotations

import json
import os
import secrets
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from thrum_tmux.exec.server import ExecServer

from thrum_kernel.testing.harness import Cli
from thrum_kernel.testing.spawner import Spawner


@pytest.fixture
def cli(isolated_home: dict[str, str], thrum_spawner: Spawner, tmp_path: Path) -> Iterator[Cli]:
    with tempfile.TemporaryDirectory(prefix="thrum-") as short:  # a socket's path must be short
        env = {
            **isolated_home,
            "TMUX_EXEC_SOCKET": f"thrum-test-exec-{secrets.token_hex(4)}",
            "TMUX_TMPDIR": short,
            "TMPDIR": str(tmp_path),
            "THRUM_NAME": "bob",
        }
        yield Cli(thrum_spawner, tmp_path, env)
        ExecServer(env["TMUX_EXEC_SOCKET"], env).ask("kill-server")


def temporary(cli: Cli) -> list[Path]:
    return list(cli.cwd.glob("thrum-exec-*"))


def test_output_and_exit_status_are_the_commands(cli: Cli) -> None:
    found = cli.run("tmux", "exec", "--", "sh", "-c", 'echo "$1 $THRUM_NAME"; pwd; exit 3', "-", "a 'b'")
    assert (found.status, found.out, found.err) == (3, f"a 'b' bob\n{cli.cwd}\n", "")
    found = cli.run("tmux", "exec", "exec", "--clean", "--tail", "1", "--json", "seq 3; echo x${THRUM_NAME}x")
    assert json.loads(found.out) == {"output": "xx\n", "exit_status": 0, "timed_out": False}
    late = cli.refused("tmux", "exec", "--timeout", "0.2", "sleep 60", status=124)
    assert late.startswith("Error: the command was not done after 0.2 s and was interrupted\nHint: ")
    inside = cli.run("tmux", "exec", "--", str(cli.program[0]), "tmux", "exec", "true")
    assert inside.status == 1
    assert "Error: a command in the pool cannot wait for the pool" in inside.out
    assert temporary(cli) == []


def test_whoever_ends_the_caller_ends_the_command(cli: Cli) -> None:
    for number, status in ((signal.SIGTERM, 130), (signal.SIGKILL, -9)):
        begun = cli.cwd / f"begun-{number}"
        process = cli.background(
            "tmux", "exec", "--timeout", "3", f"echo $$ >{begun}; sleep 60", output=cli.cwd / "output"
        )
        deadline = time.monotonic() + 30
        while not (begun.exists() and begun.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(process.pid, number)
        assert process.wait() == status
    found = cli.run(
        "tmux", "exec", "echo next"
    )  # waits until the runner of the killed one has ended its command
    assert (found.status, found.out) == (0, "next\n")
    with pytest.raises(ProcessLookupError):
        os.kill(int(begun.read_text()), 0)
    assert temporary(cli) == []


def test_sessions_of_ones_own(cli: Cli) -> None:
    assert cli("tmux", "exec", "list").startswith("No sessions on socket thrum-test-exec-")
    assert cli("tmux", "exec", "create", "build") == "✓ Session created: build\n"
    cli("tmux", "exec", "send", "build", "X='-y ü'")
    assert cli("tmux", "exec", "run", "build", "--", "echo", "ran") == "ran\n"
    assert "X='-y ü'" in cli("tmux", "exec", "capture", "build")
    (row,) = cli.json("tmux", "exec", "list")
    assert (row["name"], row["pool"]) == ("build", False)
    assert cli("tmux", "exec", "destroy", "build") == "Session build destroyed\n"
    refused = cli.refused("tmux", "exec", "run", "build", "true")
    assert refused == 'Error: session "build" not found\nHint: thrum tmux exec create build\n'


def test_a_socket_whose_path_is_too_long_is_told_as_such(cli: Cli) -> None:
    folder = cli.cwd / ("x" * 100)
    folder.mkdir(mode=0o700)
    said = cli.at(cli.cwd, TMUX_TMPDIR=str(folder)).refused("tmux", "exec", "true")
    assert "is too long for a socket" in said and "set TMUX_TMPDIR to a shorter folder" in said
