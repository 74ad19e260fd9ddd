"""``thrum prime``: what it shows, what it brings up to date, what it asks of guards."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from briefing_project import Kept

from thrum_kernel import templates
from thrum_kernel.briefing import commands, terminal, text, wording
from thrum_kernel.briefing.commands import USAGES, CommandEntry
from thrum_kernel.briefing.model import (
    KERNEL_KEYS,
    BriefedDaemon,
    BriefedMail,
    BriefedSession,
    BriefedTeam,
    BriefedWork,
    Briefing,
)
from thrum_kernel.cli.app import kernel_tree
from thrum_kernel.cli.command import Group
from thrum_kernel.context.preamble import DEFAULT_PREAMBLE, compose
from thrum_kernel.testing.harness import Cli, Repo, request, stop_daemon
from thrum_kernel.testing.site import Site
from thrum_kernel.testing.spawner import Spawner

STATE = """\
# Project

Preface.

## Current State Summary
All green.

```markdown
## Worktree Layout
this is code
```

## Private Notes of the Coordinator
secret

## Worktree Layout
One each.
"""


@pytest.fixture(scope="module")
def kept(
    tmp_path_factory: pytest.TempPathFactory, thrum_spawner: Spawner, kernel_alone: dict[str, str]
) -> Kept:
    """A repository as new, initialised with nobody in it, and with alice."""
    kept = Kept.make(tmp_path_factory.mktemp("prime"), kernel_alone)
    cli = Cli(thrum_spawner, kept.repo.path, kept.repo.env)
    cli("init", "--non-interactive", "--no-daemon")
    kept.keep("nobody")
    try:
        cli("quickstart", "alice", "--role", "implementer", "--module", "auth", "--intent", "Login")
    finally:
        stop_daemon(cli)
    kept.keep("alice")
    return kept


@pytest.fixture
def repo(kept: Kept) -> Repo:
    """A repository as new."""
    kept.restore("fresh")
    return kept.repo


@pytest.fixture
def daemon(kept: Kept, cli: Cli) -> Cli:
    """A project with nobody in it, whose daemon runs."""
    kept.restore("nobody")
    cli("daemon", "start")
    return cli


@pytest.fixture
def alice(kept: Kept, cli: Cli) -> Cli:
    """A project with alice in it, whose daemon runs."""
    kept.restore("alice")
    cli("daemon", "start")
    return cli


@pytest.fixture
def bob(alice: Cli, repo: Repo) -> Cli:
    there = repo.worktree("bobs")
    bob = alice.at(there.path)
    bob("quickstart", "bob", "--role", "tester", "--module", "auth")
    return bob


# --- what it shows ---------------------------------------------------------------------------------------------------


def test_everybodys_lines_are_there_in_their_order(alice: Cli, bob: Cli, repo: Repo) -> None:
    (repo.path / "new.txt").write_text("x")
    alice("context", "save", "--file", "-", stdin=b"remember the milk\n")
    for number in range(7):
        bob("send", f"message {number} " + "x" * 100, "--to", "@alice", "--priority", "high")
    shown = alice("prime")
    order = [
        "Agent: @alice (implementer)",
        "Module: auth",
        "Session: ses_",
        "Intent: Login",
        "Team: 2 agents, 2 active",
        "Inbox: 7 unread (7 total)",
        "Branch: main",
        "Uncommitted files:",
        "Daemon: running",
        "# Commands",
        "# Agent Instructions",
        "# Session Context",
        "# Multi-Agent Messaging Protocol",
        "# First Turn",
    ]
    places = [shown.index(line) for line in order]
    assert places == sorted(places), shown
    assert "tester: @bob (active)" in shown
    assert "from @bob [high], 0s ago: message 6 xxx" in shown
    assert shown.count("from @bob [high]") == 5
    assert "remember the milk" in shown
    assert "Thrum context loaded: @alice (implementer, auth) on branch main; inbox: 7 unread" in shown


def test_json_has_the_keys_of_the_reference(alice: Cli, repo: Repo) -> None:
    found = alice.json("prime")
    assert set(found) >= {
        "identity",
        "session",
        "agents",
        "messages",
        "work_context",
        "sync_state",
        "repo_path",
        "runtime",
        "single_agent_mode",
        "tmux_mode",
        "restart_snapshot",
        "saved_session_context",
    }
    assert found["identity"]["agent_id"] == "alice"
    assert set(found["session"]) == {"session_id", "started_at", "intent"}
    assert (found["agents"]["total"], found["agents"]["active"]) == (1, 1)
    assert found["messages"] == {"unread": 0, "total": 0, "recent": []}
    assert found["work_context"]["branch"] == "main"
    assert found["sync_state"]["daemon_status"] == "running"
    assert (found["repo_path"], found["single_agent_mode"]) == (str(repo.path), True)
    assert "text" not in found and "sections" not in found


def test_nothing_it_shows_counts_as_read(alice: Cli, bob: Cli) -> None:
    bob("send", "look", "--to", "@alice")
    alice("prime")
    assert alice.json("inbox", "--unread")["unread"] == 1


def test_alone_there_is_no_word_of_messaging(alice: Cli) -> None:
    shown = alice("prime")
    assert "Messaging Protocol" not in shown and "thrum send" not in shown
    alice("single-agent-mode", "off")
    assert "# Multi-Agent Messaging Protocol" in alice("prime")


def test_a_stranger_is_told_how_to_register(daemon: Cli) -> None:
    shown = daemon("prime")
    assert "thrum quickstart NAME --role ROLE --module MODULE" in shown
    assert "First Turn" not in shown
    assert daemon.json("prime")["identity"] is None


def test_where_there_is_nothing_it_says_one_line_and_is_no_failure(alice: Cli, tmp_path: Path) -> None:
    line = "Thrum not initialized (run: thrum init && thrum daemon start)\n"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert alice.at(elsewhere)("prime") == line
    stop_daemon(alice)
    assert alice("prime") == line
    assert json.loads(alice("prime", "--json"))["initialized"] is False
    assert alice.json("daemon", "status") == {"running": False, "status": "stopped"}


def test_a_daemon_that_was_not_stopped_is_started(alice: Cli, repo: Repo) -> None:
    stop_daemon(alice)
    (repo.path / ".thrum" / "var" / "stopped").unlink()
    assert "Agent: @alice (implementer)" in alice("prime")


def test_of_the_projects_state_a_coordinator_sees_all_and_the_others_four_sections() -> None:
    assert wording.project_state(STATE, role="coordinator") == STATE.strip()
    shown = wording.project_state(STATE, role="implementer")
    assert shown.startswith("## Current State Summary\nAll green.")
    assert "this is code" in shown and shown.endswith("## Worktree Layout\nOne each.")
    assert "secret" not in shown and "Preface" not in shown


def test_the_projects_state_comes_from_the_shared_folder(bob: Cli, repo: Repo) -> None:
    (repo.path / ".thrum" / "context" / "project_state.md").write_text(STATE)
    shown = bob("prime")
    assert "# Project State" in shown and "All green." in shown and "secret" not in shown


def test_a_text_that_cannot_be_used_is_left_out_and_told(alice: Cli, repo: Repo, tmp_path: Path) -> None:
    alice("context", "save", "--file", "-", stdin=b"remember the milk\n")
    (tmp_path / "secret.md").write_text("secret")
    (repo.path / ".thrum" / "context" / "project_state.md").symlink_to(tmp_path / "secret.md")
    ran = alice.run("prime")
    assert (ran.status, "remember the milk" in ran.out, "secret\n" in ran.out) == (0, True, False)
    assert "Warning: left out of the briefing:" in ran.err


def test_a_saved_preamble_counts_more_than_a_role_and_a_role_more_than_the_default() -> None:
    default = DEFAULT_PREAMBLE.strip()
    assert wording.preamble("", "", "", alone=False) == default
    assert wording.preamble("Mine\n", "Role", "overlay", alone=False) == "Mine"
    assert (
        wording.preamble(DEFAULT_PREAMBLE, "Role", "Hand", alone=False)
        == f"Role\n\n---\n\n{default}\n\n---\n\nHand"
    )
    assert "thrum send" not in wording.preamble("", "", "", alone=True)
    deployed = compose("# Role\n", "overlay")
    assert wording.preamble(deployed, "", "", alone=False) == deployed.strip()
    assert (
        wording.preamble(deployed, "", "", alone=True)
        == deployed.replace(DEFAULT_PREAMBLE, wording.ALONE).strip()
    )


# --- commands --------------------------------------------------------------------------------------------------------


def test_every_usage_is_a_command_that_parses() -> None:
    tree = kernel_tree()
    for usage in USAGES:
        words = [word.strip('"') for word in usage.line.removeprefix("thrum ").split(" ")]
        found = tree.find(words)
        assert found.words == usage.words, usage.line
        tree.parser(found.entry).make_context("x", list(found.args))  # type: ignore[arg-type]


TEXTS = {
    "the default preamble": DEFAULT_PREAMBLE,
    "alone": wording.ALONE,
    "the protocol": f"{wording.PROTOCOL}\n{wording.WOKEN}\n{wording.LISTENING}",
    "llms.txt": templates.read("llms.txt").decode(),
    **{name: templates.read(f"strategies/{name}").decode() for name in templates.STRATEGIES},
}


@pytest.mark.parametrize("name", TEXTS)
def test_every_command_in_a_text_for_agents_parses(name: str) -> None:
    tree = kernel_tree()
    blocks = re.findall(r"^ *(?=thrum )(.*)$", TEXTS[name], re.MULTILINE)
    said = re.findall(r"`(thrum [^`\n]+)`", TEXTS[name])
    said += [part for block in blocks for part in re.split(r" {3,}", block) if part.startswith("thrum ")]
    assert said
    for line in said:
        words = [word.partition("|")[0] for word in shlex.split(line.partition(" < ")[0])[1:]]
        found = tree.find(words)
        if isinstance(found.entry, Group) or not found.args or "--help" in words:  # only named
            continue
        tree.parser(found.entry).make_context("x", list(found.args))


def test_only_what_exists_is_listed_and_plugins_are_by_their_noun() -> None:
    entries = [
        CommandEntry(("inbox",), "mail"),
        CommandEntry(("prime",), "briefing"),
        CommandEntry(("runtime", "list"), "List", owner="runtimes"),
        CommandEntry(("runtime", "show"), "Show", owner="runtimes"),
        CommandEntry(("acme",), "Do it", owner="acme"),
    ]
    listed = dict(commands.shown(entries, alone=False))
    assert list(listed) == [
        "thrum inbox --unread",
        "thrum inbox",
        "thrum prime",
        "thrum runtime …",
        "thrum acme",
    ]
    assert listed["thrum runtime …"] == "list, show"
    assert list(dict(commands.shown(entries, alone=True)))[:1] == ["thrum prime"]


# --- the first turn --------------------------------------------------------------------------------------------------


def briefing(**me: str) -> Briefing:
    return Briefing(
        identity=dict(me),
        session=BriefedSession(),
        agents=BriefedTeam(),
        messages=BriefedMail(unread=2),
        work_context=BriefedWork(branch="feat/`x`"),
        sync_state=BriefedDaemon(daemon_status="running", uptime_ms=0, sync_state="", version="1"),
        repo_path="/r",
        runtime="",
        single_agent_mode=False,
        tmux_mode=False,
        restart_snapshot=None,
        saved_session_context="",
        commands=[],
    )


def test_no_field_of_an_identity_can_be_markup_in_the_first_turns_line() -> None:
    line = text.acknowledgement(
        briefing(
            agent_id="a`b`",
            role="**r**",
            module="$(m)",
            display="<b>Al\nice</b> | `rm -rf`  [x](y)\x1b[0m",
        )
    )
    assert (
        line == "Thrum context loaded: @ab (r, m) as bAl ice/b rm -rf xy0m on branch feat/x; inbox: 2 unread"
    )


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("__Eve__ _and_ Bob", "Eve and Bob"),
        ("coord_my_project", "coord_my_project"),
        ("_x", "_x"),
        ("a\u202eb\u200b\ufeffc", "abc"),
        ("![x](javascript:1) &lt;b&gt;", "!xjavascript:1 &lt;b&gt;"),
        ("~~~\r\n# heading", "heading"),
    ],
)
def test_nothing_is_left_that_reads_as_more_than_text(text: str, left: str) -> None:
    assert wording.plain(text) == left


def test_an_intent_is_shown_as_it_was_said(daemon: Cli) -> None:
    said = 'Fix "login" (issue #42) & `logout`'
    daemon("quickstart", "eve", "--role", "tester", "--module", "m", "--intent", said)
    shown = daemon("prime")
    assert f"\nIntent: {said}\n" in shown
    assert f"tester: @eve (active): {said}\n" in shown


def test_a_display_name_with_markup_does_not_reach_the_line(daemon: Cli) -> None:
    daemon("quickstart", "eve", "--role", "tester", "--module", "m", "--display", "`whoami` **Eve**")
    shown = daemon("prime")
    (line,) = [line for line in shown.splitlines() if line.startswith("Thrum context loaded")]
    assert line == "Thrum context loaded: @eve (tester, m) as whoami Eve on branch main; inbox: 0 unread"


# --- the identity file -----------------------------------------------------------------------------------------------


def identity_of(repo: Repo, name: str = "alice") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((repo.path / ".thrum" / "identities" / f"{name}.json").read_bytes())
    return found


def test_the_branch_in_the_identity_file_follows_on_every_run(alice: Cli, repo: Repo) -> None:
    repo.git("switch", "-q", "-c", "feature")
    assert "Branch: feature" in alice("prime")
    assert identity_of(repo)["branch"] == "feature"
    repo.git("switch", "-q", "--detach")
    alice("prime")
    assert identity_of(repo).get("branch", "") == ""


def test_a_runtime_that_begins_where_the_old_one_ended_becomes_the_agents(
    alice: Cli, repo: Repo, tmp_path: Path
) -> None:
    runtime = tmp_path / "claude"
    runtime.write_text('#!/bin/sh\n"$@"\nexit $?\n')
    runtime.chmod(0o755)
    within = Cli(alice.spawner, alice.cwd, alice.env, (str(runtime), *alice.program))
    first = within.json("prime")
    assert (first["runtime"], first["identity"]["agent_id"]) == ("claude", "alice")
    mine = identity_of(repo)
    assert (mine["preferred_runtime"], mine["runtime"]) == ("claude", "claude")
    assert mine["agent_pid"] > 0
    second = within.json("prime")
    assert identity_of(repo)["agent_pid"] not in (0, mine["agent_pid"])
    assert second["session"]["session_id"]
    assert second["agents"]["active"] == 1
    alice("prime")  # a person at a shell takes nobody's place
    assert identity_of(repo)["preferred_runtime"] == "claude"


@pytest.fixture
def tmux(tmp_path: Path, repo: Repo) -> Iterator[Any]:
    """A tmux server of the test's own with a session ``work``; types a command into its pane."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    socket = tmp_path / "tmux.sock"

    def run(*words: str) -> str:
        return subprocess.run(
            ["tmux", "-f", "/dev/null", "-S", str(socket), *words],
            env=dict(repo.env),
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    run("new-session", "-d", "-s", "work", "-c", str(repo.path), "-x", "200", "-y", "50", "sh")
    yield run
    with contextlib.suppress(subprocess.CalledProcessError):
        run("kill-server")


def test_where_in_tmux_the_agent_is_follows_on_every_run(
    alice: Cli, repo: Repo, tmux: Any, tmp_path: Path
) -> None:
    done = tmp_path / "done.json"
    program = " ".join(alice.program)
    tmux("send-keys", "-t", "work", "-l", f"{program} prime --json > {done}.new && mv {done}.new {done}")
    tmux("send-keys", "-t", "work", "Enter")
    deadline = time.monotonic() + 30
    while not done.exists():
        assert time.monotonic() < deadline, tmux("capture-pane", "-p", "-t", "work")
        time.sleep(0.05)
    shown = json.loads(done.read_text())
    assert shown["tmux_mode"] is True
    assert shown["identity"]["tmux_session"] == "work:0.0"
    assert identity_of(repo)["tmux_session"] == "work:0.0"


def test_a_socket_that_is_no_tmux_above_the_caller_is_not_asked(
    tmux: Any, tmp_path: Path, repo: Repo
) -> None:
    pid = int(tmux("display-message", "-p", "#{pid}"))
    place = terminal.place_of
    told = f"{tmp_path}/tmux.sock,{pid},0"
    env = repo.env
    assert place(told, "%0", ancestors=[pid], env=env) == "work:0.0"
    assert place(told, "%0", ancestors=[pid + 1], env=env) == ""
    assert place(told, "%0; kill-server", ancestors=[pid], env=env) == ""
    assert place(f"{tmp_path}/other.sock,{pid},0", "%0", ancestors=[pid], env=env) == ""
    assert place("", "%0", ancestors=[pid], env=env) == ""
    listening = subprocess.Popen(
        [
            "python3",
            "-c",
            "import socket,sys,time\ns=socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])\ns.listen()\ntime.sleep(60)",
            f"{tmp_path}/fake.sock",
        ]
    )
    try:
        while not (tmp_path / "fake.sock").exists():
            time.sleep(0.01)
        assert place(f"{tmp_path}/fake.sock,{pid},0", "%0", ancestors=[pid], env=env) == ""
    finally:
        listening.kill()
        listening.wait()


# --- plugins ---------------------------------------------------------------------------------------------------------

ACME = """
    @hookimpl
    async def thrum_preamble(ctx, agent):
        return f"You are {agent.name}, the {agent.role}."

    @hookimpl
    async def thrum_prime(ctx, agent):
        return [PrimeSection(key="acme", order=850, text="# Acme\\n\\nhello", data={"n": 1}),
                PrimeSection(key="restart_snapshot", order=1000, text="# Previous Session Context\\n\\nold", data="old"),
                PrimeSection(key="identity", order=1, text="# Stolen", data="mallory")]

    @hookimpl
    def thrum_guard_scope(ctx):
        return ["prime"]

    @hookimpl
    async def thrum_guard(ctx, call):
        import os
        if (ctx.paths.thrum / "deny").exists():
            return Verdict(outcome="deny", guard="acme", reason="not_now", hint="later", facts={"remediation": "wait"})
        return Verdict(outcome="warn", guard="acme", reason="careful")
"""


def test_plugins_add_role_text_sections_and_verdicts(plugged: Cli, site: Site, repo: Repo) -> None:
    site.install("acme", hooks=ACME)
    plugged("init", "--non-interactive")
    plugged("quickstart", "alice", "--role", "implementer", "--module", "auth")
    ran = plugged.run("prime")
    assert "# Agent Instructions\n\nYou are alice, the implementer." in ran.out
    assert ran.out.index("# Acme\n\nhello") < ran.out.index("# Previous Session Context")
    assert "Stolen" not in ran.out
    assert 'Warning: identity guard "acme" fired: careful' in ran.err
    found = plugged.json("prime")
    assert (found["acme"], found["restart_snapshot"]) == ({"n": 1}, "old")
    assert found["identity"]["agent_id"] == "alice"
    (repo.path / ".thrum" / "deny").touch()
    refused = plugged.refused("prime")
    assert refused.splitlines()[0] == 'Error: identity guard "acme" fired: not_now'


def test_the_keys_of_the_kernel_are_those_of_the_briefing() -> None:
    assert {"identity", "session", "text", "sections"} <= KERNEL_KEYS
    assert "restart_snapshot" not in KERNEL_KEYS


def test_the_method_gives_data_and_text(alice: Cli, repo: Repo) -> None:
    found = request(repo.path / ".thrum" / "var" / "thrum.sock", "prime.show")
    assert found["text"].startswith("Agent: ")
