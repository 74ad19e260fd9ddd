"""Commands about agents and sessions."""

from __future__ import annotations

import pytest
from command_answers import AGENTS, BOTH, CONTEXTS, EARLIER
from command_run import ME, run

from thrum_kernel.cli.render import View
from thrum_kernel.errors import GuardFired, IdentityMissing

REGISTERED = {"agent_id": "alice", "status": "registered"}
NOBODY = IdentityMissing("/w")

# --- whoami ----------------------------------------------------------------------------------------------------------


def test_whoami_in_text_and_json() -> None:
    ran = run("whoami")
    assert ran.out == "Agent: @alice\n  Role:    implementer\n  Module:  auth\n  Session: ses_A\n"
    assert run("whoami", "--json").json == ME
    assert run("agent", "whoami", "--json").json == ME


@pytest.mark.parametrize(
    ("field", "expected"), [("agent_id", "alice\n"), ("branch", "\n"), ("role", "implementer\n")]
)
def test_whoami_prints_one_field_alone(field: str, expected: str) -> None:
    assert run("whoami", "--field", field).out == expected


def test_whoami_field_in_json_is_its_value() -> None:
    assert run("whoami", "--field", "agent_id", "--json").out == '"alice"\n'


def test_whoami_of_an_unknown_field_is_refused() -> None:
    ran = run("whoami", "--field", "color")
    assert (ran.status, ran.err.splitlines()[0]) == (1, "Error: unknown field: color")


def test_whoami_shows_overrides_which_are_no_claims() -> None:
    assert run("whoami", "--field", "role", env={"THRUM_ROLE": "tester"}).out == "tester\n"
    assert (
        run("whoami", "--role", "planner", "--field", "role", env={"THRUM_ROLE": "tester"}).out == "planner\n"
    )


def test_whoami_reports_a_refused_claim_instead_of_another_name() -> None:
    error = GuardFired("unauthenticated_rpc", "identity_mismatch", facts={"expected agent": "bob"})
    ran = run("whoami", answers={"agent.whoami": error})
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith('Error: identity guard "unauthenticated_rpc" fired: identity_mismatch\n')


# --- registering -----------------------------------------------------------------------------------------------------


def test_register_passes_flags_on() -> None:
    ran = run(
        *("agent", "register", "--name", "@alice", "--role", "dev", "--module", "auth", "--display", "Alice"),
        *("--force", "--re-register"),
        answers={"agent.register": REGISTERED},
    )
    assert ran.params("agent.register") == {
        "name": "alice",
        "role": "dev",
        "module": "auth",
        "display": "Alice",
        "force": True,
        "re_register": True,
    }
    assert ran.out == "✓ Agent registered: alice\n"
    assert "thrum agent start" in ran.err


def test_register_takes_what_is_missing_from_the_environment_then_from_the_identity_here() -> None:
    env = {"THRUM_NAME": "alice", "THRUM_ROLE": "planner", "THRUM_DISPLAY": "A"}
    params = run("agent", "register", env=env, answers={"agent.register": REGISTERED}).params(
        "agent.register"
    )
    assert params == {"name": "alice", "role": "planner", "module": "auth", "display": "A"}


def test_register_does_not_lend_another_agents_role() -> None:
    ran = run("agent", "register", "--name", "bob", answers={"agent.register": REGISTERED})
    assert (ran.status, ran.err.splitlines()[0]) == (1, "Error: --role and --module required")


def test_register_of_a_known_agent_says_the_same() -> None:
    answer = {"agent_id": "alice", "status": "updated", "single_agent_mode_ended": True}
    ran = run("agent", "register", answers={"agent.register": answer})
    assert ran.out.startswith("✓ Agent registered: alice\n  Single-agent mode is off now")


def test_register_beside_another_agent_tells_how_commands_know_which_is_meant() -> None:
    answer = {"agent_id": "bob", "status": "registered", "also_here": ["alice"]}
    words = ("agent", "register", "--name", "bob", "--role", "dev", "--module", "auth")
    ran = run(*words, answers={"agent.register": answer})
    assert ran.out.splitlines()[1:] == [
        "  Also registered in this worktree: @alice.",
        "  Commands here must be told who you are: export THRUM_NAME=bob",
    ]


