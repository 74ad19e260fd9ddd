"""The checkpoints by what people meet; the whole table is in test_guards_table.py."""

from __future__ import annotations

import pytest
from guards_calls import CLAUDE, HERE, STRICT, TERMINAL, caller, command, identity, registration
from thrum_guards.checkpoints import Fired, judge

from thrum_kernel.api import GuardedCall, Process

LIVE = identity(pid=400, start_time=4, is_running=True)
DEAD = identity(pid=400, start_time=4)
STRANGER = caller(CLAUDE, TERMINAL)


def fired(call: GuardedCall, **modes: str) -> Fired | None:
    """The one checkpoint that fires."""
    found = list(judge(call, {**STRICT, **modes}))
    assert len(found) <= 1
    return found[0] if found else None


def test_a_runtime_that_is_not_the_agents_is_told_whose_it_is() -> None:
    told = fired(command("team", STRANGER, LIVE))

    assert told is not None
    assert (told.guard, told.reason) == ("cross_worktree", "pid_mismatch")
    assert (told.expected_agent, told.expected_pid) == ("alice", 400)
    assert "thrum quickstart" in told.remediation


def test_the_agents_own_runtime_and_a_person_pass() -> None:
    mine = identity(pid=CLAUDE.pid, start_time=CLAUDE.start_time, is_running=True)

    assert fired(command("team", STRANGER, mine)) is None
    assert fired(command("team", caller(TERMINAL), LIVE)) is None


def test_a_used_again_process_id_is_not_the_owner() -> None:
    earlier = identity(pid=CLAUDE.pid, start_time=CLAUDE.start_time + 1)

    assert fired(command("team", STRANGER, earlier)) is not None
    assert fired(command("team", STRANGER, identity(pid=CLAUDE.pid, is_running=True))) is None


def test_an_identity_without_a_process_is_free_for_whoever_sits_in_its_terminal() -> None:
    assert fired(command("team", STRANGER, identity())) is None
    pane = identity(tmux_session="work:0.1")
    assert fired(command("team", STRANGER, pane)) is not None
    assert fired(command("team", STRANGER, pane, tmux_pane="%4")) is None
    assert fired(command("team", STRANGER, pane, tmux_pane="%4", tmux_session="work")) is None
    assert fired(command("team", STRANGER, pane, tmux_pane="%4", tmux_session="play")) is not None


def test_repo_given_by_name_is_not_compared() -> None:
    assert fired(command("team", STRANGER, LIVE, repo="/w/alice")) is None


def test_a_token_names_its_principal() -> None:
    assert fired(command("team", caller(CLAUDE, source="token"), LIVE)) is None


def test_a_runtime_that_is_another_agent_is_told_while_the_owner_runs() -> None:
    nobody = caller(CLAUDE, name="")

    assert fired(command("team", nobody, LIVE)) is not None
    assert fired(command("team", nobody, DEAD)) is None
    assert fired(command("team", nobody, LIVE, identity("bob"))) is None


@pytest.mark.parametrize("words", ["init", "quickstart", "prime", "version", "help", "completion"])
def test_what_makes_an_identity_and_what_needs_none_is_left_alone(words: str) -> None:
    assert fired(command(words, STRANGER, LIVE)) is None


def test_a_dead_owner_is_reclaimed_unless_that_is_off() -> None:
    call = command("team", STRANGER, DEAD)

    told = fired(call)
    assert told is not None
    assert (told.guard, told.reason) == ("dead_pid_auto_reclaim", "dead_owner_reclaimed")
    off = fired(call, dead_pid_auto_reclaim="off")
    assert off is not None
    assert (off.guard, off.reason) == ("cross_worktree", "pid_mismatch")


def test_a_reclaim_is_asked_for_commands_that_do_something() -> None:
    def ask(words: str, **modes: str) -> Fired | None:
        params = {"command": words}
        return fired(
            GuardedCall(kind="reclaim", name="alice", caller=STRANGER, params=params, identities=(DEAD,)),
            **modes,
        )

    assert ask("team") is not None
    assert ask("prime") is not None
    assert ask("team", dead_pid_auto_reclaim="off") is None
    assert ask("whoami") is None
    assert ask("version") is None


