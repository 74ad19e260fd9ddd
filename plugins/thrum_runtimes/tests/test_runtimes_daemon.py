"""Hook scripts run by a real bash against a real daemon, and the commands ``runtime …``. One daemon for all hooks."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from runtimes_plan import WritingPlan, run_step
from thrum_runtimes.kit import INBOX_SCRIPT, STARTUP_SCRIPT

from thrum_kernel.testing import harness
from thrum_kernel.testing.harness import Cli, Repo, launcher
from thrum_kernel.testing.spawner import Result, Spawner
from thrum_kernel.testing.waiting import until


@dataclass
class Agent:
    """An agent with the hooks of Claude Code in a worktree of its own."""

    name: str
    repo: Repo
    cli: Cli

    def hook(self, event: str, *, script: str = INBOX_SCRIPT, path: str = "", **given: Any) -> Result:
        """What the hook does when the runtime hands it *given*."""
        env = {
            **self.cli.env,
            "HOOK_EVENT": event,
            "CLAUDE_PROJECT_DIR": str(self.repo.path),
            "PATH": path or f"{launcher().parent}:{self.cli.env['PATH']}",
        }
        return self.cli.spawner.run(
            ["/bin/bash", str(self.repo.path / script)],
            cwd=self.repo.path,
            env=env,
            stdin=json.dumps({"hook_event_name": event, "session_id": "s", **given}).encode(),
            timeout_s=60,
        )

    def told(self, event: str, **given: Any) -> str:
        """The text that the hook tells; empty when it is silent."""
        result = self.hook(event, **given)
        assert (result.status, result.err) == (0, "")
        if not result.out:
            return ""
        value = json.loads(result.out)
        if event == "Stop":
            assert value["decision"] == "block"
            return str(value["reason"])
        output = value["hookSpecificOutput"]
        assert output["hookEventName"] == event
        return str(output["additionalContext"])

    def send(self, text: str, to: str) -> str:
        return str(self.cli.json("send", text, "--to", f"@{to}")["message_id"])

    def states(self, message_id: str) -> dict[str, str]:
        """By recipient, how far a message of this agent came."""
        sent = self.cli.json("sent")["messages"]
        (message,) = [each for each in sent if each["message_id"] == message_id]
        return {each["agent_id"]: each["state"] for each in message["recipients"]}


@pytest.fixture
def cli(cli: Cli) -> Cli:
    """`cli` whose daemon refuses to run without a plugin."""
    return cli.at(cli.cwd, THRUM_PLUGINS_STRICT="1")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, thrum_spawner: Spawner) -> Iterator[Cli]:
    """The file's project, whose daemon runs."""
    with harness.project(thrum_spawner, tmp_path_factory.mktemp("runtimes")) as (cli, _):
        yield cli


@pytest.fixture(scope="module")
def members(project: Cli) -> dict[str, Agent]:
    """alice, bob and carol, each in a worktree."""
    return {name: settled(project, name) for name in ("alice", "bob", "carol")}


def settled(project: Cli, name: str) -> Agent:
    """An agent, registered in a new worktree that has the hooks."""
    agent = unregistered(project, name)
    agent.cli("quickstart", name, "--role", "implementer", "--module", "main")
    return agent


def unregistered(project: Cli, name: str) -> Agent:
    """A new worktree that has the hooks, and nobody in it."""
    place = Repo(project.cwd, project.cwd, project.env).worktree(name)
    run_step(WritingPlan(place.path, place.env, {"runtime": "claude"}))
    return Agent(name, place, project.at(place.path))


@pytest.fixture
def team(members: dict[str, Agent]) -> dict[str, Agent]:
    """The same, with nothing in their inboxes that is unread."""
    for agent in members.values():
        agent.cli("message", "read", "--all")
    return members


def test_a_hook_tells_of_mail_once_and_what_it_is_shown_is_evidence(team: dict[str, Agent]) -> None:
    alice, bob = team["alice"], team["bob"]
    message = alice.send("May I round?", "bob")
    assert bob.told("PostToolUse", tool_name="Read", tool_input={"file_path": "x"}) == (
        f"New message from @alice ({message}) -- run: thrum inbox"
    )
    # Noted once the hook's process has shown it, which may be a moment after it has ended.
    until(lambda: alice.states(message) != {"bob": "stored"})
    assert alice.states(message) == {"bob": "injected"}, "what a hook prints proves nothing more"
    assert bob.told("PostToolUse", tool_name="Read") == ""
    assert bob.told("UserPromptSubmit", prompt=f"New message from @alice ({message})") == ""
    assert alice.states(message) == {"bob": "seen"}
    assert message in bob.told("Stop")
    assert bob.told("Stop", stop_hook_active=True) == ""
    bob.cli("inbox")
    assert alice.states(message) == {"bob": "read"}
    assert bob.told("Stop") == ""


