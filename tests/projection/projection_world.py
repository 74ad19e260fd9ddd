"""A log that grows, and a cache beside it."""

from __future__ import annotations

from pathlib import Path

from projection_log import FixedClock, LogMaker

from thrum_kernel.events import core
from thrum_kernel.projection import queries
from thrum_kernel.projection.apply import Applied, Projector
from thrum_kernel.projection.db import Cache


class World:
    """A log and a cache that takes its lines when told."""

    def __init__(self, path: Path) -> None:
        self.log = LogMaker()
        self.clock = FixedClock()
        self.cache = Cache(path)
        self.projector = Projector(self.cache, self.log.types, clock=self.clock)
        self._taken = 0
        self.alice = self.log.agent("alice")
        self.bob = self.log.agent("bob", daemon="d_B")

    def take(self, *, reverse: bool = False) -> Applied:
        """Project the lines that were made since the last time."""
        lines = self.log.lines[self._taken :]
        self._taken = len(self.log.lines)
        return self.projector.apply_lines(lines[::-1] if reverse else lines)

    def bodies(self) -> list[str]:
        return [row[0] for row in self.cache.read("SELECT body_content FROM messages ORDER BY message_id")]

    def key(self, ref: core.AgentRef) -> int:
        agent = queries.agent_by_incarnation(self.cache, ref.incarnation)
        assert agent is not None
        return agent.id

    def unread(self, ref: core.AgentRef) -> int:
        return queries.unread_count(self.cache, self.key(ref))

    def notes(self) -> list[tuple[str, str]]:
        return [(row.kind, row.note) for row in queries.held(self.cache)]
