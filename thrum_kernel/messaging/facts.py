"""Delivery as a state with evidence: what is known about each recipient of a message, and the state that follows.

``stored`` follows from the message, ``seen`` and ``read`` from receipts, ``answered`` from a reply; what only this
machine knows (``injected``, ``failed``, and by what means something was seen) is kept in `local.db`.

Source: DESIGN.md D8.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from thrum_kernel import ids
from thrum_kernel.api import Evidence, Migration
from thrum_kernel.clock import format_us
from thrum_kernel.messaging.ground import Ground
from thrum_kernel.messaging.model import StateView
from thrum_kernel.projection.queries import DeliveryRow, MessageRow

ORDER = ("stored", "failed", "injected", "seen", "read", "answered")
"""States from the least to the most; ``failed`` holds only while nothing better is known after it."""

FACTS_MIGRATION = Migration(
    "messaging.0002_delivery_facts",
    (
        "CREATE TABLE delivery_fact (message_id TEXT NOT NULL, incarnation TEXT NOT NULL, fact TEXT NOT NULL,"
        " means TEXT NOT NULL, at_us INTEGER NOT NULL, reason TEXT NOT NULL DEFAULT '',"
        " PRIMARY KEY (message_id, incarnation, fact, means)) WITHOUT ROWID",
    ),
)


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing known about a delivery; ``at_us`` in microseconds since 1970."""

    fact: str
    at_us: int
    means: str = ""
    reason: str = ""


Key = tuple[str, str]
"""A delivery: message id and incarnation of the recipient."""


class Facts:
    """The facts of this machine and of the log, by delivery."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def record(self, incarnation: str, evidence: Evidence) -> None:
        """Keep what a rung, a hook or a plugin proved; the first of a kind and means holds, of failures the last."""
        at_us = self._ground.clock.now_us()
        rows = [
            (message_id, incarnation, evidence.fact, evidence.means, at_us, evidence.reason)
            for message_id in evidence.message_ids
        ]
        last = (
            "UPDATE SET at_us = excluded.at_us, reason = excluded.reason"
            if evidence.fact == "failed"
            else "NOTHING"
        )

        def write(db: sqlite3.Connection) -> None:
            db.executemany(f"INSERT INTO delivery_fact VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO {last}", rows)

        self._ground.local.write_later(write)

    def forget_before(self, cutoff_us: int) -> None:
        """Drop what is known about messages that were purged."""
        oldest = ids.message_id(ids.encode_ulid(max(0, cutoff_us // 1000) << 80))
        self._ground.local.write_later(
            lambda db: db.execute("DELETE FROM delivery_fact WHERE message_id < ?", (oldest,))
        )

    def known(
        self, messages: Sequence[MessageRow], recipients: dict[int, list[DeliveryRow]]
    ) -> dict[Key, list[Fact]]:
        """All facts about the deliveries of some messages, oldest first."""
        found: dict[Key, list[Fact]] = {}
        local = self._local(message.message_id for message in messages)
        answers = self._answers(messages)
        for message in messages:
            for delivery in recipients.get(message.key, ()):
                key = (message.message_id, delivery.agent.incarnation)
                answer = answers.get((message.ulid, delivery.agent.id))
                facts = [*_from_log(message, delivery, answer), *local.get(key, ())]
                found[key] = sorted(facts, key=lambda fact: (fact.at_us, ORDER.index(fact.fact)))
        return found

    def _local(self, message_ids: Iterable[str]) -> dict[Key, list[Fact]]:
        rows = self._ground.local.read(
            "SELECT message_id, incarnation, fact, at_us, means, reason FROM delivery_fact"
            " WHERE message_id IN (SELECT value FROM json_each(?))",
            (msgspec.json.encode(list(message_ids)).decode(),),
        )
        found: dict[Key, list[Fact]] = {}
        for message_id, incarnation, *fact in rows:
            found.setdefault((message_id, incarnation), []).append(Fact(*fact))
        return found

    def _answers(self, messages: Sequence[MessageRow]) -> dict[tuple[str, int], tuple[int, str]]:
        """When and with which message a recipient answered first, by the message's ULID and the recipient's key."""
        threads = sorted({message.thread_id for message in messages if message.thread_id})
        if not threads:
            return {}
        rows = self._ground.cache.read(
            "SELECT r.reply_to, r.author, r.created_us, r.ulid FROM message r JOIN thread t ON t.id = r.thread"
            " WHERE t.thread_id IN (SELECT value FROM json_each(?))"
            " AND r.reply_to IN (SELECT value FROM json_each(?)) AND r.id > ? ORDER BY r.id DESC",
            (
                msgspec.json.encode(threads).decode(),
                msgspec.json.encode([message.ulid for message in messages]).decode(),
                min(message.key for message in messages),
            ),
        )
        return {(parent, author): (at_us, ids.message_id(ulid)) for parent, author, at_us, ulid in rows}


def _from_log(message: MessageRow, delivery: DeliveryRow, answer: tuple[int, str] | None) -> list[Fact]:
    facts = [Fact("stored", message.created_us)]
    if delivery.seen_us is not None:
        facts.append(Fact("seen", delivery.seen_us))
    if delivery.read_us is not None:
        facts.append(Fact("read", delivery.read_us))
    if answer is not None and delivery.agent.id != message.author.id:
        facts.append(Fact("answered", answer[0], means=answer[1]))
    return facts


def state_of(facts: Sequence[Fact], *, is_gone: bool = False) -> str:
    """The state that facts, oldest first, add up to.

    Args:
        is_gone: the recipient was deleted; what it never saw has failed.
    """
    best = max((fact.fact for fact in facts if fact.fact != "failed"), key=ORDER.index, default="stored")
    if best in ("seen", "read", "answered"):
        return best
    failed = [fact for fact in facts if fact.fact == "failed"]
    injected = [fact.at_us for fact in facts if fact.fact == "injected"]
    if is_gone or (failed and (not injected or failed[-1].at_us >= injected[-1])):
        return "failed"
    return best


def views(facts: Sequence[Fact], *, is_gone: bool = False) -> list[StateView]:
    """Facts as clients see them: one a state and means, oldest first; a deleted recipient adds why it failed."""
    shown: dict[tuple[str, str], StateView] = {}
    named = {fact.fact for fact in facts if fact.means}
    for fact in facts:
        if not fact.means and fact.fact in named:
            continue  # the same again from the log, with less to say
        view = StateView(state=fact.fact, at=format_us(fact.at_us), means=fact.means, reason=fact.reason)
        shown.setdefault((fact.fact, fact.means), view)
    if is_gone:
        shown["failed", "deleted"] = StateView(
            state="failed", at=format_us(facts[-1].at_us), reason="agent was deleted"
        )
    return list(shown.values())
