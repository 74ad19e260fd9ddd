"""What a daemon tells about itself: how it fares, what it counts, what is worth a warning."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from thrum_kernel.clock import Clock
from thrum_kernel.daemon.status import ServiceInfo
from thrum_kernel.projection import queries
from thrum_kernel.settings.methods import Surroundings

if TYPE_CHECKING:
    from thrum_kernel.daemon.main import Daemon


TOLD_S: Final = 86_400.0
"""So long what was made good is a warning; after that the daemon's log alone tells of it."""


class About:
    """Of one daemon."""

    def __init__(self, daemon: Daemon, *, clock: Clock) -> None:
        self._daemon = daemon
        self._clock = clock
        self._started_s = clock.monotonic()

    def sync_state(self) -> tuple[str, str]:
        refusal = self._daemon.refusal()
        return (str(refusal) if refusal is not None else self._daemon.sync.state), self._daemon.travel.reason

    def surroundings(self) -> Surroundings:
        return Surroundings(
            status="running",
            pid=os.getpid(),
            socket=str(self._daemon.opened.paths.socket),
            ws_port=self._daemon.websocket.port if self._daemon.websocket else 0,
        )

    def facts(self) -> dict[str, Any]:
        where = self._daemon.opened.paths
        return {
            "repo_path": str(where.repo),
            "sync_path": str(where.sync),
            "socket": str(where.socket),
            "ws_port": self._daemon.websocket.port if self._daemon.websocket else 0,
            "connections": self._daemon.unix.connections,
            "waits": self._daemon.messaging.waits.pending,
            "counts": self.counts(),
            "plugins": self._daemon.plugged.rows(),
            "services": [
                ServiceInfo(name=name, state=state.state, error=state.error, restarts=state.restarts)
                for name, state in self._daemon.supervisor.states.items()
            ],
            "warnings": self.warnings(),
        }

    def counts(self) -> dict[str, int]:
        if self._daemon.keeper.refusal() is not None:
            return {}
        ((messages,),) = self._daemon.cache.read("SELECT count(*) FROM message")
        return {
            "messages": messages,
            "agents": len(queries.live_agents(self._daemon.cache)),
            "sessions": len(queries.all_open_sessions(self._daemon.cache)),
        }

    def warnings(self) -> list[str]:
        found = [self._daemon.problem] if self._daemon.problem else []
        if self._daemon.publisher.last_error:
            found.append(f"publishing failed: {self._daemon.publisher.last_error}")
        if self._daemon.travel.last_error:
            found.append(f"sync: {self._daemon.travel.last_error}")
        found += [f"sync: {problem}" for problem in self._daemon.travel.problems]
        found += self._daemon.mender.problems
        found += self._of_the_start()
        found += [
            f"log: {path}: {text}; what it holds is missing here: thrum log verify"
            for path, text in self._daemon.keeper.problems.items()
        ]
        found += [f"identity file: {problem}" for problem in self._daemon.agents.files.damaged()]
        found += self._daemon.doubt.warnings
        if self._daemon.opened.known.told in ("copied", "renewed"):
            found.append(
                "this log came from elsewhere: a new identity was taken, its agents are registered anew, and what "
                "they had not read stays with the old one; `thrum daemon adopt` takes the old one"
            )
        if self._daemon.keeper.refusal() is None and (held := queries.quarantined(self._daemon.cache)):
            found.append(f"{len(held)} event(s) are in quarantine: thrum log verify")
        return found

    def _of_the_start(self) -> list[str]:
        """What this start made good: told while what it put aside is still there, and what left nothing for a day."""
        opened, found = self._daemon.opened, []
        if torn := [torn for torn in opened.recovered.torn if torn.kept.exists()]:
            found.append(
                f"{len(torn)} journal(s) ended in bytes that were never acknowledged; "
                f"they are kept in {opened.paths.quarantine}"
            )
        aside = self._daemon.cache.moved_aside
        if aside is not None and aside.exists():
            found.append(f"a database of another program was moved to {aside}")
        if opened.moved_aside is not None and opened.moved_aside.exists():
            found.append(
                f"the work tree of an earlier Thrum was moved to {opened.moved_aside}: thrum migrate"
            )
        if opened.restored and self._clock.monotonic() - self._started_s < TOLD_S:
            found.append(f"files that were gone were written back: {', '.join(opened.restored)}")
        return found

    def held_back(self) -> list[str]:
        """What the projection keeps and does not let count, a sentence each."""
        if self._daemon.keeper.refusal() is not None:
            return []
        counts = (
            (
                queries.ahead(self._daemon.cache),
                "ahead of this machine's clock: they count when it gets there",
            ),
            (len(queries.quarantined(self._daemon.cache)), "in quarantine: thrum log verify"),
        )
        return [f"{count} event(s) are {what}" for count, what in counts if count]
