"""The briefing as an agent reads it: the kernel's sections by their order, with those of plugins among them.

The order numbers are part of the API (`api.PrimeSection.order`): 100 agent, 200 session, 300 team, 400 inbox, 500 git,
600 daemon, 650 commands, 700 instructions, 800 project state, 900 saved context, 1000 the restart snapshot of a plugin,
1100 messaging, 1200 what to say first.

Source: spec/features.md §12.2; spec/decisions.md "init, prime…".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from thrum_kernel.api import PrimeSection
from thrum_kernel.briefing import wording
from thrum_kernel.briefing.model import BriefedAgent, BriefedTeam, Briefing
from thrum_kernel.briefing.wording import length, one_line, plain, since

SHOWN_AGENTS: Final = 25
SHOWN_FILES: Final = 10


@dataclass(frozen=True, slots=True)
class Setting:
    """What the text depends on beside the briefing's data.

    Attributes:
        now_us: the present.
        strategies: files to be read when they are needed, absolute.
        is_woken: something tells the agent when a message comes.
    """

    now_us: int
    strategies: Sequence[str] = ()
    is_woken: bool = False


def render(briefing: Briefing, added: Iterable[PrimeSection], setting: Setting) -> str:
    """The whole text."""
    own = [
        PrimeSection(key=key, order=order, text=section(briefing, setting))
        for key, order, section in _SECTIONS
    ]
    sections = sorted((*own, *added), key=lambda section: section.order)
    return "\n\n".join(section.text.strip("\n") for section in sections if section.text.strip())


def _agent(briefing: Briefing, setting: Setting) -> str:
    me = briefing.identity
    if me is None:
        return (
            "Agent: none registered in this worktree\n"
            "  Register with: thrum quickstart NAME --role ROLE --module MODULE"
        )
    lines = [f"Agent: @{me['agent_id']} ({plain(me['role'])})", f"Module: {plain(me['module'])}"]
    lines += [
        f"{label}: {plain(str(me[key]))}"
        for label, key in (("Name", "display"), ("Worktree", "worktree"), ("Status", "status"))
        if me.get(key)
    ]
    if briefing.runtime:
        lines.append(f"Runtime: {plain(briefing.runtime)}")
    return "\n".join(lines)


def _session(briefing: Briefing, setting: Setting) -> str:
    if briefing.identity is None:
        return ""
    session = briefing.session
    if not session.session_id:
        return "Session: none (begin one: thrum session start)"
    line = f"Session: {session.session_id} (began {since(session.started_at, setting.now_us)})"
    return f"{line}\nIntent: {one_line(session.intent)}" if session.intent else line


def _team(briefing: Briefing, setting: Setting) -> str:
    team = briefing.agents
    if not team.total:
        return ""
    agents = "agent" if team.total == 1 else "agents"
    chosen = sorted(team.list, key=lambda agent: agent.status != "active")[:SHOWN_AGENTS]
    lines = [f"Team: {team.total} {agents}, {team.active} active"]
    lines += [f"  {_member(agent, setting.now_us)}" for agent in sorted(chosen, key=lambda agent: agent.role)]
    if team.total > len(chosen):
        lines.append(f"  and {team.total - len(chosen)} more: thrum team --all")
    return "\n".join(lines)


def _member(agent: BriefedAgent, now_us: int) -> str:
    state = agent.status
    if agent.status == "offline" and agent.last_seen_at:
        state = f"offline, last seen {since(agent.last_seen_at, now_us)}"
    elif agent.agent_status:
        state = f"{agent.status}, {agent.agent_status}"
    intent = f": {one_line(agent.intent)}" if agent.intent else ""
    return f"{plain(agent.role)}: @{agent.agent_id} ({state}){intent}"


def _inbox(briefing: Briefing, setting: Setting) -> str:
    if briefing.identity is None:
        return ""
    mail = briefing.messages
    lines = [f"Inbox: {mail.unread} unread ({mail.total} total)"]
    for message in mail.recent:
        marked = " [high]" if message.priority == "high" else ""
        when = since(message.created_at, setting.now_us)
        lines.append(f"  {message.message_id} from @{message.agent_id}{marked}, {when}: {message.preview}")
    return "\n".join(lines)


def _git(briefing: Briefing, setting: Setting) -> str:
    work = briefing.work_context
    if work.error:
        return f"Branch: {work.branch or 'unknown'} ({work.error})"
    if not work.branch and not work.git_updated_at:
        return ""
    lines = [f"Branch: {work.branch or '(none: detached)'}"]
    if work.unmerged_commits:
        lines.append(f"Unmerged commits: {len(work.unmerged_commits)}")
        lines += _cut([f"{commit['sha'][:9]} {commit['message']}" for commit in work.unmerged_commits])
    if work.uncommitted_files:
        lines.append(f"Uncommitted files: {len(work.uncommitted_files)}")
        lines += _cut(work.uncommitted_files)
    return "\n".join(lines)


def _cut(lines: Sequence[str]) -> list[str]:
    shown = [f"  {line}" for line in lines[:SHOWN_FILES]]
    return [*shown, f"  and {len(lines) - SHOWN_FILES} more"] if len(lines) > SHOWN_FILES else shown


def _daemon(briefing: Briefing, setting: Setting) -> str:
    daemon = briefing.sync_state
    up = length(daemon.uptime_ms * 1000)
    return f"Daemon: {daemon.daemon_status}, version {daemon.version}, up {up}, sync {daemon.sync_state}"


def _commands(briefing: Briefing, setting: Setting) -> str:
    if not briefing.commands:
        return ""
    lines = ["# Commands", ""]
    lines += [
        f"- `{each.command}`: {each.help}" if each.help else f"- `{each.command}`"
        for each in briefing.commands
    ]
    lines += ["", "`thrum --help` lists them all, `thrum COMMAND --help` explains one."]
    if setting.strategies:
        lines += ["", "Read when you need it:", *(f"- {path}" for path in setting.strategies)]
    return "\n".join(lines)


def _instructions(briefing: Briefing, setting: Setting) -> str:
    return f"# Agent Instructions\n\n{briefing.preamble}" if briefing.preamble else ""


def _project(briefing: Briefing, setting: Setting) -> str:
    return f"# Project State\n\n{briefing.project_state}" if briefing.project_state else ""


def _saved(briefing: Briefing, setting: Setting) -> str:
    saved = briefing.saved_session_context.strip()
    return f"# Session Context\n\n{saved}" if saved else ""


def _messaging(briefing: Briefing, setting: Setting) -> str:
    if briefing.identity is None or briefing.single_agent_mode:
        return ""
    way = wording.WOKEN if setting.is_woken else wording.LISTENING
    return f"# Multi-Agent Messaging Protocol\n\n{wording.PROTOCOL}\n{way}"


def _first(briefing: Briefing, setting: Setting) -> str:
    if briefing.identity is None:
        return ""
    return (
        "# First Turn\n\nBegin your first answer with this line, so that whoever watches sees that the briefing"
        f" arrived:\n\n{acknowledgement(briefing)}"
    )


def acknowledgement(briefing: Briefing) -> str:
    """The line by which a runtime says that it has read the briefing; no field in it can be taken for markup."""
    me: dict[str, Any] = briefing.identity or {}
    name, role, module = (plain(str(me.get(key, ""))) for key in ("agent_id", "role", "module"))
    display = plain(str(me.get("display") or ""))
    branch = plain(briefing.work_context.branch)
    parts = [f"Thrum context loaded: @{name} ({role}, {module})"]
    parts += [f"as {display}"] if display else []
    parts += [f"on branch {branch}"] if branch else []
    return f"{' '.join(parts)}; inbox: {briefing.messages.unread} unread"


def team_of(members: Iterable[Any]) -> BriefedTeam:
    """The team of a briefing from the members that the agents' room tells; pseudo-agents are left out."""
    agents = [
        BriefedAgent(
            agent_id=member.agent_id,
            role=member.role,
            module=member.module,
            status=member.status,
            display=member.display,
            intent=member.intent,
            branch=member.branch,
            agent_status=member.agent_status,
            last_seen_at=member.last_seen,
            is_local=member.is_local,
        )
        for member in members
        if member.status != "reserved"
    ]
    active = sum(agent.status == "active" for agent in agents)
    return BriefedTeam(total=len(agents), active=active, list=agents)


_SECTIONS: Final[tuple[tuple[str, int, Callable[[Briefing, Setting], str]], ...]] = (
    ("identity", 100, _agent),
    ("session", 200, _session),
    ("agents", 300, _team),
    ("messages", 400, _inbox),
    ("work_context", 500, _git),
    ("sync_state", 600, _daemon),
    ("commands", 650, _commands),
    ("preamble", 700, _instructions),
    ("project_state", 800, _project),
    ("saved_session_context", 900, _saved),
    ("messaging", 1100, _messaging),
    ("first_turn", 1200, _first),
)