def test_register_that_conflicts_ends_with_1_and_json() -> None:
    conflict = {"existing_agent_id": "alice", "registered_at": EARLIER, "conflict_pid": 7}
    answer = {"agent_id": "alice", "status": "conflict", "conflict": conflict}
    ran = run("agent", "register", "--json", answers={"agent.register": answer})
    assert (ran.status, ran.json) == (1, answer)
    text = run("agent", "register", answers={"agent.register": answer})
    assert text.out.splitlines()[0] == "Conflict: @alice is held by another live runtime (PID 7)"


# --- listing ---------------------------------------------------------------------------------------------------------


def test_agent_list_json_is_nested_twice() -> None:
    assert run("agent", "list", "--json", answers=BOTH).json == {"agents": AGENTS, "contexts": CONTEXTS}


def test_agent_list_text_shows_role_state_and_last_seen() -> None:
    lines = run("agent", "list", answers=BOTH).out.splitlines()
    assert lines[0].startswith("@alice  dev/auth     active   last seen ")
    assert lines[1].startswith("@bob    reviewer/ui  offline  last seen ")
    assert lines[2] == "2 agents"


def test_agent_list_filters_by_its_own_role_and_module() -> None:
    ran = run("agent", "list", "--role", "dev", "--module", "auth", answers=BOTH)
    assert ran.params("agent.list") == {"role": "dev", "module": "auth"}


def test_agent_list_with_context() -> None:
    ran = run("agent", "list", "--context", answers=BOTH)
    assert ran.out == (
        "@alice\n"
        "    Branch: feature/x (1 unmerged commit)\n"
        "    Intent: Login\n"
        f"      src/a.py  +3 -1  {View(_now()).time(EARLIER)}\n"
    )


def _now() -> int:
    from thrum_kernel.clock import SystemClock

    return SystemClock().now_us()


def test_agent_context_keeps_one_agent_or_role() -> None:
    assert run("agent", "context", "@alice", "--json", answers=BOTH).json == CONTEXTS
    assert run("agent", "context", "--agent", "dev", "--json", answers=BOTH).json == CONTEXTS
    assert run("agent", "context", "bob", "--json", answers=BOTH).json == {"contexts": []}


def test_agent_context_of_somebody_unknown_is_no_empty_answer() -> None:
    ran = run("agent", "context", "alcie", answers=BOTH)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == "Error: agent not found: alcie\nHint: did you mean @alice?\n"


def test_agent_context_passes_branch_and_file_on() -> None:
    ran = run("agent", "context", "--branch", "main", "--file", "a.py", answers=BOTH)
    assert ran.params("agent.listContext") == {"branch": "main", "file": "a.py"}


# --- changing --------------------------------------------------------------------------------------------------------


def test_delete_names_the_agent() -> None:
    ran = run(
        "agent", "delete", "@bob", "--force", answers={"agent.delete": {"agent_id": "bob", "deleted": True}}
    )
    assert ran.params("agent.delete") == {"name": "bob", "force": True}
    assert ran.out == "✓ Agent deleted: bob\n"


ORPHAN = {
    "agent_id": "old",
    "role": "dev",
    "module": "x",
    "worktree": "/gone",
    "branch": "",
    "last_seen_at": "",
    "worktree_missing": True,
    "branch_missing": False,
    "days_since_last_seen": 40,
    "message_count": 1,
}


def test_cleanup_looks_unless_forced() -> None:
    answer = {"orphans": [ORPHAN], "deleted": [], "dry_run": True}
    ran = run("agent", "cleanup", answers={"agent.cleanup": answer})
    assert ran.params("agent.cleanup") == {"dry_run": True, "force": False, "threshold": 30}
    assert ran.out == (
        "1 orphaned agent:\n"
        "  @old  dev/x  never seen  1 message  worktree gone\n"
        "Nothing was deleted. Run with --force to delete them.\n"
    )


def test_cleanup_with_force_says_whom_it_deleted() -> None:
    answer = {"orphans": [ORPHAN], "deleted": ["old"], "dry_run": False}
    ran = run("agent", "cleanup", "--force", "--threshold", "7", answers={"agent.cleanup": answer})
    assert ran.params("agent.cleanup") == {"dry_run": False, "force": True, "threshold": 7}
    assert ran.out.endswith("✓ Deleted: @old\n")


