"""``quickstart`` where a daemon runs: what it registers, what it writes, what it refuses."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from command_run import ME, Ran, run
from test_commands_transaction import tree_of

from thrum_kernel.cli.lifecycle import Lifecycle
from thrum_kernel.errors import IdentityMissing
from thrum_kernel.paths import Paths
from thrum_kernel.testing.harness import Repo

ANSWERS: dict[str, Any] = {
    "agent.whoami": IdentityMissing("/w"),
    "agent.register": {"agent_id": "alice", "status": "registered", "session_id": "ses_1"},
    "session.setIntent": {"session_id": "ses_1", "intent": "Login", "intent_updated_at": ""},
    "context.preamble.save": {"agent_name": "alice", "message": ""},
}
FLAGS = ("--role", "dev", "--module", "auth")


@pytest.fixture
def started(daemon: Lifecycle, where: Paths) -> Paths:
    daemon.start()
    return where


def quickstart(where: Paths, *words: str, answers: dict[str, Any] | None = None, **more: Any) -> Ran:
    home = where.repo / "home"
    return run(
        *("quickstart", *words),
        answers={**ANSWERS, **(answers or {})},
        cwd=where.repo,
        env={"HOME": str(home), "THRUM_PLUGINS_AUTOLOAD": "0", **more.pop("env", {})},
        **more,
    )


def test_quickstart_registers_begins_a_session_and_says_what_for(started: Paths) -> None:
    ran = quickstart(
        started, "alice", *FLAGS, "--intent", "Login", "--display", "Alice", "--runtime", "claude"
    )
    assert ran.status == 0, ran.err
    assert ran.params("agent.register") == {
        "name": "alice",
        "role": "dev",
        "module": "auth",
        "display": "Alice",
        "intent": "Login",
        "runtime": "claude",
    }
    assert ran.out.splitlines() == [
        "✓ Agent registered: alice",
        "✓ Session started: ses_1",
        "✓ Intent set: Login",
    ]
    assert (started.context / "alice.md").read_bytes() == b""


def test_quickstart_waits_while_the_daemon_projects(started: Paths) -> None:
    states = iter(["projecting 0 %", "projecting 43 %", "local-only"])
    ran = quickstart(
        started, "alice", *FLAGS, answers={"health": lambda _: {"status": "ok", "sync_state": next(states)}}
    )
    assert ran.status == 0
    assert [name for name, _ in ran.calls][:4] == ["health", "health", "health", "agent.register"]


def test_quickstart_json_has_its_three_parts(started: Paths) -> None:
    shown = quickstart(
        started, "--name", "alice", *FLAGS, "--intent", "Login", "--runtime", "claude", "--json"
    ).json
    assert set(shown) == {"register", "session", "intent", "runtime"}
    assert shown["session"] == {"session_id": "ses_1", "agent_id": "alice"}


def test_quickstart_begins_a_session_where_registering_began_none(started: Paths) -> None:
    answers = {
        "agent.register": {"agent_id": "alice", "status": "updated"},
        "session.start": {"session_id": "ses_2", "agent_id": "alice", "started_at": ""},
    }
    ran = quickstart(started, "alice", *FLAGS, answers=answers)
    assert ran.out.splitlines() == ["✓ Agent registered: alice", "✓ Session started: ses_2"]


def test_quickstart_of_a_known_agent_needs_no_flags(started: Paths) -> None:
    ran = quickstart(started, answers={"agent.whoami": ME})
    assert ran.params("agent.register") == {"name": "alice", "role": "implementer", "module": "auth"}


def test_quickstart_without_the_runtime_above(started: Paths) -> None:
    assert quickstart(started, "alice", *FLAGS, "--no-agent-pid").params("agent.register")["agent_pid"] == 0


def test_quickstart_saves_a_preamble_and_keeps_an_overlay(started: Paths) -> None:
    started.context.mkdir()
    (started.context / "alice.md").write_text("mine")
    ran = quickstart(started, "alice", *FLAGS, "--preamble-file", "p.md", files={"p.md": b"# Head"})
    saved = ran.params("context.preamble.save")
    assert saved == {"agent_name": "alice", "content": base64.b64encode(b"# Head").decode()}
    assert (started.context / "alice.md").read_text() == "mine"


def test_quickstart_that_conflicts_ends_with_1_and_begins_nothing(started: Paths) -> None:
    answers = {"agent.register": {"agent_id": "alice", "status": "conflict"}}
    ran = quickstart(started, "alice", *FLAGS, answers=answers)
    assert ran.status == 1
    assert [name for name, _ in ran.calls if name.startswith("session.")] == []


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("a", "--name", "b"), "NAME and --name are mutually exclusive"),
        (("alice", "--runtime", "my runtime"), 'invalid runtime name "my runtime"'),
        (("alice",), "--role and --module required"),
        (("alice", "--role", "dev"), "--module required"),
        (("alice", *FLAGS, "--preamble-file", "gone"), "cannot read gone"),
    ],
)
def test_quickstart_refuses_in_one_line(started: Paths, words: tuple[str, ...], error: str) -> None:
    ran = quickstart(started, *words)
    assert ran.status == 1
    assert ran.err.splitlines()[0] == f"Error: {error}" or ran.err.startswith(f"Error: {error}")
    assert "agent.register" not in [name for name, _ in ran.calls]


def test_quickstart_dry_run_does_nothing(started: Paths) -> None:
    ran = quickstart(started, "alice", *FLAGS, "--dry-run", "--json")
    assert ran.calls == []
    assert ran.json["register"] == {"name": "alice", "role": "dev", "module": "auth"}
    assert not started.context.exists()


def test_quickstart_does_not_start_what_was_stopped_on_purpose(daemon: Lifecycle, where: Paths) -> None:
    daemon.start()
    daemon.stop()
    ran = quickstart(where, "alice", *FLAGS)
    assert (ran.status, ran.err.splitlines()[0]) == (
        1,
        "Error: daemon is not running (it was stopped on purpose)",
    )
    assert where.stopped.exists()


def test_quickstart_with_no_init_where_nothing_is_set_up(tmp_path: Any, started: Paths) -> None:
    empty = tmp_path / "home"
    empty.mkdir()
    (empty / ".git").mkdir()
    ran = run("quickstart", "alice", *FLAGS, "--no-init", cwd=empty, env={"HOME": "/nowhere"})
    assert ran.status == 1
    assert ran.calls == []


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("alice",), "--role and --module required"),
        (("x", "--role", "x", "--module", "m"), "x"),
        (("Alice", *FLAGS), "invalid agent name"),
    ],
)
def test_quickstart_with_wrong_words_sets_nothing_up(repo: Repo, words: tuple[str, ...], error: str) -> None:
    before = tree_of(repo.path)
    ran = run("quickstart", *words, cwd=repo.path, env={"HOME": repo.env["HOME"]})
    assert ran.status == 1
    assert error in ran.err.splitlines()[0]
    assert tree_of(repo.path) == before
