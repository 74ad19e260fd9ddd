"""``tmux restart`` of the fake runtime in a real tmux server, with a real daemon."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from thrum_kernel.testing.fake_runtime import reading
from thrum_kernel.testing.fake_runtime.driver import FakeRuntime, add_plugin, install_program
from thrum_kernel.testing.harness import Cli, Repo, clean_environment, launcher, stop_daemon
from thrum_kernel.testing.spawner import Spawner
from thrum_kernel.testing.tmux import TmuxServer, tmux_server
from thrum_kernel.testing.waiting import until

PATIENCE_S = 40.0
soak = pytest.mark.skipif(os.environ.get("THRUM_SOAK") != "1", reason="daemons that end and begin: make soak")
NOT_INSTALLED = "amp"
MARK = ("show-options", "-t", "bob", "-q", "-v", "@thrum-restart")


class Fake(FakeRuntime):
    """The runtime that a session has, whoever started it."""

    def __init__(self, control: Path) -> None:
        super().__init__(control.parent / "driver")
        self.control = control


class Place:
    """bob, in a worktree and a session, with the fake runtime."""

    def __init__(self, cli: Cli, repo: Repo, tmux: TmuxServer, folder: Path, control: Path) -> None:
        self.tmux, self.project, self.worktree = tmux, repo.path, repo.worktree("bob").path
        self.home, self.programs = folder / "sessions", folder / "bin"
        self.cli = cli.at(self.worktree)
        # What an agent does that is asked to save: it reads its mail, and saves with a plan.
        save = (
            'case "$PROMPT" in "New message from @system"*) thrum inbox --unread;'
            " thrum tmux snapshot save --reason external --plan 'finish f()';;"
            " begin*) thrum tmux snapshot save --plan 'my own plan'; thrum tmux restart bob;; esac"
        )
        for name, value in {
            "CLAUDE_CONFIG_DIR": str(self.home),
            "FAKE_AGENT_CONTROL": str(control),
            "FAKE_AGENT_ON_PROMPT": save,
        }.items():
            tmux("set-environment", "-g", name, value)
        hook = {"hooks": [{"type": "command", "command": "thrum prime"}]}
        (self.worktree / ".claude").mkdir()
        (self.worktree / ".claude" / "settings.json").write_text(
            json.dumps({"hooks": {"SessionStart": [hook]}})
        )
        self._control = control
        self.fakes: list[Fake] = []
        self.cli("tmux", "create", "bob", "--name", "bob", "--role", "implementer", "--module", "main")

    def fake(self) -> Fake:
        """The runtime that runs now, connected."""
        fake = Fake(self._control)
        self.fakes.append(fake)
        try:
            fake.connect(limit_s=PATIENCE_S)
        except TimeoutError:
            raise AssertionError("\n".join(self.tmux.screen("bob"))) from None
        return fake

    def running(self) -> Fake:
        """The runtime, launched if it does not run."""
        if not psutil.pid_exists(self.identity()["agent_pid"]):
            self.cli("tmux", "launch", "bob", "--runtime", "fake-agent")
        fake = self.fake()
        fake.dialog("")
        pid = fake.state()["pid"]  # every question makes it draw: ask rarely, or it is never quiet
        until(lambda: self.identity()["agent_pid"] == pid, what="the runtime is bob's")
        self.greeted(fake)
        fake.until(lambda state: not state["is_working"])
        return fake

    def asked_to_save(self) -> Fake:
        """The runtime, with nothing saved lately, and in no state to be woken."""
        fake = self.running()
        self.cli("inbox", "--unread")  # what an earlier test left would be woken for while we type
        self.snapshot.unlink(missing_ok=True)
        self.says(fake, "Round it")
        fake.dialog("tool_confirmation")
        return fake

    def greeted(self, fake: Fake) -> None:
        """Wait until it was told who it is."""
        path = Path(fake.state()["transcript"])

        def banner() -> bool:
            found = reading.read(path) if path.exists() else ()
            return any(entry.kind == "assistant" for entry in found) and "Agent: @bob" in path.read_text()

        until(banner, what="it was greeted")

    def identity(self) -> dict[str, Any]:
        file = self.worktree / ".thrum" / "identities" / "bob.json"
        return {"agent_pid": 0, **json.loads(file.read_text())}

    def types(self, fake: Fake, text: str) -> None:
        """Let a person type *text* and Enter."""
        self.tmux("send-keys", "-t", "bob", "-l", "--", text)
        fake.until(lambda state: state["draft"] == text)
        time.sleep(0.05)  # an Enter at once would be part of a paste
        self.tmux("send-keys", "-t", "bob", "Enter")

    def says(self, fake: Fake, text: str) -> None:
        """Let a person type *text* and Enter, and the agent answer."""
        before = len(fake.state()["submitted"])
        self.types(fake, text)
        fake.until(lambda state: len(state["submitted"]) > before and not state["is_working"])

    def told(self, fake: Fake) -> str:
        """What the hook told the runtime as it began."""
        path = Path(fake.state()["transcript"])

        def context() -> str:
            found = reading.read(path) if path.exists() else ()
            return next((entry.text for entry in found if "Agent: @bob (implementer)" in entry.text), "")

        return str(until(context, what="it read its briefing"))

    def set_restart(self, **values: object) -> None:
        """Change settings of the section ``restart``."""
        config = self.project / ".thrum" / "config.json"
        value = json.loads(config.read_text())
        # At once: the daemon may read it at any moment.
        new = config.with_name("config.json.new")
        new.write_text(json.dumps({**value, "restart": {**value["restart"], **values}}))
        new.replace(config)

    @property
    def snapshot(self) -> Path:
        return self.worktree / ".thrum" / "restart" / "bob.md"


@pytest.fixture(scope="module")
def place(thrum_spawner: Spawner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One for all tests here, which take it as they find it."""
    folder = tmp_path_factory.mktemp("restart")
    (folder / "home").mkdir()
    env = clean_environment(folder / "home")
    programs = install_program(folder / "bin").parent
    # tmux gives a pane the PATH of whoever has it made: the daemon's.
    path = f"{programs}:{launcher().parent}:{env['PATH']}"
    repo = Repo.make(folder / "project", env)
    cli = Cli(thrum_spawner, repo.path, {**env, "THRUM_PLUGINS_STRICT": "1", "PATH": path})
    with (
        tempfile.TemporaryDirectory(prefix="thrum-") as short,
        tmux_server({**env, "TERM": "xterm-256color", "TMUX_TMPDIR": short}) as tmux,
    ):
        tmux.begin("set -g default-command 'exec /bin/sh'")  # a login shell would change PATH
        cli("init", "--non-interactive", "--no-daemon")
        add_plugin(repo)
        config = cli.cwd / ".thrum" / "config.json"
        restart = {"silence_watchdog_seconds": -1, "graceful_timeout": 30}
        nudge = {"chrome_quiet_seconds": 0}
        ours = {"tmux": {"socket": str(tmux.path)}, "restart": restart, "nudge": nudge}
        config.write_text(json.dumps({**json.loads(config.read_text()), **ours}))
        cli("daemon", "start")
        made = Place(cli, repo, tmux, folder, Path(short) / "control")
        yield made
        tmux.end()
        for fake in made.fakes:
            fake.close()
        stop_daemon(cli)


