"""Who a caller is: the cases people meet; the general rules are in tests/property/test_resolve.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from thrum_kernel.errors import FileDamaged, GuardFired, IdentityAmbiguous, IdentityMissing
from thrum_kernel.identity.facts import Facts, Folder, Process
from thrum_kernel.identity.model import AgentName, Identity
from thrum_kernel.identity.resolve import resolve
from thrum_kernel.identity.select import overridden, select
from thrum_kernel.identity.world import Worktree, World

ADA_AT, BOB_AT = (1, 1), (1, 2)
WORLD = World(
    worktrees={
        ADA_AT: Worktree(Path("/w/ada"), ("ada",)),
        BOB_AT: Worktree(Path("/w/bob"), ("bob", "bert")),
    },
    runtimes={(100, 1): "ada"},
    names=frozenset({"ada", "bert", "bob", "far"}),
)
CLAUDE = Process(100, 1, 1, "claude", "claude")
SHELL = Process(200, 100, 2, "bash")


def standing(inode: tuple[int, int], path: str, *chain: Process) -> Facts:
    return Facts(pid=chain[0].pid if chain else 9, chain=chain, folders=(Folder(Path(path), inode),))


def test_a_command_of_a_runtime_acts_as_its_agent() -> None:
    caller = resolve(standing(ADA_AT, "/w/ada", SHELL, CLAUDE), WORLD)

    assert (caller.kind, caller.agent_id, caller.source) == ("agent", "ada", "process")
    assert (caller.pid, caller.runtime_pid, caller.runtime) == (200, 100, "claude")
    assert caller.worktree == Path("/w/ada")


def test_a_runtime_outside_every_worktree_keeps_its_agent() -> None:
    assert resolve(standing((9, 9), "/tmp", SHELL, CLAUDE), WORLD).agent_id == "ada"


def test_a_thrum_name_that_names_nobody_here_is_noted() -> None:
    alone, shared = standing(ADA_AT, "/w/ada"), standing(BOB_AT, "/w/bob")

    assert resolve(alone, WORLD, named="bob").ignored_name == "bob"
    assert resolve(alone, WORLD, named="ada").ignored_name == ""
    assert resolve(standing(ADA_AT, "/w/ada", SHELL, CLAUDE), WORLD, named="zed").ignored_name == "zed"
    assert resolve(shared, WORLD, "bert", named="bob").ignored_name == ""
    with pytest.raises(IdentityAmbiguous, match="Ignored: THRUM_NAME=zed names none of them"):
        resolve(shared, WORLD, named="zed")


def test_a_used_again_pid_is_somebody_else() -> None:
    later = Process(100, 1, 2, "claude", "claude")

    assert resolve(standing((9, 9), "/tmp", later), WORLD).kind == "anonymous"


def test_a_person_in_a_worktree_acts_as_its_agent() -> None:
    caller = resolve(standing(ADA_AT, "/w/ada", Process(300, 1, 1, "zsh")), WORLD)

    assert (caller.agent_id, caller.source, caller.runtime_pid) == ("ada", "worktree", 0)


def test_in_a_shared_worktree_the_claim_or_thrum_name_chooses() -> None:
    here = standing(BOB_AT, "/w/bob")

    assert resolve(here, WORLD, "bert").agent_id == "bert"
    assert resolve(here, WORLD, named="bob").agent_id == "bob"
    with pytest.raises(IdentityAmbiguous) as caught:
        resolve(here, WORLD, named="nobody")
    assert caught.value.candidates == ("bert", "bob")


def test_a_claim_of_another_worktrees_agent_is_refused_with_what_to_do() -> None:
    with pytest.raises(GuardFired) as caught:
        resolve(standing(BOB_AT, "/w/bob"), WORLD, "ada")

    assert str(caught.value) == (
        'identity guard "unauthenticated_rpc" fired: identity_mismatch\n'
        "  expected agent: ada\n"
        "  detected agent: bob, bert\n"
        "  caller pid: 9\n"
        "  caller cwd: /w/bob\n"
        "  remediation: cd /w/ada and retry"
    )


def test_a_runtime_that_stands_in_anothers_worktree_is_refused() -> None:
    with pytest.raises(GuardFired, match="remediation: cd /w/ada and retry"):
        resolve(standing(BOB_AT, "/w/bob", SHELL, CLAUDE), WORLD)


def test_a_runtime_cannot_choose_its_neighbour_in_a_shared_worktree() -> None:
    world = World(
        {ADA_AT: Worktree(Path("/w/ada"), ("ada", "bob"))}, {(100, 1): "ada"}, frozenset({"ada", "bob"})
    )
    here = standing(ADA_AT, "/w/ada", SHELL, CLAUDE)

    assert resolve(here, world).agent_id == "ada"
    for words in ({"claim": "bob"}, {"named": "bob"}):
        with pytest.raises(GuardFired):
            resolve(here, world, **words)


def test_the_nearest_registered_runtime_counts() -> None:
    inner = Process(400, 100, 5, "codex", "codex")
    world = World(WORLD.worktrees, {**WORLD.runtimes, (400, 5): "bob"}, WORLD.names)

    assert resolve(standing((9, 9), "/tmp", inner, CLAUDE), world).agent_id == "bob"
    unregistered = Process(500, 100, 6, "codex", "codex")
    assert resolve(standing((9, 9), "/tmp", unregistered, CLAUDE), world).agent_id == "ada"


def test_where_the_system_cannot_tell_the_claim_is_taken_and_marked() -> None:
    unreadable = Facts(pid=9, failed=frozenset({"cwd"}))

    caller = resolve(unreadable, WORLD, "far")

    assert (caller.agent_id, caller.asserted, caller.reason) == ("far", True, "step=cwd failed")
    assert resolve(Facts(failed=frozenset({"pid", "cwd"})), WORLD, "far").reason == "step=pid failed"
    assert resolve(unreadable, WORLD, "stranger").kind == "anonymous"
    assert resolve(unreadable, WORLD, "user:eve").kind == "anonymous"
    assert resolve(unreadable, WORLD).kind == "anonymous"


def test_anonymous_callers_come_with_a_reason() -> None:
    outside = Facts(pid=9, folders=(Folder(Path("/tmp"), (9, 9)),))
    unregistered = Facts(pid=9, folders=(Folder(Path("/w/x"), (9, 8)),), git_root=Path("/w/x"))

    assert resolve(outside, WORLD, "ada").reason == "no git root above /tmp"
    assert resolve(unregistered, WORLD).reason == "no agent is registered in /w/x"
    assert resolve(Facts(pid=9, cwd_gone=True), WORLD, "ada").reason == "its working folder was removed"
    assert "pid namespace" in resolve(Facts(foreign="pid"), WORLD, "ada").reason


def test_select_goes_through_its_five_steps() -> None:
    def identity(name: str, worktree: str = "", pid: int = 0) -> Identity:
        return Identity(agent=AgentName(name=name, role="r", module="m"), worktree=worktree, agent_pid=pid)

    here = Path("/w/here")
    ada, bob = identity("ada", "/w/here"), identity("bob", "/w/there", 100)
    facts = Facts(pid=200, chain=(SHELL, CLAUDE))

    assert select([ada, bob], worktree=here, env={"THRUM_NAME": "bob"}).by == "THRUM_NAME"
    only = select([bob], worktree=here, env={"THRUM_NAME": "gone"})
    assert (only.by, only.identity, only.ignored_name) == ("only", bob, "gone")
    assert select([ada, bob], worktree=here, env={}, facts=facts).by == "pid"
    assert select([ada, bob], worktree=here, env={}).by == "worktree"
    assert select([identity("cyd", "here"), bob], worktree=here, env={}).identity.name == "cyd"
    with pytest.raises(IdentityAmbiguous, match="2 identity files found"):
        select([identity("cyd", "/w/here"), ada, bob], worktree=here, env={})
    with pytest.raises(IdentityMissing):
        select([], worktree=here, env={"THRUM_NAME": "ada"})


def test_flags_come_before_environment_before_file() -> None:
    identity = Identity(agent=AgentName(name="ada", role="file", module="file", display="file"))
    env = {"THRUM_ROLE": "env", "THRUM_MODULE": "env", "THRUM_DISPLAY": "env", "THRUM_NAME": "eve"}

    agent = overridden(identity, env=env, role="flag").agent

    assert agent == AgentName(name="ada", role="flag", module="env", display="env")
    assert overridden(identity, env={}) == identity


def test_beside_a_damaged_file_nothing_is_taken_for_being_the_only_one() -> None:
    bob = Identity(agent=AgentName(name="bob", role="r", module="m"), worktree="/w/here")
    damaged = [FileDamaged("/w/here/.thrum/identities/ada.json", "is empty")]
    here = Path("/w/here")

    with pytest.raises(
        IdentityAmbiguous, match=r"2 identity files .*\n.*bob\n  Damaged: .*ada\.json: is empty"
    ):
        select([bob], worktree=here, env={}, damaged=damaged)
    assert select([bob], worktree=here, env={"THRUM_NAME": "bob"}, damaged=damaged).identity == bob
    with pytest.raises(FileDamaged):
        select([], worktree=here, env={}, damaged=damaged)
