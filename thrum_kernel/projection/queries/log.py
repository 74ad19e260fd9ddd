"""What the projection knows of the log: how far it has come, and which lines do not count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from thrum_kernel.projection.db import Cache


@dataclass(frozen=True, slots=True)
class HeldRow:
    """A line that does not count now.

    Attributes:
        kind: ``agent`` its author is unknown, or does not live on the daemon that wrote it; ``message`` the message
            it is about has not come; ``ahead`` its clock is more than a day ahead; ``type`` no plugin here knows its
            type; ``refused`` it breaks a rule; ``conflict`` another line has the same event id.
        subject: what it waits for.
        writer, daemon, sequence: where it lies.
        event_id: its id.
        note: why, for people.
        line: its bytes.
    """

    kind: Literal["agent", "message", "ahead", "type", "refused", "conflict"]
    subject: str
    writer: str
    daemon: str
    sequence: int
    event_id: str
    note: str
    line: bytes


_HELD = (
    "SELECT h.kind, h.subject, w.writer, d.daemon_id, h.sequence, 'evt_' || h.ulid, h.note, h.line FROM held h"
    " JOIN writer w ON w.id = h.writer JOIN daemon d ON d.id = w.daemon"
)


def held(cache: Cache) -> list[HeldRow]:
    """Every line that does not count now, by event id."""
    return [HeldRow(*row) for row in cache.read(f"{_HELD} ORDER BY h.ulid, h.writer, h.sequence")]


def quarantined(cache: Cache) -> list[HeldRow]:
    """The lines that somebody should look at: unknown or foreign authors, broken rules, doubled ids."""
    return [
        HeldRow(*row)
        for row in cache.read(
            f"{_HELD} WHERE h.kind IN ('agent', 'refused', 'conflict') ORDER BY h.ulid, h.writer, h.sequence"
        )
    ]


def ahead(cache: Cache) -> int:
    """How many lines are kept since they are too far ahead of this machine's clock."""
    ((count,),) = cache.read("SELECT count(*) FROM held WHERE kind = 'ahead'")
    return int(count)


def unprojected_types(cache: Cache) -> dict[str, int]:
    """Types of events that nobody here knows, with how many of each are kept."""
    rows = cache.read(
        "SELECT subject, count(*) FROM held WHERE kind = 'type' GROUP BY subject ORDER BY subject"
    )
    return {row[0]: row[1] for row in rows}


def newest_ulids(cache: Cache) -> list[str]:
    """ULIDs that include the highest of all that counts: later events are to be numbered above them."""
    rows = cache.read(
        "SELECT max(ulid) FROM event_seen"
        " UNION ALL SELECT max(ulid) FROM (SELECT ulid FROM message ORDER BY id DESC LIMIT 100)"
    )
    return [ulid for (ulid,) in rows if ulid]


def projected(cache: Cache) -> dict[str, list[tuple[int, int]]]:
    """What of the log has been taken: for each writer its ranges of sequences, inclusive, ascending, apart."""
    found: dict[str, list[tuple[int, int]]] = {}
    for writer, first, last in cache.read(
        "SELECT w.writer, p.first, p.last FROM projected p JOIN writer w ON w.id = p.writer ORDER BY 1, 2"
    ):
        found.setdefault(writer, []).append((first, last))
    return found


def sequence_of(cache: Cache, writer: str) -> int:
    """The highest sequence taken of a writer, 0 when none."""
    rows = cache.read(
        "SELECT max(p.last) FROM projected p JOIN writer w ON w.id = p.writer WHERE w.writer = ?", (writer,)
    )
    return int(rows[0][0] or 0)
