"""``agent.listContext``: what agents work on, asked of git for those that live here and of the log for the others."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from thrum_kernel import git
from thrum_kernel.agents.contexts import Contexts
from thrum_kernel.agents.git_facts import GitFacts
from thrum_kernel.agents.requests import ListContext
from thrum_kernel.agents.results import ContextInfo, ContextList
from thrum_kernel.agents.roster import Roster
from thrum_kernel.api import Call
from thrum_kernel.bus.standing import standing
from thrum_kernel.clock import Clock, format_us
from thrum_kernel.errors import GuardFired, IdentityError, UsageError
from thrum_kernel.events.core import FileChange, UnmergedCommit, WorkContext
from thrum_kernel.projection import queries
from thrum_kernel.projection.queries import AgentRow

FRESH_S: Final = 5.0
"""How old the state of a worktree may be in a list."""
KEPT_S: Final = 60.0
"""How old it may be in a briefing, which renews it for the next one."""
FRESH_FOR_FILES_S: Final = 0.5
"""The same where somebody asks who has a file: a save of a moment ago counts."""


@dataclass(frozen=True, slots=True)
class Worked:
    """One open session: whose, and what is done in it."""

    agent: AgentRow
    context: WorkContext


class Work:
    """Work contexts of open sessions."""

    def __init__(
        self,
        *,
        roster: Roster,
        contexts: Contexts,
        git_facts: GitFacts[git.WorkState],
        clock: Clock,
        worktrees: Callable[[], Iterable[Path]],
    ) -> None:
        self._roster = roster
        self._worktrees = worktrees
        self._contexts = contexts
        self._git_facts = git_facts
        self._clock = clock

    async def list_context(self, call: Call, params: ListContext) -> ContextList:
        """Every open session's context that fits what is asked for, by agent."""
        agents = {agent.id: agent for agent in self._roster.everyone()}
        shown = self._roster.shown(agents.values())
        wanted = params.agent_id.removeprefix("@")
        chosen = [agent for agent in agents.values() if wanted in ("", agent.name, shown[agent.id])]
        worked = await self.of(chosen, max_age_s=FRESH_FOR_FILES_S if params.file else FRESH_S)
        patterns = self._patterns(call, params.file)
        found = [
            _info(shown[item.agent.id], item.context)
            for item in worked
            if params.branch in ("", item.context.branch) and _touches(item.context, patterns)
        ]
        return ContextList(contexts=sorted(found, key=lambda info: (info.agent_id, info.session_id)))

    async def of(self, agents: Iterable[AgentRow], *, max_age_s: float = FRESH_S) -> list[Worked]:
        """The contexts of the open sessions of *agents*, newest session first."""
        by_key = {agent.id: agent for agent in agents}
        open_now = [row for row in queries.all_open_sessions(self._roster.cache) if row.agent in by_key]
        places = {key: place for key, agent in by_key.items() if (place := self._place(agent)) is not None}
        states = await self._git_facts.states(
            (places[row.agent] for row in open_now if row.agent in places), max_age_s=max_age_s
        )
        told = self._told()
        worked = []
        for row in open_now:
            agent = by_key[row.agent]
            if self._roster.is_local(agent):
                context = self._contexts.of_session(row.session_id) or WorkContext(session_id=row.session_id)
                state = states.get(places[agent.id]) if agent.id in places else None
                if state is not None:
                    context = msgspec.structs.replace(context, **self.fields_of(places[agent.id], state))
            else:
                context = told.get(row.session_id) or WorkContext(session_id=row.session_id)
            worked.append(Worked(agent, context))
        return worked

    async def look(self, agent: AgentRow, *, max_age_s: float) -> dict[str, Any]:
        """The fields of a work context that git tells of an agent's worktree now; empty when it tells nothing."""
        place = self._place(agent)
        state = await self._git_facts.state(place, max_age_s=max_age_s) if place is not None else None
        return {} if place is None or state is None else self.fields_of(place, state)

    async def glance(self, agent: AgentRow) -> dict[str, Any]:
        """`look` for a briefing, which must not wait for git where something recent is known."""
        place = self._place(agent)
        if place is None:
            return {}
        state = await self._git_facts.soon(place, fresh_s=FRESH_S, kept_s=KEPT_S)
        return {} if state is None else self.fields_of(place, state)

    def known(self, agents: Iterable[AgentRow]) -> list[Worked]:
        """`of` without asking git: what was told or noted last."""
        by_key = {agent.id: agent for agent in agents}
        told = self._told()
        worked = []
        for row in queries.all_open_sessions(self._roster.cache):
            agent = by_key.get(row.agent)
            if agent is None:
                continue
            local = self._roster.is_local(agent)
            found = self._contexts.of_session(row.session_id) if local else told.get(row.session_id)
            worked.append(Worked(agent, found or WorkContext(session_id=row.session_id)))
        return worked

    def fields_of(self, worktree: Path, state: git.WorkState) -> dict[str, Any]:
        """The fields of a work context that git tells."""
        return {
            "branch": state.branch,
            "worktree_path": str(worktree),
            "unmerged_commits": [
                UnmergedCommit(sha=commit.sha, message=commit.message, files=list(commit.files))
                for commit in state.unmerged_commits
            ],
            "uncommitted_files": list(state.uncommitted_files),
            "changed_files": list(state.changed_files),
            "file_changes": [
                FileChange(
                    path=change.path,
                    last_modified=change.last_modified,
                    additions=change.additions,
                    deletions=change.deletions,
                    status=change.status,
                )
                for change in state.file_changes
            ],
            "git_updated_at": format_us(self._clock.now_us()),
        }

    def _place(self, agent: AgentRow) -> Path | None:
        return self._roster.home(agent).worktree if self._roster.is_local(agent) else None

    def _told(self) -> dict[str, WorkContext]:
        """What other machines told, by session."""
        contexts = queries.work_contexts(self._roster.cache).values()
        return {context.session_id: context for told in contexts for context in told}

    def _patterns(self, call: Call, file: str) -> tuple[str, ...]:
        """The paths that *file* may mean: as given, and as seen from where the caller stands.

        One that says where it starts has a ``/`` in front and means no other; the others are ends of paths.

        Raises:
            UsageError: it leads out of the repository.
        """
        if not file:
            return ()
        plain = posixpath.normpath(file)
        if plain.startswith("/"):
            return (self._in_its_worktree(plain),)
        place = _place_of(call)
        if plain.startswith(".."):
            if place is None:
                raise UsageError(f"where {file} is cannot be told", hint="give the path in the repository")
            return (self._in_its_worktree(posixpath.normpath(posixpath.join(str(place[0]), plain))),)
        seen = _from(place, plain)
        return tuple(dict.fromkeys(path for path in (plain, seen) if path))

    def _in_its_worktree(self, path: str) -> str:
        """An absolute path, as seen from the root of the innermost worktree that it lies in, which is ``/``."""
        found = [below for worktree in self._worktrees() if (below := _below(path, worktree))]
        if not found:
            raise UsageError(
                f"{path} is no file in this repository", hint="give a path in it, for example src/app.py"
            )
        return f"/{min(found, key=len)}"


