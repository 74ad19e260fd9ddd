"""``tmux snapshot …`` and what ``prime`` shows of it, with runtimes as processes and a real daemon, and without one."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from thrum_kernel.testing.harness import Cli, launcher


class Runtime:
    """A process called claude, above everything that it is told to run, with a transcript."""

    def __init__(self, folder: Path, cli: Cli) -> None:
        folder.mkdir()
        self._orders, self._output, self._cli = folder / "orders", folder / "output", cli
        self._program = folder / "claude"
        self._program.write_text(
            f"#!/bin/sh\nwhile read -r order; do eval \"$order\"; echo '<done>'; done <'{self._orders}'\n"
        )
        self._program.chmod(0o755)
        os.mkfifo(self._orders)

    def __enter__(self) -> Runtime:
        env = {**self._cli.env, "PATH": f"{launcher().parent}:{self._cli.env['PATH']}"}
        self._process = self._cli.spawner.start(
            [str(self._program)], cwd=self._cli.cwd, env=env, output=self._output
        )
        self._pipe = self._orders.open("w")
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.wait()

    def does(self, order: str) -> str:
        """What a command prints that the runtime runs."""
        before = self._output.read_text() if self._output.exists() else ""
        self._pipe.write(f"{order}\n")
        self._pipe.flush()
        deadline = time.monotonic() + 60
        while not (said := self._output.read_text()[len(before) :]).endswith("<done>\n"):
            assert time.monotonic() < deadline, said
            time.sleep(0.02)
        return said.removesuffix("<done>\n")

    def says(self, *texts: str) -> Path:
        """Write its transcript: what the user and it said in turn."""
        home, cwd = Path(self._cli.env["HOME"]) / ".claude", self._cli.cwd
        folder = home / "projects" / "".join(sign if sign.isalnum() else "-" for sign in str(cwd))
        folder.mkdir(parents=True, exist_ok=True)
        (home / "sessions").mkdir(exist_ok=True)
        pid = int(self.does("echo $$"))
        (home / "sessions" / f"{pid}.json").write_text(
            json.dumps({"pid": pid, "sessionId": "abc", "cwd": str(cwd)})
        )
        entries = [
            {"type": kind, "message": {"role": kind, "content": text}, "cwd": str(cwd)}
            for kind, text in zip(("user", "assistant") * len(texts), texts, strict=False)
        ]
        path = folder / "abc.jsonl"
        path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
        return path


@pytest.fixture
def cli(cli: Cli) -> Cli:
    return cli.at(cli.cwd, THRUM_PLUGINS_STRICT="1")


def test_a_snapshot_is_saved_shown_to_the_next_session_and_then_consumed(cli: Cli, tmp_path: Path) -> None:
    cli("init", "--non-interactive")
    file = cli.cwd / ".thrum" / "restart" / "bob.md"
    with Runtime(tmp_path / "one", cli) as one:
        one.does("thrum quickstart bob --role implementer --module main")
        one.says("Round it", "Half is rounded", "And now")
        said = one.does("thrum tmux snapshot save --reason 'end of day' --plan 'finish f()'")
        assert said == "Restart snapshot saved for bob (5 lines)\n"
        assert "=== ASSISTANT ===\nHalf is rounded" in file.read_text()
        assert "And now" in file.read_text()
        assert oct(file.stat().st_mode & 0o777) == "0o600"
    assert "finish f()" in cli("prime"), "a person who looks uses nothing up"
    with Runtime(tmp_path / "two", cli) as two:
        for _ in range(2):
            told = two.does("thrum prime 2>/dev/null")
            assert told.startswith("ACTION REQUIRED: your session was restarted (end of day, saved 20")
            assert "# Previous Session Context" in told
            assert "## Resume plan\n\nfinish f()" in told
    with Runtime(tmp_path / "three", cli) as three:
        told = three.does("thrum prime")
        assert "Previous Session Context" not in told
        assert "Agent: @bob (implementer)" in told
        assert json.loads(three.does("thrum prime --json 2>/dev/null"))["restart_snapshot"] is None
    assert not file.exists()
    assert "finish f()" in file.with_name("bob.md.consumed").read_text()


def test_snapshots_need_no_daemon_and_start_none(cli: Cli, tmp_path: Path) -> None:
    cli("init", "--non-interactive")
    with Runtime(tmp_path / "one", cli) as one:
        one.does("thrum quickstart bob --role implementer --module main")
        path = one.says("Round it", "Half is rounded")
        cli("daemon", "stop")
        path.unlink()
        said = one.does("thrum tmux snapshot save 2>&1")
        assert "Error: no transcript of claude is there for PID" in said
        assert "[snapshot.save.jsonl-not-found]" in said
        said = one.does("echo go on | thrum tmux snapshot save --plan -")
        assert "Warning: snapshot.save.jsonl-not-found: only the plan is saved" in said
        assert "(0 lines)" in said
    assert cli.run("tmux", "snapshot", "check").status == 0
    refused = cli.refused("tmux", "snapshot", "save")
    assert refused.startswith("Error: no agent PID found for bob\n")
    assert "[snapshot.save.no-pid]" in refused
    assert "## Resume plan\n\ngo on" in cli("tmux", "snapshot", "restore")
    assert cli.run("tmux", "snapshot", "check").out == "No restart snapshot for bob\n"
    assert cli.refused("tmux", "snapshot", "restore").startswith("Error: no restart snapshot for bob")
    named = tmp_path / "named.jsonl"
    named.write_text(json.dumps({"type": "user", "message": {"role": "user", "content": "q"}}) + "\n" * 2)
    named.write_text(named.read_text() + json.dumps({"type": "assistant", "message": {"content": "a"}}))
    assert cli.json("tmux", "snapshot", "save", "--jsonl", str(named))["lines"] == 5
    assert cli("tmux", "snapshot", "check").startswith("Restart snapshot of bob: saved 20")
    assert "cannot be read" in cli.refused("tmux", "snapshot", "save", "--jsonl", "missing.jsonl")
    assert cli.refused("restart", "save", "--reason", "x") == (
        "Error: thrum restart save moved to thrum tmux snapshot save\nHint: thrum tmux snapshot save\n"
    )
    assert not cli.json("daemon", "status")["running"]