def test_set_status_of_oneself_and_of_another() -> None:
    answers = {"agent.set-status": lambda params: params}
    assert run("agent", "set-status", "idle", answers=answers).out == "✓ Status set to idle\n"
    ran = run("agent", "set-status", "stuck", "--agent", "@bob", answers=answers)
    assert ran.params("agent.set-status") == {"agent": "bob", "status": "stuck"}
    assert ran.out == "✓ Status for bob set to stuck\n"


def test_set_status_with_another_word_is_refused() -> None:
    ran = run("agent", "set-status", "happy")
    assert (ran.status, ran.calls) == (1, [])
    assert ran.err.startswith('Error: invalid status "happy": must be working, idle, blocked, or stuck\n')


def test_move_and_adopt() -> None:
    moved = {"agent_id": "bob@host2", "from_daemon": "d_1", "to_daemon": "d_2", "daemon": "host2"}
    ran = run("agent", "move", "bob", "--to", "host2", answers={"agent.move": moved})
    assert ran.params("agent.move") == {"name": "bob", "to": "host2"}
    assert ran.out == "✓ Agent moved: @bob@host2 now lives on host2\n"
    ran = run("agent", "adopt", "@bob@host2", answers={"agent.adopt": {**moved, "agent_id": "bob"}})
    assert ran.params("agent.adopt") == {"name": "bob@host2"}


# --- sessions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noun", ["session", "agent"])
def test_session_words_below_both_nouns(noun: str) -> None:
    begun = {"session_id": "ses_B", "agent_id": "alice", "started_at": EARLIER}
    ran = run(noun, "start", answers={"session.start": begun})
    assert ran.params("session.start") == {"agent_id": "alice"}
    assert ran.out == "✓ Session started: ses_B\n"

    ended = {"session_id": "ses_A", "ended_at": EARLIER, "duration_ms": 125_000}
    ran = run(noun, "end", "--reason", "crash", answers={"session.end": ended})
    assert ran.params("session.end") == {"session_id": "ses_A", "reason": "crash"}
    assert ran.out == "✓ Session ended: ses_A (after 2m 5s)\n"

    intent = {"session_id": "ses_A", "intent": "x", "intent_updated_at": EARLIER}
    ran = run(noun, "set-intent", "Fix it", answers={"session.setIntent": intent})
    assert ran.params("session.setIntent") == {"session_id": "ses_A", "intent": "Fix it"}
    task = {"session_id": "ses_A", "current_task": "", "task_updated_at": EARLIER}
    ran = run(noun, "set-task", "", answers={"session.setTask": task})
    assert (ran.params("session.setTask")["current_task"], ran.out) == ("", "✓ Task cleared\n")

    beat = {"session_id": "ses_A", "last_seen_at": EARLIER, "branch": "main", "unmerged_commits": 2}
    ran = run(
        *(
            noun,
            "heartbeat",
            "--add-scope",
            "a:1",
            "--remove-scope",
            "b:2",
            "--add-ref",
            "c:3",
            "--remove-ref",
            "d:4",
        ),
        answers={"session.heartbeat": beat},
    )
    assert ran.params("session.heartbeat") == {
        "session_id": "ses_A",
        "add_scopes": [{"type": "a", "value": "1"}],
        "remove_scopes": [{"type": "b", "value": "2"}],
        "add_refs": [{"type": "c", "value": "3"}],
        "remove_refs": [{"type": "d", "value": "4"}],
    }


def test_session_end_of_another_session_asks_nobody_who_calls() -> None:
    ended = {"session_id": "ses_Z", "ended_at": EARLIER, "duration_ms": 0}
    ran = run("session", "end", "--session-id", "ses_Z", answers={"session.end": ended})
    assert [name for name, _ in ran.calls] == ["session.end"]


def test_session_words_without_a_session_say_how_to_begin_one() -> None:
    ran = run("session", "set-intent", "x", answers={"agent.whoami": {**ME, "session_id": ""}})
    assert (ran.status, ran.err) == (
        1,
        "Error: no active session found for agent alice\nHint: begin one: thrum agent start\n",
    )


def test_session_list_passes_filters_on() -> None:
    listed = {
        "sessions": [
            {
                "session_id": "ses_A",
                "agent_id": "alice",
                "started_at": EARLIER,
                "last_seen_at": EARLIER,
                "status": "active",
            }
        ]
    }
    ran = run("session", "list", "--active", "--agent", "@alice", answers={"session.list": listed})
    assert ran.params("session.list") == {"active_only": True, "agent_id": "alice"}
    assert ran.out.startswith("ses_A  @alice  active  since ")
