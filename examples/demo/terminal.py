"""An agent in a terminal of its own is woken by a message and a monitor, and restarts with its memory.

Its runtime is a program of ours that behaves like a full-screen agent; tmux and everything else is real.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from transcript import Transcript

from thrum_kernel.testing.fake_runtime import reading
from thrum_kernel.testing.fake_runtime.driver import FakeRuntime, add_plugin
from thrum_kernel.testing.harness import Cli, Failed, Repo
from thrum_kernel.testing.tmux import TmuxServer, tmux_server

PATIENCE_S = 60.0
ON_PROMPT = (
    'case "$PROMPT" in'
    ' "New message from @system"*) thrum inbox --unread;'
    " thrum tmux snapshot save --reason external --plan 'test amounts with cents';;"
    ' *"thrum inbox"*) thrum inbox;; esac'
)
"""What the agent does for a prompt: it saves when thrum asks it to, and else reads its mail."""


def agent_in_a_terminal(show: Transcript, repo: Repo, person: Cli, alice: Cli, folder: Path) -> None:
    """All scenes with a terminal; none where there is no tmux, which is said."""
    show.heading("One command gives an agent a worktree and a session, another starts its runtime")
    if shutil.which("tmux") is None:
        print("    tmux is not installed: the scenes with a terminal are left out")
        return
    with _terminal(repo, person, folder) as scene:
        _create(show, person, scene)
        _wake(show, alice, scene)
        _alarm(show, alice, scene, folder / "tests.log")
        _restart(show, person, scene)
        show.run("person", person, "worktree", "teardown", "dana")
        show.expect("session and worktree are gone", not scene.worktree.exists() and not scene.sessions())


class Scene:
    """dana's terminal.

    Attributes:
        worktree: where she lives.
    """

    def __init__(self, tmux: TmuxServer, worktree: Path, control: Path) -> None:
        self.worktree = worktree
        self._tmux = tmux
        self._control = control
        self._driver = FakeRuntime(control.parent / "driver")

    def runtime(self) -> FakeRuntime:
        """The runtime that runs there now, once it was told who it is and rests."""
        self._driver.close()
        self._driver = FakeRuntime(self._control.parent / "driver")
        self._driver.control = self._control
        self._driver.connect(limit_s=PATIENCE_S)
        until(lambda: "Agent: @dana" in self.told(), "the runtime was told who it is")
        self._driver.until(lambda state: not state["is_working"], limit_s=PATIENCE_S)
        return self._driver

    def told(self) -> str:
        """Everything the runtime was told in this session, by its hooks or in its prompt."""
        path = Path(self._driver.state()["transcript"])
        return "\n".join(entry.text for entry in reading.read(path)) if path.exists() else ""

    def prompts(self) -> list[str]:
        """What was submitted to the runtime."""
        return [str(each) for each in self._driver.state()["submitted"]]

    def sessions(self) -> str:
        """The sessions of the tmux server."""
        return self._tmux.run("list-sessions", "-F", "#{session_name}").stdout

    def close(self) -> None:
        self._driver.close()


@contextlib.contextmanager
def _terminal(repo: Repo, person: Cli, folder: Path) -> Iterator[Scene]:
    """A tmux server of the demo's own, which thrum is told to use, and a runtime whose hooks are thrum's."""
    hooks = folder / "hooks.json"
    events = {"SessionStart": "thrum prime"}
    for event in ("UserPromptSubmit", "PostToolUse", "Stop"):
        events[event] = f"thrum runtime hook --runtime fake-agent --event {event}"
    groups = {event: [{"hooks": [{"type": "command", "command": line}]}] for event, line in events.items()}
    hooks.write_text(json.dumps({"hooks": groups}))
    with tempfile.TemporaryDirectory(prefix="thrum-") as short:
        env = {**person.env, "TERM": "xterm-256color", "TMUX_TMPDIR": short, "PS1": "$ "}
        control = Path(short) / "control"
        with tmux_server(env) as tmux:
            tmux.begin("set -g default-command 'exec /bin/sh'")
            for name, value in {
                "CLAUDE_CONFIG_DIR": str(folder / "transcripts"),
                "FAKE_AGENT_CONTROL": str(control),
                "FAKE_AGENT_SETTINGS": str(hooks),
                "FAKE_AGENT_ON_PROMPT": ON_PROMPT,
            }.items():
                tmux("set-environment", "-g", name, value)
            add_plugin(repo)
            for key, value in {
                "tmux.socket": str(tmux.path),
                "nudge.chrome_quiet_seconds": "0.5",
                "worktrees.base_path": str(folder / "worktrees"),
            }.items():
                person("config", "set", key, value)
            person("daemon", "restart")
            scene = Scene(tmux, folder / "worktrees" / repo.path.name / "dana", control)
            try:
                yield scene
            finally:
                scene.close()


def _create(show: Transcript, person: Cli, scene: Scene) -> None:
    who = ("--name", "dana", "--role", "tester", "--module", "checkout", "--runtime", "fake-agent")
    show.run("person", person, "worktree", "create", "dana", *who)
    show.expect("the worktree is there", scene.worktree.is_dir())
    show.run("person", person, "tmux", "launch", "dana")
    scene.runtime()
    show.run("person", person, "tmux", "status")


def _wake(show: Transcript, alice: Cli, scene: Scene) -> None:
    show.heading("alice writes; dana's terminal is woken, and what she sees is proven")
    sent = alice.json("send", "Please test total() with cents.", "--to", "@dana")["message_id"]
    show.show(
        "alice", ("send", "Please test total() with cents.", "--to", "@dana"), f"✓ Message sent: {sent}"
    )
    until(lambda: "read" in _states(alice, sent), "dana read it")
    show.prompt("dana", next(each for each in scene.prompts() if sent in each))
    states = _states(alice, sent)
    print("    " + " → ".join(f"{state} ({means})" if means else state for state, means in states.items()))
    show.expect("typed by tmux, seen by the runtime's own hook", states["injected"] == "tmux")
    show.expect("it was put to her once", sum(sent in each for each in scene.prompts()) == 1)


def _alarm(show: Transcript, alice: Cli, scene: Scene, log: Path) -> None:
    show.heading("A monitor watches a log, and wakes dana")
    log.write_text("")
    words = ("--name", "tests", "--match", "FAIL", "--to", "@dana", "--", "tail", "-n", "+1", "-F", str(log))
    show.run("alice", alice, "monitor", "start", *words)
    log.write_text("test_total FAIL: 48.2 is not 48.20\n")
    woken = "New message from @monitor:tests"
    until(lambda: any(each.startswith(woken) for each in scene.prompts()), "dana was woken by the monitor")
    show.prompt("dana", next(each for each in scene.prompts() if each.startswith(woken)))
    until(lambda: "48.2 is not 48.20" in scene.told(), "her inbox gave her the line that failed")
    show.run("alice", alice, "monitor", "delete", "tests")


def _restart(show: Transcript, person: Cli, scene: Scene) -> None:
    show.heading("dana restarts with her memory, and nobody presses a key")
    before = scene.runtime().state()["pid"]
    out = show.run("person", person, "tmux", "restart", "dana")
    show.expect("she saved before she went", "Session dana restarted" in out)
    after = scene.runtime()
    show.expect("another process runs", after.state()["pid"] != before)
    show.expect("her briefing has her plan", "test amounts with cents" in scene.told())


def _states(cli: Cli, message_id: str) -> dict[str, str]:
    """Each state that a message to one came to, with what showed it."""
    found: list[dict[str, Any]] = cli.json("sent")["messages"]
    (message,) = [each for each in found if each["message_id"] == message_id]
    return {each["state"]: each.get("means", "") for each in message["recipients"][0]["states"]}


def until(claim: Callable[[], object], what: str) -> None:
    """Wait until *claim* holds.

    Raises:
        Failed: it never does.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not claim():
        if time.monotonic() > deadline:
            raise Failed(f"expected: {what}")
        time.sleep(0.2)
