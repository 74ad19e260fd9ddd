"""The methods of this room: names, shapes and who may call them. Source: spec/kernel.md §4.4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from thrum_kernel.agents import requests, results
from thrum_kernel.agents.directory import Directory
from thrum_kernel.agents.move import Moving
from thrum_kernel.agents.registration import Registration
from thrum_kernel.agents.removal import Removal
from thrum_kernel.agents.session_methods import SessionMethods
from thrum_kernel.agents.status import StatusMethod
from thrum_kernel.agents.team import TeamMethods
from thrum_kernel.agents.work import Work
from thrum_kernel.api import Method

UNIX: Final = frozenset({"unix", "internal"})


@dataclass(frozen=True, slots=True)
class Handlers:
    """Who answers what."""

    registration: Registration
    directory: Directory
    work: Work
    team: TeamMethods
    status: StatusMethod
    removal: Removal
    moving: Moving
    sessions: SessionMethods


def table(of: Handlers) -> Sequence[Method]:
    """``agent.*``, ``session.*`` and ``team.list``."""
    return (*_agents(of), *_sessions(of), *_team(of))


def _agents(of: Handlers) -> Sequence[Method]:
    return (
        Method(
            "agent.register",
            requests.Register,
            results.Registered,
            of.registration.register,
            "Register an agent for the caller's worktree.",
            mutates=True,
            anonymous=True,
            recall=of.registration.recall,
        ),
        Method(
            "agent.list",
            requests.ListAgents,
            results.AgentList,
            of.directory.list_agents,
            "Every agent, newest registered first.",
            anonymous=True,
        ),
        Method(
            "agent.whoami",
            requests.WhoAmI,
            results.Whoami,
            of.directory.whoami,
            "Who the caller is.",
            anonymous=True,
        ),
        Method(
            "agent.listContext",
            requests.ListContext,
            results.ContextList,
            of.work.list_context,
            "What agents work on, by agent, branch or file.",
            anonymous=True,
        ),
        Method(
            "agent.lookup",
            requests.Lookup,
            results.Looked,
            of.team.lookup,
            "One agent, with its presence.",
            transports=UNIX,
        ),
        Method(
            "agent.set-status",
            requests.SetStatus,
            results.StatusSet,
            of.status.set_status,
            "Say that an agent is working, idle, blocked or stuck.",
            mutates=True,
            transports=UNIX,
        ),
        Method(
            "agent.delete",
            requests.Delete,
            results.Deleted,
            of.removal.delete,
            "Delete an agent of this daemon; its messages stay.",
            mutates=True,
            recall=of.removal.recall_delete,
        ),
        Method(
            "agent.leave",
            requests.Leave,
            results.Left,
            of.removal.leave,
            "Let an agent of this daemon leave its worktree; it stays registered.",
            mutates=True,
            transports=UNIX,
        ),
        Method(
            "agent.cleanup",
            requests.Cleanup,
            results.CleanedUp,
            of.removal.cleanup,
            "Find agents of this daemon without an identity file.",
            mutates=True,
        ),
        Method(
            "agent.move",
            requests.Move,
            results.Moved,
            of.moving.move,
            "Hand an agent of this daemon to another one.",
            mutates=True,
            transports=UNIX,
            recall=of.moving.recall,
        ),
        Method(
            "agent.adopt",
            requests.Adopt,
            results.Moved,
            of.moving.adopt,
            "Take over an agent whose daemon is gone.",
            mutates=True,
            transports=UNIX,
            recall=of.moving.recall,
        ),
    )


def _sessions(of: Handlers) -> Sequence[Method]:
    handlers = of.sessions
    return (
        Method(
            "session.start",
            requests.StartSession,
            results.SessionStarted,
            handlers.start,
            "Begin a work period.",
            mutates=True,
            anonymous=True,
            recall=handlers.recall_start,
        ),
        Method(
            "session.end",
            requests.EndSession,
            results.SessionEnded,
            handlers.end,
            "End a work period.",
            mutates=True,
            recall=handlers.recall_end,
        ),
        Method(
            "session.list",
            requests.ListSessions,
            results.SessionList,
            handlers.list_sessions,
            "Sessions, newest first.",
            anonymous=True,
        ),
        Method(
            "session.heartbeat",
            requests.Heartbeat,
            results.HeartbeatTaken,
            handlers.heartbeat,
            "Sign of life, with scopes, refs and what git says.",
            mutates=True,
        ),
        Method(
            "session.setIntent",
            requests.SetIntent,
            results.IntentSet,
            handlers.set_intent,
            "What the agent means to do.",
            mutates=True,
            anonymous=True,
        ),
        Method(
            "session.setTask",
            requests.SetTask,
            results.TaskSet,
            handlers.set_task,
            "The task at hand.",
            mutates=True,
        ),
    )


def _team(of: Handlers) -> Sequence[Method]:
    return (
        Method(
            "team.list",
            requests.ListTeam,
            results.Team,
            of.team.list_team,
            "Who is in the team and what they do.",
            anonymous=True,
            transports=UNIX,
        ),
    )
