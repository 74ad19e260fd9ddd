"""What is known of a tmux server: which it is, its sessions and their panes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from thrum_tmux.control.words import Words

MANAGED: Final = "@thrum-managed"
THRUM_DIR: Final = "@thrum-thrum-dir"
AGENT: Final = "@thrum-agent"
PANE: Final = "@thrum-pane"
RECORD: Final = "@thrum-record"
"""Options of a session: that Thrum keeps it, for which ``.thrum``, for whom, the pane that is the agent's, and the name
under which this machine remembers how it was made."""

OLDEST_CONTROL: Final = (3, 2)
"""The first tmux whose control clients can be attached as we need it."""

_SEPARATOR: Final = "\t"
_SERVER: Final = ("pid", "start_time", "version", "socket_path")
_SESSION: Final = ("session_id", MANAGED, AGENT, PANE, RECORD, "session_created", "session_name", THRUM_DIR)
_OF_PANE: Final = (
    "pane_id",
    "session_id",
    "window_index",
    "pane_index",
    "pane_pid",
    "pane_dead",
    "window_activity",
    "pane_current_command",
)


@dataclass(frozen=True, slots=True)
class ServerId:
    """One life of a server; ids of sessions and panes mean something only within it."""

    socket: str
    pid: int
    started: int


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session.

    Attributes:
        id: e.g. ``$3``.
        name: as people call it.
        thrum_dir: the ``.thrum`` whose daemon keeps it; empty when Thrum does not.
        agent: who lives in it; empty when nobody does.
        agent_pane: id of the agent's pane; empty when none was noted.
        record: the name under which it is remembered; another than *name* when a person renamed it.
        created: seconds since 1970.
    """

    id: str
    name: str
    thrum_dir: str = ""
    agent: str = ""
    agent_pane: str = ""
    record: str = ""
    created: int = 0


@dataclass(frozen=True, slots=True)
class PaneRow:
    """A pane of a session.

    Attributes:
        id: e.g. ``%3``.
        session: id of its session.
        place: ``window.pane``, the indices as they are.
        pid: the process that tmux started in it.
        dead: that process ended.
        active_at: when its window last showed something, whole seconds since 1970.
        command: the program in its foreground.
    """

    id: str
    session: str
    place: str
    pid: int
    dead: bool
    active_at: int
    command: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A server at one moment."""

    server: ServerId | None = None
    version: tuple[int, int] = (0, 0)
    sessions: Mapping[str, SessionRow] = field(default_factory=dict)
    panes: Mapping[str, PaneRow] = field(default_factory=dict)

    def named(self, name: str) -> SessionRow | None:
        """The session of exactly that name."""
        return next((row for row in self.sessions.values() if row.name == name), None)

    def panes_of(self, session: str) -> list[PaneRow]:
        """Of a session's id, in the order of their places."""
        return [row for row in self.panes.values() if row.session == session]

    def place_of(self, pane: PaneRow) -> str:
        """``session:window.pane``."""
        session = self.sessions.get(pane.session)
        return f"{session.name}:{pane.place}" if session else ""

    def at(self, place: str) -> PaneRow | None:
        """The pane at ``session:window.pane``."""
        name, _, spot = place.rpartition(":")
        session = self.named(name)
        if session is None:
            return None
        return next((row for row in self.panes_of(session.id) if row.place == spot), None)


def questions() -> tuple[Words, ...]:
    """The commands whose answer `snapshot` reads."""
    return (
        ("display-message", "-p", _format(_SERVER)),
        ("list-sessions", "-F", _format(_SESSION)),
        ("list-panes", "-a", "-F", _format(_OF_PANE)),
    )


def snapshot(answer: Iterable[tuple[str, ...]]) -> Snapshot:
    """What a server told when it was asked `questions`."""
    server, sessions, panes = answer
    pid, started, said, socket = server[0].split(_SEPARATOR, len(_SERVER) - 1)
    rows = [_session(line) for line in sessions]
    return Snapshot(
        server=ServerId(socket, int(pid), int(started)),
        version=version(said),
        sessions={row.id: row for row in rows},
        panes={row.id: row for row in map(_pane, panes)},
    )


def version(text: str) -> tuple[int, int]:
    """``3.3a`` → (3, 3); one that cannot be read, like a build from git, counts as the newest."""
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (999, 0)


def _format(names: Iterable[str]) -> str:
    return _SEPARATOR.join(f"#{{{name}}}" for name in names)


def _session(line: str) -> SessionRow:
    identifier, managed, agent, pane, record, created, name, thrum_dir = line.split(
        _SEPARATOR, len(_SESSION) - 1
    )
    return SessionRow(
        id=identifier,
        name=name,
        thrum_dir=thrum_dir if managed == "1" else "",
        agent=agent if managed == "1" else "",
        agent_pane=pane if managed == "1" else "",
        record=record if managed == "1" else "",
        created=int(created),
    )


def _pane(line: str) -> PaneRow:
    pane, session, window, index, pid, dead, active, command = line.split(_SEPARATOR, len(_OF_PANE) - 1)
    return PaneRow(
        id=pane,
        session=session,
        place=f"{window}.{index}",
        pid=int(pid),
        dead=dead == "1",
        active_at=int(active or 0),
        command=command,
    )
