"""For any facts, exactly the rows of spec/features.md §10 hold."""

from __future__ import annotations

import logging
from typing import Any

from guards_calls import HERE, SHELL
from hypothesis import given
from hypothesis import strategies as st
from thrum_guards.checkpoints import judge
from thrum_guards.modes import verdict_of
from thrum_guards.settings import CHECKPOINTS

from thrum_kernel.api import Caller, GuardedCall, IdentityFacts, Process

LOG = logging.getLogger("guards.table")
GUARDED, DIAGNOSTIC, LEFT_ALONE = ("team", "sent"), ("whoami", "daemon status"), ("prime", "version")
MODES = st.fixed_dictionaries({name: st.sampled_from(["strict", "warn", "off"]) for name in CHECKPOINTS})
PIDS = st.integers(min_value=0, max_value=3)
STARTS = st.integers(min_value=0, max_value=2)


@st.composite
def chains(draw: st.DrawFn) -> tuple[Process, ...]:
    """The caller and what is above it; none, one or two of them runtimes."""
    runtimes = draw(st.lists(st.sampled_from(["", "claude", "codex"]), max_size=3))
    above = [Process(place, 0, draw(STARTS) + 1, name, name) for place, name in enumerate(runtimes, start=1)]
    return SHELL, *above


@st.composite
def identities(draw: st.DrawFn, name: str) -> IdentityFacts:
    pid = draw(PIDS)
    return IdentityFacts(
        name=name,
        worktree=HERE,
        pid=pid,
        start_time=draw(STARTS) if pid else 0,
        is_running=bool(pid) and draw(st.booleans()),
        tmux_session=draw(st.sampled_from(["", "work:0.1"])),
    )


def caller_with(chain: tuple[Process, ...], **more: Any) -> Caller:
    runtime = next((process for process in chain if process.runtime), None)
    known: dict[str, Any] = {"kind": "agent", "agent_id": "alice", "source": "worktree"}
    return Caller(
        **{**known, **more},
        pid=SHELL.pid,
        runtime_pid=runtime.pid if runtime else 0,
        cwd=HERE,
        worktree=HERE,
        chain=chain,
    )


def owns(identity: IdentityFacts, chain: tuple[Process, ...]) -> bool:
    return any(
        identity.pid and identity.pid == process.pid and identity.start_time in (0, process.start_time)
        for process in chain
    )


def outcome(call: GuardedCall, modes: dict[str, str]) -> tuple[str, str]:
    verdict = verdict_of(call, judge(call, modes), modes, LOG)
    return ("none", "") if verdict is None else (verdict.outcome, verdict.reason)


def by_mode(mode: str, reason: str, *, banner: bool = False) -> tuple[str, str]:
    if mode == "off":
        return "none", ""
    return ("deny" if mode == "strict" and not banner else "warn"), reason


@given(
    chains(),
    identities("alice"),
    MODES,
    st.sampled_from([*GUARDED, *DIAGNOSTIC, *LEFT_ALONE]),
    st.sampled_from(["", "work", "play"]),
    st.booleans(),
)
def test_commands(
    chain: tuple[Process, ...],
    alice: IdentityFacts,
    modes: dict[str, str],
    words: str,
    session: str,
    named_repo: bool,
) -> None:
    who = caller_with(chain)
    params = {"tmux_session": session, "repo": "/w/alice" if named_repo else ""}
    tmux_matches = alice.tmux_session in ("", f"{session}:0.1")
    banner = words in DIAGNOSTIC

    is_free = alice.pid == 0 and tmux_matches
    if not who.runtime_pid or named_repo or words in LEFT_ALONE or owns(alice, chain) or is_free:
        expected = ("none", "")
    elif alice.pid and not alice.is_running and tmux_matches and modes["dead_pid_auto_reclaim"] != "off":
        expected = by_mode(modes["dead_pid_auto_reclaim"], "dead_owner_reclaimed", banner=banner)
    else:
        expected = by_mode(modes["cross_worktree"], "pid_mismatch", banner=banner)

    call = GuardedCall(kind="command", name=words, caller=who, params=params, identities=(alice,))
    assert outcome(call, modes) == expected


@given(
    chains(),
    identities("alice"),
    identities("bob"),
    MODES,
    st.sampled_from(["alice", "bob", "carol"]),
    st.booleans(),
    st.booleans(),
)
def test_registrations(
    chain: tuple[Process, ...],
    alice: IdentityFacts,
    bob: IdentityFacts,
    modes: dict[str, str],
    name: str,
    force: bool,
    is_told_apart: bool,
) -> None:
    reason = "" if is_told_apart else "step=cwd failed, and it claims no identity"
    who = caller_with(chain, kind="anonymous", agent_id="", source="none", reason=reason)
    here = (alice, bob)
    mine = {each.name for each in here if owns(each, chain)}
    held = any(each.name == name and each.is_running and each.name not in mine for each in here)
    rows = []
    if not is_told_apart:
        rows.append(by_mode(modes["unauthenticated_rpc"], "no_caller_agent_id"))
    if who.runtime_pid and not force and mine and name not in mine:
        rows.append(by_mode(modes["quickstart_self_rename"], "caller_already_owns_identity"))
    if who.runtime_pid and not force and held:
        rows.append(by_mode(modes["quickstart_name_collision"], "name_held_by_live_foreign_pid"))
    strictest = max(rows or [("none", "")], key=lambda row: ("none", "allow", "warn", "deny").index(row[0]))

    call = GuardedCall(
        kind="method",
        name="agent.register",
        caller=who,
        params={"name": name, "role": "tester", "module": "core"},
        force=force,
        identities=here,
    )
    assert outcome(call, modes) == strictest


@given(chains(), identities("alice"), MODES)
def test_briefings_and_writes(
    chain: tuple[Process, ...], alice: IdentityFacts, modes: dict[str, str]
) -> None:
    who = caller_with(chain)
    nearest = next((process for process in chain if process.runtime), None)
    is_foreign = nearest is not None and not owns(alice, (nearest,))

    prime = GuardedCall(kind="prime", name="alice", caller=who, identities=(alice,))
    fires = alice.pid and alice.is_running and is_foreign
    row = by_mode(modes["prime_ownership"], "caller_not_topmost_runtime") if fires else ("none", "")
    assert outcome(prime, modes) == row

    write = GuardedCall(kind="identity", name="alice", caller=who, identities=(alice,))
    fires = alice.pid and not alice.is_running
    row = by_mode(modes["daemon_writer_liveness"], "subject_pid_dead") if fires else ("none", "")
    assert outcome(write, modes) == row


@given(MODES, st.booleans(), st.booleans())
def test_bootstraps(modes: dict[str, str], is_git: bool, force: bool) -> None:
    call = GuardedCall(
        kind="bootstrap",
        name=str(HERE),
        caller=caller_with((SHELL,)),
        params={"is_git": is_git},
        force=force,
    )

    fires = not is_git and not force
    mode = modes["non_git_bootstrap"]
    if not fires:
        expected = ("none", "")
    elif mode == "off":
        expected = ("allow", "")
    else:
        expected = by_mode(mode, "not_a_git_repo")
    assert outcome(call, modes) == expected
