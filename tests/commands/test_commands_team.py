"""The team, and where one stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command_answers import BOTH, CONTEXTS, EARLIER, NOW
from command_run import ME, run

from thrum_kernel.cli.texts.people import team_lines, who_has_lines
from thrum_kernel.errors import IdentityMissing

REGISTERED = {"agent_id": "alice", "status": "registered"}
NOBODY = IdentityMissing("/w")

# --- team ------------------------------------------------------------------------------------------------------------

TEAM: dict[str, Any] = {
    "members": [
        {
            "agent_id": "alice",
            "role": "dev",
            "module": "auth",
            "status": "active",
            "last_seen": EARLIER,
            "inbox_total": 5,
            "inbox_unread": 2,
            "branch": "feature/x",
            "unmerged_commits": 1,
            "intent": "Login",
            "is_local": True,
            "hostname": "host1",
            "origin_daemon": "d_1",
            "worktree_path": "/w/alice",
        },
        {
            "agent_id": "bob@host2",
            "role": "dev",
            "module": "ui",
            "status": "offline",
            "hostname": "host2",
            "origin_daemon": "d_2",
        },
        {
            "agent_id": "supervisor_x",
            "role": "supervisor",
            "module": "x",
            "status": "reserved",
            "reserved": True,
        },
    ],
    "shared_messages": {"broadcast_total": 3, "groups": [{"name": "devs", "total": 1}]},
}


def test_team_text() -> None:
    assert team_lines(TEAM, NOW, showed_all=True) == [
        "● @alice  dev/auth  active, seen 1h ago",
        "    Inbox:    2 unread of 5",
        "    Worktree: /w/alice",
        "    Branch:   feature/x (1 unmerged commit)",
        "    Intent:   Login",
        "",
        "○ @bob@host2  dev/ui  offline",
        "    Host: host2",
        "",
        "⊙ @supervisor_x  supervisor/x  reserved",
        "",
        "3 agents, 1 active",
        "Shared: 3 messages to @everyone, 1 message to @devs",
    ]


def test_team_passes_flags_on_and_narrows_by_daemon_and_host() -> None:
    answers = {"team.list": TEAM}
    ran = run("team", "--all", "--system", "--json", answers=answers)
    assert ran.params("team.list") == {"include_offline": True, "include_system": True}
    assert ran.json == TEAM
    assert [
        m["agent_id"] for m in run("team", "--daemon", "d_2", "--json", answers=answers).json["members"]
    ] == ["bob@host2"]
    assert [
        m["agent_id"] for m in run("team", "--host", "host1", "--json", answers=answers).json["members"]
    ] == ["alice"]
    assert [m["agent_id"] for m in run("team", "local", "--json", answers=answers).json["members"]] == [
        "alice",
        "supervisor_x",
    ]


def test_team_daemons_is_an_array() -> None:
    assert run("team", "daemons", "--json", answers={"team.list": TEAM}).json == [
        {"daemon_id": "d_1", "hostname": "host1", "agent_count": 1},
        {"daemon_id": "d_2", "hostname": "host2", "agent_count": 1},
        {"daemon_id": "unknown", "hostname": "", "agent_count": 1},
    ]


def test_who_has_names_each_agent() -> None:
    assert who_has_lines(CONTEXTS["contexts"], "a.py", NOW) == [
        "@alice is editing a.py (+3 -1, 1h ago), branch: feature/x"
    ]


def test_who_has_nobody_ends_with_0() -> None:
    ran = run("who-has", "x.py", answers={"agent.listContext": {"contexts": []}})
    assert (ran.status, ran.out) == (0, "No agents are currently editing x.py\n")


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        ("src/a.py", "src/a.py"),
        ("./src/a.py", "src/a.py"),
        ("/repo/sub/src/a.py", "/repo/sub/src/a.py"),
        ("../other/b.py", "/repo/other/b.py"),
        ("src/../../b.py", "/repo/b.py"),
        ("/elsewhere/c.py", "/elsewhere/c.py"),
    ],
)
def test_who_has_asks_for_the_end_of_the_path_or_where_it_leads(typed: str, asked: str) -> None:
    ran = run("who-has", typed, answers={"agent.listContext": {"contexts": []}}, cwd=Path("/repo/sub"))
    assert ran.params("agent.listContext") == {"file": asked}


def test_ping_answers_for_the_one_asked() -> None:
    answers = {**BOTH, "agent.lookup": {"member": TEAM["members"][0]}}
    ran = run("ping", "@alice", "--json", answers=answers)
    assert ran.params("agent.lookup") == {"name": "alice"}
    assert [agent["agent_id"] for agent in ran.json["agents"]] == ["alice"]
    assert ran.json["contexts"] == CONTEXTS["contexts"]
    assert run("ping", "alice", answers=answers).out.startswith("@alice is active")


def test_ping_of_one_who_is_offline_ends_with_0() -> None:
    answers = {
        "agent.lookup": {"member": TEAM["members"][1]},
        "agent.list": {"agents": []},
        "agent.listContext": {"contexts": []},
    }
    ran = run("ping", "bob", answers=answers)
    assert (ran.status, ran.out) == (0, "@bob@host2 is offline\n")


def test_ping_of_a_name_that_is_nearly_right_asks() -> None:
    answers = {"agent.lookup": {"member": None}, "agent.list": {"agents": [{"agent_id": "alice"}]}}
    assert "did you mean @alice?" in run("ping", "alise", answers=answers).err


def test_an_empty_name_registers_nobody() -> None:
    ran = run("agent", "register", "--name", "", "--role", "tester", "--module", "all")
    assert (ran.status, ran.err.splitlines()[0]) == (1, "Error: --name is empty")


def test_ping_of_nobody_fails() -> None:
    ran = run("ping", "ghost", answers={"agent.lookup": {"member": None}, "agent.list": {"agents": []}})
    assert (ran.status, ran.err.splitlines()[0]) == (1, "Error: agent ghost not found")


# --- status and overview ---------------------------------------------------------------------------------------------

HEALTH = {
    "status": "ok",
    "uptime_ms": 65_000,
    "version": "0.11.0+python",
    "repo_id": "project",
    "sync_state": "local-only",
    "local_only": True,
}
PAGE = {"messages": [], "total": 4, "unread": 1, "page": 1, "page_size": 1, "total_pages": 4}
STANDING = {
    "health": HEALTH,
    "daemon.status": {**HEALTH, "ws_port": 9999},
    "message.list": PAGE,
    "team.list": TEAM,
    "agent.listContext": CONTEXTS,
}


def test_overview_json_has_its_keys() -> None:
    shown = run("overview", "--json", answers=STANDING).json
    assert set(shown) == {"health", "agent", "work_context", "team", "inbox", "websocket_port"}
    assert (shown["inbox"], shown["websocket_port"]) == ({"total": 4, "unread": 1}, 9999)


def test_overview_text_names_the_session_or_says_that_there_is_none() -> None:
    assert "Session: ses_A" in run("overview", answers=STANDING).out
    without = {**STANDING, "agent.whoami": {**ME, "session_id": ""}, "agent.listContext": {"contexts": []}}
    assert "No active session" in run("overview", answers=without).out


def test_overview_where_nobody_is_registered_still_answers() -> None:
    shown = run("overview", "--json", answers={**STANDING, "agent.whoami": NOBODY}).json
    assert set(shown) == {"health", "team", "websocket_port"}


def test_status_shows_identity_session_daemon_and_unread() -> None:
    ran = run("status", "--json", answers=STANDING)
    assert ran.json["session"] == {"session_id": "ses_A", "started_at": "", "intent": "Login", "task": ""}
    assert ran.json["daemon"] == {"running": True, "version": "0.11.0+python"}
    assert ran.json["unread"] == 1
    assert run("status", answers=STANDING).out == (
        "Agent: @alice (implementer/auth)\n"
        "Session: ses_A\n"
        "  Intent: Login\n"
        "Daemon: running, version 0.11.0+python\n"
        "Unread: 1 message\n"
    )


def test_version_needs_nothing() -> None:
    ran = run("version", "--json")
    assert ran.calls == []
    assert set(ran.json) == {"version", "build", "python_version", "repo_url", "website_url"}
    assert run("version").out.startswith("thrum ")
