"""Who calls and who is there, as the other parts of this room need it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from thrum_kernel.api import Call, Caller
from thrum_kernel.errors import MEND_IDENTITY, NotFound, Refused
from thrum_kernel.events import Event
from thrum_kernel.events.core import AgentCleanup, AgentMove, AgentRef, AgentRegister, MessageCreate
from thrum_kernel.messaging.audience import pseudo
from thrum_kernel.messaging.directory import Directory
from thrum_kernel.messaging.ground import Ground
from thrum_kernel.projection import queries
from thrum_kernel.projection.queries import AgentRow


@dataclass(frozen=True, slots=True)
class Sender:
    """Who writes.

    Attributes:
        row: None for the daemon and plugins, which write under names that are not registered.
        session_id: the open session it writes in; empty without a row.
        authored_by: the user who writes as this agent, empty when it writes itself.
    """

    ref: AgentRef
    row: AgentRow | None = None
    session_id: str = ""
    asserted: bool = False
    authored_by: str = ""

    @property
    def name(self) -> str:
        return self.ref.name


class People:
    """The live agents, and the caller among them.

    Args:
        touch: told whenever an agent writes or looks, for its "last seen".
    """

    def __init__(self, ground: Ground, *, touch: Callable[[str], None] = lambda name: None) -> None:
        self._ground = ground
        self._touch = touch
        self._directory: Directory | None = None
        self._sessions: dict[int, str] = {}

    @property
    def directory(self) -> Directory:
        """Everyone who can be addressed now; read anew after agents or groups changed.

        Raises:
            Projecting: the cache is being rebuilt.
        """
        if self._directory is None:
            cache = self._ground.cache
            members = {
                group.name: [
                    (member.type, member.value) for member in queries.group_members(cache, group.name)
                ]
                for group in queries.groups(cache)
            }
            self._directory = Directory(
                queries.live_agents(cache),
                members,
                local=self._ground.committer.daemon_id,
                daemon_names=queries.daemon_names(cache),
            )
        return self._directory

    def forget(self) -> None:
        """Read directory and sessions anew: the cache was rebuilt."""
        self._directory = None
        self._sessions.clear()

    def heard(self, event: Event) -> None:
        """A committed event: whatever concerns agents, groups or sessions makes what is known of them stale."""
        if isinstance(event, MessageCreate):
            return
        self._sessions.clear()
        if isinstance(event, AgentRegister | AgentCleanup | AgentMove) or event.type.startswith("group."):
            self._directory = None

    def of(self, caller: Caller) -> AgentRow | None:
        """The registered agent or user that calls; None for anyone else."""
        if caller.kind not in ("agent", "user"):
            return None
        found = self.directory.named(caller.agent_id)
        return next((agent for agent in found if agent.home == self.directory.local), None)

    def known(self, caller: Caller) -> AgentRow:
        """As `of`, noting that it was seen.

        Raises:
            Refused: the caller is nobody registered here.
        """
        row = self.of(caller)
        if row is None:
            if caller.damage:
                raise Refused(
                    f"agent not registered here: its identity file cannot be used: {caller.damage}",
                    hint=MEND_IDENTITY,
                )
            raise Refused(
                f"agent not registered here: {caller.agent_id or 'anonymous caller'}",
                hint="register here first: thrum quickstart --name NAME --role ROLE --module MODULE",
            )
        self._touch(row.name)
        return row

    def session(self, row: AgentRow) -> str:
        """The newest open session of an agent.

        Raises:
            Refused: it has none.
        """
        known = self._sessions.get(row.id)
        if known is None:
            sessions = queries.open_sessions(self._ground.cache, row.id)
            if not sessions:
                raise no_session(row.name)
            known = self._sessions[row.id] = sessions[0].session_id
        return known

    def sender(self, call: Call) -> Sender:
        """Who writes with this call.

        Raises:
            Refused: no agent of this daemon, or one without an open session.
        """
        caller = call.caller
        if caller.kind == "kernel":
            return Sender(pseudo(caller.agent_id, self.directory.local))
        row = self.of(caller)
        if row is None:
            raise no_session(caller.agent_id)
        session_id = self.session(row)
        self._touch(row.name)
        return Sender(AgentRef(row.name, row.daemon, row.incarnation), row, session_id, caller.asserted)

    def shown(self, row: AgentRow) -> str:
        """The name of an agent as it is shown here: the long form where the bare one would mean another."""
        return self.directory.shown_name(row.name, row.home, row.incarnation)

    def find(self, address: str) -> AgentRow:
        """The agent that an address means.

        Raises:
            NotFound: there is none.
            AmbiguousName: there are several.
        """
        bare = address.strip().removeprefix("@")
        found = self.directory.find(bare)
        if found is None:
            near = self.directory.near(bare)
            hint = f"did you mean {' or '.join(f'@{name}' for name in near)}?" if near else "thrum team --all"
            raise NotFound("agent", bare, message=f"unknown agent: @{bare}", hint=hint)
        return found


def no_session(name: str) -> Refused:
    return Refused(
        f"no active session found for agent {name} (you must start a session first)",
        hint="thrum session start",
    )
