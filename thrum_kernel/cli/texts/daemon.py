"""The daemon, its identity and the overview as people read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from thrum_kernel.cli.render import View, at, counted, duration, fields, one_line
from thrum_kernel.cli.texts.plugins import plugin_lines

_IDENTITY = (
    ("daemon_id", "Daemon id"),
    ("repo_name", "Repo"),
    ("hostname", "Host"),
    ("repo_path", "Path"),
    ("git_origin_url", "Origin"),
    ("init_at", "Since"),
)
_COUNTS = ("messages", "agents", "sessions", "threads", "events", "plugins")


def daemon_lines(status: Mapping[str, Any], view: View) -> list[str]:
    """The answer of `daemon status`."""
    if not status["running"]:
        return ["Daemon: not running", "  Start it: thrum daemon start"]
    lines = [f"Daemon: running ({status['status']})"]
    lines += fields(
        [
            ("PID", str(status.get("pid") or "")),
            ("Repo", str(status.get("repo_path") or "")),
            ("Uptime", str(status.get("uptime") or "")),
            ("Version", str(status.get("version") or "")),
            ("Sync", str(status.get("sync_state") or "")),
            ("WebSocket", _websocket(status)),
            ("Counts", counts_text(status.get("counts") or {})),
        ]
    )
    lines += [f"  Warning: {each}" for each in status.get("warnings") or ()]
    lines += [
        f"  Service {each['name']} {_trouble(each)}"
        for each in status.get("services") or ()
        if _trouble(each)
    ]
    lines += ["Identity:", *identity_lines(status["identity"], view)] if status.get("identity") else []
    return lines + _plugins(status.get("plugins") or [])


def identity_lines(identity: Mapping[str, Any], view: View) -> list[str]:
    """The identity block."""
    pairs = [(label, str(identity.get(key) or "")) for key, label in _IDENTITY]
    return fields([(label, view.time(value) if label == "Since" else value) for label, value in pairs])


def counts_text(counts: Mapping[str, Any]) -> str:
    """``12 messages, 3 agents``; known counts first."""
    names = [*(name for name in _COUNTS if name in counts), *(name for name in counts if name not in _COUNTS)]
    return ", ".join(_count(name, counts[name]) for name in names)


def overview_lines(overview: Mapping[str, Any], view: View, nobody: str = "") -> list[str]:
    """Who I am, what I do, who is here, my mail, the daemon: a screenful; *nobody* says why I am none."""
    agent = overview.get("agent") or {}
    lines = [f"Agent: {at(agent['agent_id'])} ({agent['role']}/{agent['module']})"] if agent else []
    lines = lines or _nobody(nobody)
    lines.append(_session(agent, view))
    work = overview.get("work_context") or {}
    lines += _work(work or agent)
    lines += _team(overview.get("team") or {})
    lines += _inbox(overview.get("inbox") or {})
    health = overview["health"]
    lines.append(f"Daemon: {health['status']}, version {health['version']}, up {_uptime(health)}")
    lines.append(f"Sync: {_sync(health)}")
    if overview.get("websocket_port"):
        lines.append(f"WebSocket: {_websocket({'ws_port': overview['websocket_port']})}")
    return lines


def status_lines(status: Mapping[str, Any], view: View, nobody: str = "") -> list[str]:
    """The answer of `status`: me, my session, the daemon, my unread mail; *nobody* says why I am none."""
    agent, session = status.get("agent") or {}, status.get("session") or {}
    if not agent:
        lines = _nobody(nobody)
    else:
        lines = [f"Agent: {at(agent['agent_id'])} ({agent['role']}/{agent['module']})"]
    lines.append(_session({"session_start": session.get("started_at"), **session}, view))
    lines += fields([("Intent", str(session.get("intent") or "")), ("Task", str(session.get("task") or ""))])
    daemon = status["daemon"]
    running = f"running, version {daemon['version']}" if daemon["running"] else "not running"
    lines.append(f"Daemon: {running}")
    if status.get("unread") is not None:
        lines.append(f"Unread: {counted(status['unread'], 'message')}")
    return lines


def _nobody(why: str) -> list[str]:
    first, *more = (why or "not registered here (thrum quickstart)").splitlines()
    return [f"Agent: {first}", *(f"  {line.strip()}" for line in more)]


def uptime_text(health: Mapping[str, Any]) -> str:
    """How long the daemon runs."""
    return _uptime(health)


def _session(agent: Mapping[str, Any], view: View) -> str:
    if not agent.get("session_id"):
        return "No active session"
    start = str(agent.get("session_start") or "")
    since = f" since {view.time(start)}" if start else ""
    return f"Session: {agent['session_id']}{since}"


def _work(work: Mapping[str, Any]) -> list[str]:
    files = work.get("uncommitted_files") or []
    commits = work.get("unmerged_commits") or []
    ahead = commits if isinstance(commits, int) else len(commits)
    return fields(
        [
            ("Branch", str(work.get("branch") or "")),
            ("Intent", str(work.get("intent") or "")),
            ("Task", str(work.get("current_task") or "")),
            ("Unmerged", counted(ahead, "commit") if ahead else ""),
            ("Uncommitted", counted(len(files), "file") if files else ""),
        ]
    )


def _team(team: Mapping[str, Any]) -> list[str]:
    members = team.get("members") or []
    if not members:
        return ["Team: nobody else is registered"]
    active = [member for member in members if member["status"] == "active"]
    lines = [f"Team: {counted(len(members), 'agent')}, {len(active)} active"]
    for member in active:
        doing = one_line(str(member.get("intent") or member.get("current_task") or ""))
        lines.append(f"  {at(member['agent_id'])} ({member['role']})" + (f": {doing}" if doing else ""))
    return lines


def _inbox(inbox: Mapping[str, Any]) -> list[str]:
    if not inbox:
        return []
    return [f"Inbox: {inbox['unread']} unread ({inbox['total']} total)"]


def _plugins(plugins: Sequence[Any]) -> list[str]:
    if not plugins:
        return []
    return ["Plugins:", *(f"  {line}" for line in plugin_lines(plugins))]


def _trouble(service: Mapping[str, Any]) -> str:
    """What is wrong with a service; empty when it runs."""
    if not service.get("error"):
        return ""
    return f"{service['state']}: {service['error']} ({counted(service.get('restarts') or 0, 'restart')})"


def _count(name: str, value: Any) -> str:
    return counted(value, name.removesuffix("s"), name) if isinstance(value, int) else f"{name} {value}"


def _websocket(status: Mapping[str, Any]) -> str:
    port = status.get("ws_port")
    return f"ws://localhost:{port}/ws" if port else ""


def _uptime(health: Mapping[str, Any]) -> str:
    return duration(int(health.get("uptime_ms") or 0) * 1000)


def _sync(health: Mapping[str, Any]) -> str:
    state = str(health.get("sync_state") or "")
    return "local-only" if health.get("local_only") else state