def test_evidence_is_for_the_caller_alone(team: dict[str, Agent]) -> None:
    alice, bob, carol = team["alice"], team["bob"], team["carol"]
    message = alice.send("For bob", "bob")
    assert carol.told("PostToolUse", tool_response=f"{message}") == ""
    assert alice.states(message) == {"bob": "stored"}
    taken = bob.cli.spawner.run(
        [str(launcher()), "runtime", "hook", "--runtime", "x;y"],
        cwd=bob.repo.path,
        env=bob.cli.env,
        stdin=json.dumps({"prompt": message}).encode(),
        timeout_s=60,
    )
    assert (taken.status, taken.out) == (0, "")
    assert alice.states(message) == {"bob": "stored"}


def test_a_helper_neither_sees_nor_hears_for_its_agent(team: dict[str, Agent]) -> None:
    alice, bob = team["alice"], team["bob"]
    message = alice.send("For bob himself", "bob")
    assert bob.told("PostToolUse", agent_id="explore-1", tool_response=message) == ""
    assert alice.states(message) == {"bob": "stored"}


def test_several_messages_are_told_in_one_line(team: dict[str, Agent]) -> None:
    alice, bob, carol = team["alice"], team["bob"], team["carol"]
    ids = [alice.send("one", "carol"), bob.send("two", "carol")]
    assert carol.told("UserPromptSubmit", prompt="go on") == (
        f"2 new messages from @alice, @bob ({', '.join(ids)}) -- run: thrum inbox"
    )


def test_before_compaction_the_line_is_plain(team: dict[str, Agent]) -> None:
    message = team["alice"].send("Remember", "bob")
    result = team["bob"].hook("PreCompact", trigger="auto")
    assert result.out == f"New message from @alice ({message}) -- run: thrum inbox\n"


def test_single_agent_mode_silences_hooks_but_not_evidence(team: dict[str, Agent]) -> None:
    alice, bob = team["alice"], team["bob"]
    message = alice.send("hello", "bob")
    alice.cli("single-agent-mode", "on")
    assert bob.told("Stop") == ""
    assert bob.told("PostToolUse", tool_response={"stdout": f"{message} from @alice"}) == ""
    assert alice.states(message) == {"bob": "seen"}
    alice.cli("single-agent-mode", "off")


def test_hooks_are_silent_where_thrum_is_not_there(team: dict[str, Agent], tmp_path: Path) -> None:
    alice, bob = team["alice"], team["bob"]
    alice.send("hello", "bob")
    bare = tmp_path / "bin"
    bare.mkdir()
    for script in (INBOX_SCRIPT, STARTUP_SCRIPT):
        result = bob.hook("Stop", script=script, path=str(bare))
        assert (result.status, result.out, result.err) == (0, "", "")
    alice.cli("daemon", "stop")
    result = bob.hook("Stop")
    assert (result.status, result.out, result.err) == (0, "", "")
    assert not alice.cli.json("daemon", "status")["running"]
    alice.cli("daemon", "start")


def test_hooks_import_nothing_from_where_they_run(project: Cli, tmp_path: Path) -> None:
    bob = settled(project, "bob_among_others")
    for name in ("thrum_kernel", "json", "socket", "typer", "msgspec", "sitecustomize", "errno"):
        poison = f"open({str(tmp_path / 'imported')!r}, 'a').write(__name__)\n"
        (bob.repo.path / f"{name}.py").write_text(poison)
    for running in (True, False):
        if not running:
            bob.cli("daemon", "stop")
        for script, event in ((INBOX_SCRIPT, "Stop"), (STARTUP_SCRIPT, "SessionStart")):
            result = bob.hook(event, script=script)
            assert (result.status, result.err) == (0, ""), result
    bob.cli.run("daemon", "start")  # in process, from the same folder
    assert bob.cli.json("daemon", "status")["running"]
    assert not (tmp_path / "imported").exists()


def test_a_hook_where_nobody_is_registered_says_nothing(project: Cli) -> None:
    result = unregistered(project, "nobody").hook("Stop", prompt="msg_01JA0000000000000000000000")
    assert (result.status, result.out, result.err) == (0, "", "")