def test_a_runtime_that_is_an_agent_does_not_become_another() -> None:
    mine = identity(pid=CLAUDE.pid, start_time=CLAUDE.start_time, is_running=True)

    told = fired(registration(STRANGER, mine, name="bob"))
    assert told is not None
    assert (told.guard, told.reason) == ("quickstart_self_rename", "caller_already_owns_identity")
    assert (told.expected_agent, told.detected_agent) == ("alice", "bob")
    assert fired(registration(STRANGER, mine, name="alice")) is None
    assert fired(registration(STRANGER, mine, name="bob", force=True)) is None
    assert fired(registration(STRANGER, mine, name="bob", agent_pid=0)) is None
    assert fired(registration(caller(TERMINAL), mine, name="bob")) is None


def test_an_unnamed_agent_registers_again_as_itself() -> None:
    mine = identity("tester_0123456789", pid=CLAUDE.pid, is_running=True)

    assert fired(registration(STRANGER, mine, name="")) is None
    assert fired(registration(STRANGER, mine, name="", role="planner")) is not None


def test_a_name_whose_owner_is_running_elsewhere_is_taken() -> None:
    told = fired(registration(STRANGER, LIVE, name="alice"))

    assert told is not None
    assert (told.guard, told.reason) == ("quickstart_name_collision", "name_held_by_live_foreign_pid")
    assert told.expected_pid == 400
    assert fired(registration(STRANGER, LIVE, name="alice", force=True)) is None
    assert fired(registration(STRANGER, DEAD, name="alice")) is None
    assert fired(registration(STRANGER, LIVE, name="bob")) is None
    assert fired(registration(caller(TERMINAL), LIVE, name="alice")) is None


def test_a_change_by_a_process_that_cannot_be_told_names_nobody() -> None:
    unknown = caller(name="", reason="step=pid failed, and it claims no identity")

    told = fired(GuardedCall(kind="method", name="session.start", caller=unknown))
    assert told is not None
    assert (told.guard, told.reason) == ("unauthenticated_rpc", "no_caller_agent_id")
    outside = caller(name="", reason="no git root above /tmp")
    assert fired(GuardedCall(kind="method", name="session.start", caller=outside)) is None


def test_the_daemon_does_not_write_for_a_runtime_that_has_ended() -> None:
    def write(*here: object) -> Fired | None:
        return fired(GuardedCall(kind="identity", name="alice", caller=STRANGER, identities=here))  # type: ignore[arg-type]

    told = write(DEAD)
    assert told is not None
    assert (told.guard, told.reason) == ("daemon_writer_liveness", "subject_pid_dead")
    assert write(LIVE) is None
    assert write(identity()) is None


def test_a_briefing_is_for_the_agents_own_runtime() -> None:
    nested = Process(250, 200, 9, "codex", "codex")
    mine = identity(pid=CLAUDE.pid, start_time=CLAUDE.start_time, is_running=True)

    def prime(who: object, *here: object) -> Fired | None:
        return fired(GuardedCall(kind="prime", name="alice", caller=who, identities=here))  # type: ignore[arg-type]

    told = prime(caller(nested, CLAUDE), mine)
    assert told is not None
    assert (told.guard, told.reason) == ("prime_ownership", "caller_not_topmost_runtime")
    assert told.detected_agent == "codex"
    assert prime(caller(CLAUDE), mine) is None
    assert prime(caller(TERMINAL), mine) is None
    assert prime(caller(nested, CLAUDE), DEAD) is None
    assert prime(caller(nested, CLAUDE), identity()) is None


def test_outside_git_needs_force() -> None:
    def start(*, is_git: bool, force: bool = False) -> Fired | None:
        params = {"is_git": is_git, "command": "init"}
        return fired(
            GuardedCall(kind="bootstrap", name=str(HERE), caller=caller(), params=params, force=force)
        )

    told = start(is_git=False)
    assert told is not None
    assert (told.guard, told.reason) == ("non_git_bootstrap", "not_a_git_repo")
    assert start(is_git=True) is None
    assert start(is_git=False, force=True) is None