def test_a_forced_restart_gives_the_next_session_conversation_and_draft(place: Place) -> None:
    old = place.running()
    place.says(old, "Round it half to even")
    old.draft("half a tho")
    pid, tmux = old.state()["pid"], place.tmux
    before = tmux("list-panes", "-a", "-F", "#{session_id} #{pane_id} #{@thrum-agent} #{@thrum-managed}")
    tmux("new-window", "-d", "-t", "bob:", "-n", "mine", "sleep 1000")
    done = place.cli.json("tmux", "restart", "bob", "--force")
    assert (done["session"], done["runtime"], done["saved_by"]) == ("bob", "fake-agent", "transcript")
    assert done["draft"] == "half a tho"
    assert done["snapshot_lines"] > 4
    assert Path(done["snapshot"]) == place.snapshot
    new = place.fake()
    assert new.state()["pid"] != pid
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    told = place.told(new)
    assert told.startswith("ACTION REQUIRED: your session was restarted (external, saved ")
    assert "=== USER ===\nRound it half to even\n\n=== ASSISTANT ===" in told
    assert "## Draft that was not sent\n\nhalf a tho" in told
    shown = "#{session_id} #{pane_id} #{@thrum-agent} #{@thrum-managed}"
    assert before in tmux("list-panes", "-a", "-F", shown)
    assert "mine" in tmux("list-windows", "-t", "bob", "-F", "#{window_name}"), "other windows stay"
    assert "THRUM_NAME=bob" in tmux("show-environment", "-t", "bob").split("\n")
    assert tmux(*MARK) == ""
    now = new.state()["pid"]
    until(lambda: place.identity()["agent_pid"] == now, what="the new runtime is bob's")
    assert place.identity()["runtime"] == "fake-agent"
    assert place.identity()["tmux_session"].startswith("bob:")
    place.greeted(new)
    assert [stroke for stroke in new.state()["taken"] if stroke["owner"] != "prompt"] == []


