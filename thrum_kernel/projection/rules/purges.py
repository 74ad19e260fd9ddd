"""Purges: what is older than a cutoff is gone, and stays out when it comes later.

Source: DESIGN.md D1, "Purge": edits and deletions are judged by the message they are about.
"""

from __future__ import annotations

import msgspec

from thrum_kernel.clock import parse_us
from thrum_kernel.events.core import PurgeExecuted
from thrum_kernel.jsonlines import decoder
from thrum_kernel.projection.rules.agents import purge_session
from thrum_kernel.projection.tables import Place, Tables, Verdict


class _Subject(msgspec.Struct):
    timestamp: str


class _Judged(msgspec.Struct):
    type: str
    timestamp: str
    subject: _Subject | None = None


_decode = decoder(_Judged)


def purge(tables: Tables, _place: Place, event: PurgeExecuted) -> Verdict:
    """Everything about messages and ended sessions older than the cutoff is gone."""
    cutoff_us, before_us = parse_us(event.cutoff), tables.cutoff_us
    tables.db.execute(
        "INSERT INTO purge (ulid, cutoff_us, at_us, by) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (event.ulid, cutoff_us, parse_us(event.timestamp), event.by),
    )
    if cutoff_us > before_us:
        tables.raise_cutoff(cutoff_us)
        if tables.mark_sink is None:  # a bulk load sweeps once, when all is there
            sweep(tables, cutoff_us)
    purge_session(tables)
    return None


def sweep(tables: Tables, cutoff_us: int) -> None:
    """Remove the messages before the cutoff, with all that hangs on them, and held lines about them."""
    tables.is_soiled = True
    old = "SELECT id FROM message WHERE created_us < ?"
    tables.db.execute(f"INSERT INTO change (message) {old}", (cutoff_us,))
    for table in ("delivery", "edit"):
        tables.db.execute(f"DELETE FROM {table} WHERE message IN ({old})", (cutoff_us,))
    tables.db.execute(
        "DELETE FROM message_place WHERE ulid IN (SELECT ulid FROM message WHERE created_us < ?)",
        (cutoff_us,),
    )
    removed = tables.db.execute("DELETE FROM message WHERE created_us < ?", (cutoff_us,)).rowcount
    _drop_unused_labels(tables)
    held = tables.db.execute("SELECT kind, subject, writer, sequence, line FROM held").fetchall()
    gone = [row[:4] for row in held if is_before(row[4], cutoff_us)]
    tables.db.executemany(
        "DELETE FROM held WHERE kind = ? AND subject = ? AND writer = ? AND sequence = ?", gone
    )
    tables.touched.update(row[2] for row in gone)
    tables.has_removed = tables.has_removed or bool(removed or gone)


def _drop_unused_labels(tables: Tables) -> None:
    """Labels can hold text too; those that no message carries any more go."""
    unused = (
        "SELECT id FROM attached WHERE id NOT IN (SELECT attached FROM message WHERE attached IS NOT NULL)"
    )
    tables.db.execute(f"DELETE FROM attached_label WHERE attached IN ({unused})")
    tables.db.execute(f"DELETE FROM attached WHERE id IN ({unused})")
    tables.db.execute(
        "DELETE FROM label WHERE id NOT IN (SELECT label FROM attached_label) AND id NOT IN (SELECT via FROM delivery)"
    )
    tables.forget_labels()


def is_before(line: bytes, cutoff_us: int) -> bool:
    """Whether a line is about a message that a purge up to the cutoff takes away."""
    if not cutoff_us:
        return False
    try:
        judged = _decode(line)
        if not judged.type.startswith("message."):
            return False
        if judged.type == "message.create":
            return parse_us(judged.timestamp) < cutoff_us
        return judged.subject is not None and parse_us(judged.subject.timestamp) < cutoff_us
    except (msgspec.MsgspecError, ValueError):
        return False