def test_the_start_up_script_gives_the_briefing_from_any_folder(
    team: dict[str, Agent], tmp_path: Path
) -> None:
    bob = team["bob"]
    result = bob.hook("SessionStart", script=STARTUP_SCRIPT)
    assert (result.status, result.err) == (0, "")
    assert "@bob" in result.out
    noted = tmp_path / "claude-env"
    env = {**bob.cli.env, "CLAUDE_ENV_FILE": str(noted), "PATH": f"{launcher().parent}:{bob.cli.env['PATH']}"}
    for _ in range(2):
        script = str(bob.repo.path / STARTUP_SCRIPT)
        assert bob.cli.spawner.run(["/bin/bash", script], cwd=tmp_path, env=env, timeout_s=60).status == 0
    assert noted.read_text() == f"export THRUM_HOME={bob.repo.path}\n"


def test_a_person_at_the_agents_worktree_proves_nothing_for_its_runtime(
    team: dict[str, Agent], project: Cli, tmp_path: Path
) -> None:
    alice, bob = team["alice"], unregistered(project, "dave")
    with Runtime(tmp_path, bob) as claude:
        claude.does("thrum quickstart dave --role implementer --module main")
        message = alice.send("Are you there?", "dave")
        assert message in bob.told("UserPromptSubmit", prompt=message)
        assert alice.states(message) == {"dave": "stored"}
        given = json.dumps({"hook_event_name": "UserPromptSubmit", "prompt": f"({message})"})
        said = claude.does(f"printf %s '{given}' | HOOK_EVENT=UserPromptSubmit bash {INBOX_SCRIPT}")
        assert alice.states(message) == {"dave": "seen"}
        assert said == "", "the prompt showed it already"
    (sent,) = (each for each in alice.cli.json("sent")["messages"] if each["message_id"] == message)
    means = {step["state"]: step.get("means") for step in sent["recipients"][0]["states"]}
    assert means["seen"] == "hook:claude"


class Runtime:
    """A process called claude, above everything that it is told to run."""

    def __init__(self, folder: Path, agent: Agent) -> None:
        self._orders, self._output = folder / "orders", folder / "output"
        program = folder / "claude"
        program.write_text(
            f"#!/bin/sh\nwhile read -r order; do eval \"$order\"; echo '<done>'; done <'{self._orders}'\n"
        )
        program.chmod(0o755)
        os.mkfifo(self._orders)
        self._program, self._agent = program, agent

    def __enter__(self) -> Runtime:
        cli = self._agent.cli
        env = {**cli.env, "PATH": f"{launcher().parent}:{cli.env['PATH']}"}
        self._process = cli.spawner.start(
            [str(self._program)], cwd=self._agent.repo.path, env=env, output=self._output
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


# --- commands --------------------------------------------------------------------------------------------------------


def test_runtimes_are_listed_alike_with_and_without_a_daemon(cli: Cli) -> None:
    before = cli.json("runtime", "list")
    assert [preset["name"] for preset in before["presets"]][:2] == ["claude", "codex"]
    assert len(before["presets"]) == 10
    assert "default_runtime" not in before
    assert not (cli.cwd / ".thrum").exists(), "it needs no daemon and starts none"
    cli("init", "--non-interactive")
    assert cli.json("runtime", "list") == before
    text = cli("runtime", "list")
    assert "Built-in runtimes:" in text
    assert "MCP ✓ Hooks ✓" in text
    assert "CLI-only" in text


def test_a_default_and_a_runtime_of_ones_own(cli: Cli) -> None:
    assert cli("runtime", "set-default", "codex") == "✓ Default runtime: codex\n"
    path = Path(cli.env["HOME"]) / ".thrum" / "runtimes.json"
    assert json.loads(path.read_text()) == {"default_runtime": "codex"}
    assert cli.json("runtime", "list")["default_runtime"] == "codex"
    path.write_text(json.dumps({"custom_runtimes": {"mine": {"command": "mine"}}}))
    assert cli.json("runtime", "show", "mine")["command"] == "mine"
    assert "Custom runtimes:" in cli("runtime", "list")
    assert cli.json("runtime", "show", "claude")["display_name"] == "Claude Code"
    path.write_text("{")
    for words in (("list",), ("show", "claude"), ("set-default", "claude")):
        assert "runtimes.json" in cli.refused("runtime", *words)


def test_wrong_names_are_told(cli: Cli) -> None:
    assert 'unknown runtime "clod"' in cli.refused("runtime", "show", "clod")
    assert 'invalid runtime name "a;b"' in cli.refused("runtime", "show", "a;b")
    assert 'unknown runtime "clod"' in cli.refused("runtime", "set-default", "clod")
    assert not (Path(cli.env["HOME"]) / ".thrum" / "runtimes.json").exists()