def test_an_agent_that_is_asked_saves_and_goes_on_without_a_key_pressed(place: Place) -> None:
    old = place.running()
    place.says(old, "Round it half to even")
    results: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: results.append(place.cli.json("tmux", "restart", "bob")))
    thread.start()
    until(lambda: place.tmux(*MARK), what="the restart began")
    assert "being restarted already" in place.cli.refused("tmux", "restart", "bob", "--force")
    thread.join(PATIENCE_S)
    (done,) = results
    assert done["saved_by"] == "agent", done
    new = place.fake()
    told = place.told(new)
    assert "## Resume plan\n\nfinish f()" in told
    assert "Round it half to even" in told
    assert place.cli.json("inbox", "--unread")["messages"] == [], "the next session has nothing to do with it"
    place.greeted(new)
    assert [stroke for stroke in new.state()["taken"] if stroke["owner"] != "prompt"] == []


def test_an_agent_restarts_itself_with_what_it_saved(place: Place) -> None:
    old = place.running()
    pid = old.state()["pid"]
    place.types(old, "begin anew")
    until(lambda: place.identity()["agent_pid"] not in (0, pid), what="it was restarted")
    told = place.told(place.fake())
    assert "restarted (self-initiated, saved" in told
    assert "## Resume plan\n\nmy own plan" in told
    assert "## Not answered yet" not in told, "it would begin anew for ever"


def test_an_agent_that_does_not_save_in_time_is_asked_no_more(place: Place) -> None:
    place.asked_to_save()
    place.set_restart(graceful_timeout=1)
    done = place.cli.json("tmux", "restart", "bob")
    place.set_restart(graceful_timeout=30)
    assert (done["saved_by"], done["why"]) == ("transcript", "the agent did not save in time")
    assert "Agent: @bob" in place.told(place.fake())
    assert place.cli.json("inbox", "--unread")["messages"] == []


def test_an_agent_whose_context_is_full_is_restarted_when_it_has_ended_its_turn(place: Place) -> None:
    old = place.running()
    pid = old.state()["pid"]
    place.set_restart(auto_threshold=80)
    old.order("set", tokens=79_000)
    place.says(old, "Go on")
    place.says(old, "Go on further")
    assert place.identity()["agent_pid"] == pid
    old.order("set", tokens=81_000)
    place.says(old, "And on")
    until(lambda: place.identity()["agent_pid"] not in (0, pid), what="it was restarted")
    place.set_restart(auto_threshold=0)
    assert "And on" in place.told(place.fake())
    (asked, *_) = place.cli.json("inbox", "--all")["messages"]
    assert "restarted (context-threshold)" in asked["body"]["content"]


def test_a_session_that_goes_meanwhile_is_made_anew(place: Place) -> None:
    place.asked_to_save()
    place.set_restart(graceful_timeout=20)
    results: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: results.append(place.cli.json("tmux", "restart", "bob")))
    thread.start()
    until(lambda: place.tmux(*MARK), what="the agent is asked")
    place.tmux("kill-session", "-t", "bob")
    thread.join(PATIENCE_S)
    assert results[0]["saved_by"] == "transcript"
    assert "Round it" in place.told(place.fake())
    assert place.tmux("show-options", "-t", "bob", "-q", "-v", "@thrum-agent") == "bob"
    assert "THRUM_NAME=bob" in place.tmux("show-environment", "-t", "bob").split("\n")


def test_a_session_that_is_killed_meanwhile_is_told_with_what_makes_it_again(place: Place) -> None:
    place.asked_to_save()
    place.set_restart(graceful_timeout=3)
    results: list[str] = []
    thread = threading.Thread(target=lambda: results.append(place.cli.refused("tmux", "restart", "bob")))
    thread.start()
    until(lambda: place.tmux(*MARK), what="the agent is asked")
    place.cli("tmux", "kill", "bob")
    thread.join(PATIENCE_S)
    place.set_restart(graceful_timeout=20)
    error, hint = results[0].splitlines()
    assert "ended meanwhile" in error and f"its snapshot is kept: {place.snapshot}" in error
    assert hint == f"Hint: thrum tmux create bob --cwd {place.worktree}"
    place.cli(*hint.split()[2:])
    assert "Round it" in place.told(place.running())