def _place_of(call: Call) -> tuple[Path, Path] | None:
    """Folder and worktree that a caller stands in; None when they are not known."""
    try:
        caller = standing(call)
    except (GuardFired, IdentityError):  # only looking: whoever it is may
        return None
    if caller.cwd is None or caller.worktree is None:
        return None
    return caller.cwd, caller.worktree


def _from(place: tuple[Path, Path] | None, file: str) -> str:
    """A path typed in a folder, as seen from the root of its worktree; empty when it leads out of it."""
    if place is None:
        return ""
    cwd, worktree = place
    return _below(posixpath.normpath(posixpath.join(str(cwd), file)), worktree)


def _below(path: str, worktree: Path) -> str:
    prefix = f"{worktree}/"
    return path.removeprefix(prefix) if path.startswith(prefix) else ""


def _touches(context: WorkContext, patterns: tuple[str, ...]) -> bool:
    """Whether a changed file is what was asked for; see `Work._patterns`."""
    if not patterns:
        return True
    files = {*context.uncommitted_files, *context.changed_files}
    files.update(change.path for change in context.file_changes)
    whole = [f"/{file}" for file in files]
    return any(file == pattern or file.endswith(f"/{pattern}") for file in whole for pattern in patterns)


def _info(agent_id: str, context: WorkContext) -> ContextInfo:
    fields = {name: getattr(context, name) for name in context.__struct_fields__}
    return ContextInfo(agent_id=agent_id, **fields)
