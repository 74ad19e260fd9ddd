"""The gate before commands, with guards that say what a test wants; real ones are in the tests of plugins."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from thrum_kernel.api import Caller, GuardedCall, IdentityFacts, Verdict
from thrum_kernel.daemon.gate import Gate, known_or_nobody
from thrum_kernel.errors import GuardFired, IdentityMissing, StoreFull

HERE = Path("/w")
NEWCOMER = Caller(
    kind="agent", agent_id="alice", source="worktree", pid=9, runtime_pid=8, runtime="claude", worktree=HERE
)
DEAD = IdentityFacts(name="alice", worktree=HERE, pid=7)
LIVE = IdentityFacts(name="alice", worktree=HERE, pid=7, is_running=True)


@dataclass
class Judges:
    """Judge the kinds in *says*, and keep what they were asked."""

    says: dict[str, Verdict | None]
    asked: list[GuardedCall] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not self.says

    def wanted(self, call: GuardedCall) -> Sequence[Any]:
        return [self] if call.kind in self.says else []

    async def enforce(self, call: GuardedCall) -> Verdict | None:
        if not self.wanted(call):
            return None
        self.asked.append(call)
        verdict = self.says[call.kind]
        if verdict is not None and verdict.outcome == "deny":
            raise GuardFired(verdict.guard, verdict.reason)
        return verdict


@dataclass
class Taken:
    """Who was taken over; *failure* is what comes of it instead."""

    names: list[str] = field(default_factory=list)
    failure: Exception | None = None

    async def over(self, name: str, caller: Caller) -> None:
        if self.failure is not None:
            raise self.failure
        self.names.append(name)


def passes(
    judges: Judges,
    command: str = "team",
    *args: str,
    caller: Caller = NEWCOMER,
    here: IdentityFacts = DEAD,
    taken: Taken | None = None,
) -> list[str]:
    gate = Gate(judges, identities_in=lambda worktree: (here,), take_over=(taken or Taken()).over)
    return asyncio.run(gate.before(command, args=args, tmux_pane="%1", caller=caller))


def warned(reason: str = "because") -> Verdict:
    return Verdict(outcome="warn", guard="g", reason=reason, facts={"what": "that"})


def test_where_nobody_judges_nothing_is_asked() -> None:
    judges = Judges({})
    gate = Gate(judges, identities_in=lambda worktree: (), take_over=Taken().over)

    assert not gate.concerns("team")
    assert passes(judges) == []
    assert judges.asked == []


def test_a_command_is_described_with_what_follows_it() -> None:
    judges = Judges({"command": None})

    passes(judges, "team", "--all", "--repo", "/one", "--repo=/two", "--force", "--", "--repo", "/three")

    (call,) = judges.asked
    assert (call.kind, call.name, call.caller, call.force) == ("command", "team", NEWCOMER, True)
    assert call.params["args"][:2] == ["--all", "--repo"]
    assert call.params["repo"] == "/two"
    assert call.params["tmux_pane"] == "%1"


def test_a_warning_is_told_and_a_refusal_raised() -> None:
    assert passes(Judges({"command": warned()})) == [
        'Warning: identity guard "g" fired: because\n  what: that'
    ]
    with pytest.raises(GuardFired, match="because"):
        passes(Judges({"command": Verdict(outcome="deny", guard="g", reason="because")}))


def test_an_identity_goes_to_the_newcomer_where_a_guard_says_so() -> None:
    taken = Taken()
    judges = Judges({"reclaim": warned("dead"), "command": None})

    assert passes(judges, taken=taken) == ['Warning: identity guard "g" fired: dead\n  what: that']
    assert taken.names == ["alice"]
    assert [call.kind for call in judges.asked] == ["reclaim", "command"]
    assert (judges.asked[0].name, judges.asked[0].params["command"]) == ("alice", "team")


@pytest.mark.parametrize(
    "more",
    [
        {"here": LIVE},
        {"here": IdentityFacts(name="alice", worktree=HERE)},
        {"here": IdentityFacts(name="bob", worktree=HERE, pid=7)},
        {"caller": Caller(kind="agent", agent_id="alice", source="worktree", pid=9, worktree=HERE)},
        {"caller": Caller(kind="agent", agent_id="alice", source="process", runtime_pid=8, worktree=HERE)},
        {"caller": Caller(kind="anonymous", runtime_pid=8, worktree=HERE)},
        {"command": "prime"},
        {"command": "quickstart"},
    ],
)
def test_otherwise_nobody_is_taken_over(more: dict[str, Any]) -> None:
    taken = Taken()
    judges = Judges({"reclaim": warned()})

    passes(judges, taken=taken, **more)

    assert taken.names == []
    assert judges.asked == []


def test_a_guard_that_says_nothing_or_no_keeps_the_identity_where_it_is() -> None:
    taken = Taken()

    assert passes(Judges({"reclaim": None}), taken=taken) == []
    with pytest.raises(GuardFired):
        passes(Judges({"reclaim": Verdict(outcome="deny", guard="g", reason="no")}), taken=taken)
    assert taken.names == []


def test_a_takeover_that_fails_does_not_stop_the_command() -> None:
    judges = Judges({"reclaim": warned(), "command": None})

    assert len(passes(judges, taken=Taken(failure=StoreFull("/log")))) == 1
    assert judges.asked[-1].kind == "command"


def test_whoever_cannot_be_told_is_nobody() -> None:
    def nobody() -> Caller:
        raise IdentityMissing("/w")

    assert known_or_nobody(nobody).kind == "anonymous"
    assert known_or_nobody(lambda: NEWCOMER) is NEWCOMER