def test_a_runtime_that_cannot_be_started_leaves_the_snapshot(place: Place) -> None:
    old = place.running()
    place.says(old, "Round it")
    said = place.cli.refused("tmux", "restart", "bob", "--force", "--runtime", "nothing-like-it")
    assert said.startswith(
        'Error: unknown runtime "nothing-like-it", and no program is called so\nHint: known: '
    )
    assert old.state()["pid"] == place.identity()["agent_pid"], "nothing was ended for it"

    done = place.cli.json("tmux", "restart", "bob", "--force", "--runtime", NOT_INSTALLED)

    assert done["runtime"] == NOT_INSTALLED
    assert "Round it" in place.snapshot.read_text()
    until(
        lambda: (
            f"restart of session bob failed: {NOT_INSTALLED} is not running there"
            in place.cli("daemon", "logs", "-n", "50")
        ),
        what="that it failed is told",
    )
    until(lambda: place.identity()["runtime"] == "fake-agent", what="the next restart does not try it again")
    again = place.running()
    assert "Round it" in place.told(again)


@soak
def test_a_daemon_killed_in_the_middle_goes_on_when_it_is_back(place: Place) -> None:
    old = place.running()
    place.says(old, "Round it")
    place.cli("tmux", "snapshot", "save", "--jsonl", old.state()["transcript"])
    mark = {"phase": "ending", "agent": "bob", "runtime": "fake-agent", "pid": old.state()["pid"]}
    daemon = place.cli.json("daemon", "status")["pid"]
    os.kill(daemon, signal.SIGKILL)
    place.tmux("set-option", "-t", "bob", "@thrum-restart", json.dumps(mark))
    place.cli("daemon", "start")
    until(
        lambda: old.control.exists() and place.identity()["agent_pid"] not in (0, mark["pid"]),
        what="it is back",
    )
    assert "Round it" in place.told(place.fake())
    assert place.tmux(*MARK) == ""


@soak
def test_a_daemon_that_stops_meanwhile_leaves_the_agent_alone_and_says_so(place: Place) -> None:
    old = place.asked_to_save()
    pid = old.state()["pid"]
    client = place.cli.background("tmux", "restart", "bob", output=place.home / "client")
    until(lambda: "saving" in place.tmux(*MARK), what="the agent is asked")
    client.end()  # or it would ask the next daemon again
    place.cli("daemon", "stop")
    place.cli("daemon", "start")
    until(lambda: not place.tmux(*MARK), what="the next daemon looked")
    assert "restart of session bob was given up" in place.cli("daemon", "logs", "-n", "50")
    assert old.state()["pid"] == pid


def test_whoever_waits_for_a_restart_gets_it_from_the_next_daemon(place: Place) -> None:
    place.asked_to_save()
    place.set_restart(graceful_timeout=3)
    results: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: results.append(place.cli.json("tmux", "restart", "bob")))
    thread.start()
    until(lambda: "saving" in place.tmux(*MARK), what="the agent is asked")
    os.kill(place.cli.json("daemon", "status")["pid"], signal.SIGKILL)
    thread.join(PATIENCE_S)
    assert results[0]["saved_by"] == "transcript"
    assert "Round it" in place.told(place.fake())
    assert place.tmux(*MARK) == ""


@soak
def test_a_runtime_that_outlives_its_terminal_is_ended_by_its_process(place: Place, tmp_path: Path) -> None:
    place.running()
    noted = tmp_path / "pid"
    program = place.programs / "codex"
    program.write_text(f"#!/bin/sh\ntrap '' HUP TERM\necho $$ >{noted}\nwhile :; do sleep 0.2; done\n")
    program.chmod(0o755)
    place.cli("tmux", "restart", "bob", "--force", "--runtime", "codex")
    pid = int(until(lambda: noted.exists() and noted.read_text(), what="it runs"))
    place.cli("tmux", "restart", "bob", "--force", "--runtime", "fake-agent")
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert place.fake().state()["pid"] != pid
