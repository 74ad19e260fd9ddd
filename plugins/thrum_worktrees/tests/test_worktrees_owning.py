"""Whose worktree it is: another agent takes it away only with force, and then somebody is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from worktrees_ground import commit

from thrum_kernel.api import Caller
from thrum_kernel.errors import NotYours
from thrum_kernel.testing.harness import Repo
from thrum_kernel.testing.kernel import Agent, Kernel

BOB = {"agent": "bob", "role": "tester", "module": "auth"}


@pytest.fixture(autouse=True)
def ours(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel in this process looks around in this process's environment."""
    for name in ("HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM"):
        monkeypatch.setenv(name, repo.env[name])
    commit(repo, ".gitignore", ".thrum/\n")


def running(agent: Agent) -> Caller:
    """The agent in a runtime of its own, so that it is no person at a shell."""
    return replace(agent.caller, source="worktree", runtime_pid=7)


def destroy(agent: Agent, name: str, **params: Any) -> Any:
    return agent.kernel.call("worktrees.destroy", caller=running(agent), name=name, **params)


def test_another_agents_worktree_stays_unless_forced_and_then_somebody_is_told(kernel: Kernel) -> None:
    ann, boss = kernel.agent("ann"), kernel.agent("boss", role="coordinator")
    path = Path(kernel.call("worktrees.create", name="auth", **BOB)["worktree_path"])

    with pytest.raises(NotYours, match="worktree auth is @bob's, and you are @ann") as caught:
        destroy(ann, "auth")

    assert caught.value.hint == "ask @bob or @boss; --force does it all the same, and tells them"
    (path / "draft").write_text("work\n")
    with pytest.raises(NotYours) as caught:
        destroy(ann, "auth")
    assert caught.value.hint.endswith("and tells them; it throws away 1 new file (draft)")
    assert (path / "draft").read_text() == "work\n"
    gone = destroy(ann, "auth", force=True)
    assert gone["notes"] == [
        "worktree auth was not yours but of @bob: taken away all the same; @boss was told"
    ]
    assert boss.inbox() == ["@ann took worktree auth of @bob away, with --force"]
    kernel.call("worktrees.create", name="auth", **BOB)
    assert "notes" not in destroy(boss, "auth")


def test_an_owner_who_stays_registered_is_told(kernel: Kernel) -> None:
    ann = kernel.agent("ann")
    path = Path(kernel.call("worktrees.create", name="auth", **BOB)["worktree_path"])

    gone = destroy(ann, "auth", force=True, keep_agent=True)

    assert gone["notes"][-1].endswith("@bob was told") and not path.exists()
    bob = Caller(kind="agent", agent_id="bob", worktree=kernel.repo.path, cwd=kernel.repo.path)
    found = kernel.call("message.list", caller=bob, for_agent="bob")["messages"]
    assert [each["body"]["content"] for each in found] == [
        "@ann took worktree auth of @bob away, with --force"
    ]


def test_whoever_made_it_may_take_it_away_but_not_what_comes_there_later(kernel: Kernel) -> None:
    ann, eve = kernel.agent("ann"), kernel.agent("eve")
    kernel.call("worktrees.create", caller=running(ann), name="auth", **BOB)
    kernel.call("worktrees.create", caller=running(eve), name="auth", **BOB)
    with pytest.raises(NotYours, match="@bob's"):
        destroy(eve, "auth")

    assert "notes" not in destroy(ann, "auth")

    kernel.call("worktrees.create", name="auth")
    with pytest.raises(NotYours, match="worktree auth is no agent's, and you are @ann"):
        destroy(ann, "auth")
    kernel.call("worktrees.destroy", name="auth")


def test_who_is_moved_out_or_loses_its_name_is_told(kernel: Kernel) -> None:
    ann, boss = kernel.agent("ann"), kernel.agent("boss", role="coordinator")
    for name in ("auth", "web"):
        kernel.call("worktrees.create", name=name, **BOB | {"agent": f"bob_{name}"})
    eve = {"name": "auth", "agent": "eve", "role": "tester", "module": "auth"}

    moved = kernel.call("worktrees.create", caller=running(ann), **eve, force=True)
    renamed = kernel.call("worktrees.create", caller=running(ann), **eve | {"agent": "bob_web"}, force=True)

    assert (
        "worktree auth was not yours but of @bob_auth: taken over all the same; @bob_auth and @boss were told"
        in (moved["notes"])
    )
    assert any(note.startswith("the name bob_web was not yours") for note in renamed["notes"])
    assert sorted(boss.inbox()) == [
        "@ann took the name bob_web of @bob_web over, with --force",
        "@ann took worktree auth of @bob_auth over, with --force",
        "@ann took worktree auth of @eve over, with --force",
    ]
    again = kernel.call("worktrees.create", caller=running(boss), **eve, force=True)
    assert not any("not yours" in note for note in again["notes"])
