"""The guard and the hint, asked of a kernel in this process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from thrum_kernel.errors import GuardFired
from thrum_kernel.testing.kernel import Agent, Kernel


@dataclass
class Team:
    """Alice and Bob are of the team, Mallory is not; a person named the guard for messages."""

    alice: Agent
    bob: Agent
    mallory: Agent


@pytest.fixture
def team(kernel: Kernel) -> Team:
    members = Team(kernel.agent("alice"), kernel.agent("bob"), kernel.agent("mallory"))
    configure(members, "acme_guard.team", ["alice", "bob"])
    configure(members, "plugins.messaging_guards", ["acme_guard"])
    return members


def configure(team: Team, key: str, value: Any) -> None:
    team.alice.call("config.set", key=key, value=value)


def test_a_member_writes_to_members_only(team: Team) -> None:
    with pytest.raises(GuardFired, match="outside: @mallory"):
        team.alice.send("psst", to="@mallory")

    team.alice.send("hello", to="@bob")

    assert team.bob.inbox() == ["hello"]
    assert team.mallory.inbox() == []


def test_an_audience_is_allowed_by_name_and_an_outsider_is_answered(team: Team) -> None:
    with pytest.raises(GuardFired, match="outside: @everyone"):
        team.alice.send("all of you", to="@everyone")

    configure(team, "acme_guard.audiences", ["everyone"])
    team.alice.send("all of you", to="@everyone")
    asked = team.mallory.send("a question", to="@alice")
    team.alice.call("message.send", content="an answer", reply_to=asked)

    assert team.mallory.inbox() == ["all of you", "an answer"]


def test_a_member_who_looks_at_everybody_is_told_whom_to_write_to(team: Team) -> None:
    (hint,) = team.alice.call("hints.ask", command="team", phase="after")["hints"]

    assert hint["code"] == "acme_guard.team-only"
    assert "@bob" in hint["message"] and "@mallory" not in hint["message"]
    assert team.mallory.call("hints.ask", command="team", phase="after")["hints"] == []
