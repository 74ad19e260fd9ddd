"""Agents, sessions, the team and who works on what, as people read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from thrum_kernel.cli.render import View, at, columns, counted, duration, fields, shorten
from thrum_kernel.clock import parse_us

_GLYPH = {"active": "●", "offline": "○", "reserved": "⊙"}
_FILES_SHOWN = 5

Entry = Mapping[str, Any]


def whoami_lines(me: Entry, view: View) -> list[str]:
    """Who the caller is."""
    asserted = "  [asserted, not proven]" if me.get("asserted") else ""
    lines = [f"Agent: {at(str(me['agent_id']))}{asserted}"]
    session = str(me.get("session_id") or "")
    return lines + fields(
        [
            ("Role", str(me.get("role") or "")),
            ("Module", str(me.get("module") or "")),
            ("Display", str(me.get("display") or "")),
            ("Status", str(me.get("status") or "")),
            ("Intent", str(me.get("intent") or "")),
            ("Branch", str(me.get("branch") or "")),
            ("Worktree", str(me.get("worktree") or "")),
            ("Session", _session(session, me, view)),
            ("Tmux", _tmux(me)),
            ("Host", str(me.get("host") or "") if view.verbose else ""),
            ("PID", str(me.get("pid") or "") if view.verbose else ""),
            ("Identity", str(me.get("identity_file") or "") if view.verbose else ""),
            ("Source", str(me.get("source") or "") if view.verbose else ""),
        ]
    )


def agent_list_lines(agents: Sequence[Entry], contexts: Sequence[Entry], view: View) -> list[str]:
    """Every registered agent with role, whether it is active, and when it was last seen."""
    if not agents:
        return [
            "No agents registered. Register one: thrum quickstart --name NAME --role ROLE --module MODULE"
        ]
    by_agent = {context["agent_id"]: context for context in contexts}
    rows = [_agent_row(agent, by_agent.get(agent["agent_id"]), view) for agent in agents]
    return [*columns(rows), counted(len(agents), "agent")]


def context_lines(contexts: Sequence[Entry], view: View) -> list[str]:
    """What each agent works on: branch, commits, files, intent, task."""
    if not contexts:
        return ["No active work contexts."]
    lines: list[str] = []
    for context in contexts:
        lines += [at(str(context["agent_id"])), *_work(context, view), ""]
    return lines[:-1]


def team_lines(team: Entry, view: View, *, showed_all: bool) -> list[str]:
    """The team: a paragraph an agent, and what was said to all."""
    members: Sequence[Entry] = team["members"]
    if not members:
        more = "" if showed_all else " (thrum team --all shows those who are offline)"
        return [f"No agents are active{more}."]
    lines: list[str] = []
    for member in members:
        lines += [*_member(member, view), ""]
    active = sum(member["status"] == "active" for member in members)
    lines.append(f"{counted(len(members), 'agent')}, {active} active")
    return lines + _shared(team.get("shared_messages") or {})


def daemons_lines(daemons: Sequence[Entry]) -> list[str]:
    """A line a daemon: its id, host, and how many agents live there."""
    if not daemons:
        return ["No agents registered."]
    return columns(
        [
            (str(d["daemon_id"]), str(d.get("hostname") or "-"), counted(d["agent_count"], "agent"))
            for d in daemons
        ]
    )


def who_has_lines(contexts: Sequence[Entry], file: str, view: View) -> list[str]:
    """Who edits *file*, a line an agent."""
    if not contexts:
        return [f"No agents are currently editing {file}"]
    return [
        f"{at(str(context['agent_id']))} is editing {file} ({_how(context, file, view)}), "
        f"branch: {context.get('branch') or 'unknown'}"
        for context in contexts
    ]


def ping_lines(agent: Entry, context: Entry | None, view: View) -> list[str]:
    """Whether one agent is there, and what it does."""
    state = str(agent["status"])
    seen = view.time(str(agent.get("last_seen") or agent.get("last_seen_at") or ""))
    name = at(str(agent["agent_id"]))
    if state != "active":
        return [f"{name} is offline" + (f" (last seen {seen})" if seen else "")]
    lines = [f"{name} is active" + (f" (seen {seen})" if seen else "")]
    return lines + _work(context or agent, view)


def session_list_lines(sessions: Sequence[Entry], view: View) -> list[str]:
    """A line a session: id, agent, state, when, why it ended or what for."""
    if not sessions:
        return ["No sessions."]
    rows = []
    for session in sessions:
        when = f"since {view.time(str(session['started_at']))}"
        if session.get("ended_at"):
            when = f"ended {view.time(str(session['ended_at']))}"
        why = str(session.get("end_reason") or session.get("intent") or "")
        rows.append(
            (session["session_id"], at(str(session["agent_id"])), session["status"], when, shorten(why, 60))
        )
    return columns(rows)


def session_ended_lines(ended: Entry) -> list[str]:
    """The success lines of `session end`."""
    return [f"✓ Session ended: {ended['session_id']} (after {duration(ended['duration_ms'] * 1000)})"]


def heartbeat_lines(beat: Entry) -> list[str]:
    """The success lines of a heartbeat."""
    lines = [f"✓ Heartbeat: {beat['session_id']}"]
    files = beat.get("file_changes")
    return lines + fields(
        [
            ("Branch", str(beat.get("branch") or "")),
            ("Unmerged", counted(beat["unmerged_commits"], "commit") if beat.get("unmerged_commits") else ""),
            ("Changed", counted(len(files), "file") if files else ""),
        ]
    )


def cleanup_lines(result: Entry, view: View) -> list[str]:
    """What `agent cleanup` found and did."""
    orphans: Sequence[Entry] = result.get("orphans") or []
    deleted: Sequence[str] = result.get("deleted") or []
    if not orphans and not deleted:
        return [str(result.get("message") or "No orphaned agents.")]
    rows = [_orphan_row(orphan, view) for orphan in orphans]
    lines = [counted(len(orphans), "orphaned agent") + ":", *columns(rows, indent="  ")] if orphans else []
    lines += [f"✓ Deleted: {at(name)}" for name in deleted]
    if not deleted:
        lines.append("Nothing was deleted. Run with --force to delete them.")
    return lines


def _agent_row(agent: Entry, context: Entry | None, view: View) -> list[str]:
    seen = view.time(str(agent.get("last_seen_at") or agent.get("registered_at") or ""))
    return [
        at(str(agent["agent_id"])),
        f"{agent['role']}/{agent['module']}",
        "active" if context else "offline",
        f"last seen {seen}",
        shorten(str((context or {}).get("intent") or agent.get("display") or ""), 50),
    ]


def _member(member: Entry, view: View) -> list[str]:
    status = str(member["status"])
    glyph = "⊙" if member.get("reserved") else _GLYPH.get(status, "○")
    head = f"{glyph} {at(str(member['agent_id']))}  {member['role']}/{member['module']}  {status}"
    if member.get("agent_status"):
        head += f" ({member['agent_status']})"
    if member.get("last_seen"):
        head += f", seen {view.time(str(member['last_seen']))}"
    if member.get("asserted"):
        head += "  [asserted, not proven]"
    facts = fields([*_member_facts(member, view), *_work_facts(member)], indent="    ")
    return [head, *facts, *_changes(member, view)]


def _member_facts(member: Entry, view: View) -> list[tuple[str, str]]:
    total, unread = member.get("inbox_total"), member.get("inbox_unread") or 0
    place = str(member.get("worktree_path") or member.get("worktree") or "")
    where = "" if member.get("is_local") else str(member.get("hostname") or "")
    return [
        ("Display", str(member.get("display") or "")),
        ("Inbox", f"{unread} unread of {total}" if total else ""),
        ("Session", _session(str(member.get("session_id") or ""), member, view)),
        ("Worktree", f"{place} (missing)" if member.get("worktree_missing") else place),
        ("Host", str(member.get("hostname") or "") if view.verbose else where),
        ("Daemon", str(member.get("origin_daemon") or "") if view.verbose else ""),
        ("Runtime", _runtime(member)),
        ("Tmux", " ".join(str(member.get(key) or "") for key in ("tmux_session", "tmux_state")).strip()),
    ]


def _runtime(member: Entry) -> str:
    pid = f"(PID {member['agent_pid']})" if member.get("agent_pid") else ""
    return f"{member.get('runtime') or ''} {pid}".strip()


def _work(context: Entry, view: View) -> list[str]:
    return fields(_work_facts(context), indent="    ") + _changes(context, view)


def _work_facts(context: Entry) -> list[tuple[str, str]]:
    commits = context.get("unmerged_commits") or 0
    ahead = commits if isinstance(commits, int) else len(commits)
    branch = str(context.get("branch") or "")
    return [
        ("Branch", branch + (f" ({counted(ahead, 'unmerged commit')})" if ahead else "")),
        ("Intent", str(context.get("intent") or "")),
        ("Task", str(context.get("current_task") or "")),
    ]


def _changes(context: Entry, view: View) -> list[str]:
    """Changed files; the commits above them when verbose."""
    commits = context.get("unmerged_commits") or 0
    lines = []
    if not isinstance(commits, int) and view.verbose:
        lines = [f"      {commit['sha'][:10]} {shorten(str(commit['message']), 70)}" for commit in commits]
    return lines + _files(context, view)


def _files(context: Entry, view: View) -> list[str]:
    changes: Sequence[Entry] = context.get("file_changes") or []
    if not changes:
        names = sorted({*(context.get("uncommitted_files") or []), *(context.get("changed_files") or [])})
        changes = [{"path": name} for name in names]
    shown = changes if view.verbose else changes[:_FILES_SHOWN]
    rows = [
        (str(change["path"]), _size(change), view.time(str(change.get("last_modified") or "")))
        for change in shown
    ]
    lines = columns(rows, indent="      ")
    if len(changes) > len(shown):
        lines.append(f"      … and {counted(len(changes) - len(shown), 'more file')}")
    return lines


def _size(change: Entry) -> str:
    if "additions" not in change and "deletions" not in change:
        return str(change.get("status") or "")
    return f"+{change.get('additions', 0)} -{change.get('deletions', 0)}"


def _how(context: Entry, file: str, view: View) -> str:
    """In what way one agent has changed a file, from the most precise fact there is."""
    for change in context.get("file_changes") or ():
        if _is_same(str(change["path"]), file):
            parts = [_size(change), view.time(str(change.get("last_modified") or ""))]
            return ", ".join(part for part in parts if part) or "changed"
    if any(_is_same(name, file) for name in context.get("uncommitted_files") or ()):
        return "uncommitted changes"
    return "changed"


def _is_same(path: str, asked: str) -> bool:
    wanted = asked.removeprefix("./")
    return path == wanted or path.endswith("/" + wanted) or wanted.endswith("/" + path)


def _session(session_id: str, entry: Entry, view: View) -> str:
    if not session_id:
        return ""
    start = str(entry.get("session_start") or "")
    if not start:
        return session_id
    return f"{session_id}, for {duration(view.now_us - parse_us(start))}"


def _tmux(me: Entry) -> str:
    session = str(me.get("tmux_session") or "")
    if not session or "tmux_alive" not in me:
        return session
    return f"{session} ({'alive' if me['tmux_alive'] else 'gone'})"


def _shared(shared: Entry) -> list[str]:
    parts = []
    if shared.get("broadcast_total"):
        parts.append(f"{counted(shared['broadcast_total'], 'message')} to @everyone")
    parts += [
        f"{counted(group['total'], 'message')} to @{group['name']}" for group in shared.get("groups") or ()
    ]
    return ["Shared: " + ", ".join(parts)] if parts else []


def _orphan_row(orphan: Entry, view: View) -> list[str]:
    reasons = []
    if orphan.get("worktree_missing"):
        reasons.append("worktree gone")
    if orphan.get("branch_missing"):
        reasons.append("branch gone")
    seen = view.time(str(orphan.get("last_seen_at") or ""))
    return [
        at(str(orphan["agent_id"])),
        f"{orphan['role']}/{orphan['module']}",
        f"last seen {seen}" if seen else "never seen",
        counted(orphan.get("message_count") or 0, "message"),
        ", ".join(reasons) or "no identity file",
    ]
