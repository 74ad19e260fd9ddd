"""The guard and the hint as people see them: the commands, with a real daemon."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from thrum_kernel.testing.harness import Cli, Repo

WORDS = ("--role", "implementer", "--module", "acme")


@dataclass
class Team:
    """Alice and Bob are of the team, Mallory is not."""

    alice: Cli
    bob: Cli
    mallory: Cli


@pytest.fixture
def team(daemon: Cli, repo: Repo) -> Team:
    members = {}
    for name in ("alice", "bob", "mallory"):
        members[name] = daemon.at(repo.worktree(name).path)
        members[name]("quickstart", name, *WORDS)
    members["alice"]("config", "set", "acme_guard.team", json.dumps(["alice", "bob"]))
    return Team(**members)


def test_a_member_is_told_whom_to_write_to_and_refused_to_write_outside_once_a_person_names_the_guard(
    team: Team,
) -> None:
    told = team.alice.run("team").err
    assert "acme_guard.team-only" in told
    assert "@bob" in told and "@mallory" not in told
    assert "acme_guard" not in team.mallory.run("team").err
    team.alice("send", "unjudged", "--to", "@mallory")
    team.alice("config", "set", "plugins.messaging_guards", json.dumps(["acme_guard"]))

    refused = team.alice.refused("send", "psst", "--to", "@mallory")

    assert 'guard "acme_guard" fired: outside_team' in refused
    assert "outside: @mallory" in refused
    assert "acme_guard.team" in refused
    heard = team.mallory("inbox")
    assert "unjudged" in heard and "psst" not in heard
    team.alice("send", "hello", "--to", "@bob")
    assert "hello" in team.bob("inbox")
