"""One set of facts out of many sources: each fact once, told by the best witness.

The same data in any order and from any number of files gives the same set, so two clones that have the same come to
the same events.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Final, TypeVar

from thrum_kernel.migrate.facts import (
    EVENT,
    ROW,
    SNAPSHOT,
    Cleanup,
    Deletion,
    Edit,
    Group,
    GroupChange,
    GroupGone,
    Kept,
    Member,
    Message,
    Purge,
    Receipt,
    Record,
    Registration,
    SessionBegun,
    SessionEnded,
    Thread,
    Told,
    Work,
    name_of,
)

T = TypeVar("T", bound=Told)
K = TypeVar("K")


class Gathered:
    """The facts, by what they are about.

    Attributes:
        duplicates: how many records told what another one had told.
        kept: records that have no place in the log, each once.
    """

    def __init__(self) -> None:
        self.duplicates = 0
        self.messages: dict[str, Message] = {}
        self.edits: dict[tuple[str, str], Edit] = {}
        self.deletions: dict[str, Deletion] = {}
        self.receipts: dict[tuple[str, str, str], Receipt] = {}
        self.registrations: dict[tuple[str, ...], Registration] = {}
        self.cleanups: dict[tuple[str, str], Cleanup] = {}
        self.begun: dict[str, SessionBegun] = {}
        self.ended: dict[str, SessionEnded] = {}
        self.work: dict[tuple[str, ...], Work] = {}
        self.groups: dict[str, Group] = {}
        self.group_changes: dict[tuple[str, str], GroupChange] = {}
        self.group_ends: dict[str, GroupGone] = {}
        self.members: dict[tuple[str, str, str, bool, str], Member] = {}
        self.threads: dict[str, Thread] = {}
        self.purges: dict[str, Purge] = {}
        self.kept: dict[bytes, Kept] = {}
        self._in_tables: set[str] = set()
        self._take: Final = {
            Message: self._message,
            Receipt: self._receipt,
            Kept: self.keep,
            Edit: lambda fact: self._best(self.edits, (fact.message_id, fact.at), fact),
            Deletion: lambda fact: self._best(self.deletions, fact.message_id, fact),
            Registration: lambda fact: self._best(self.registrations, _registration_key(fact), fact),
            Cleanup: lambda fact: self._best(self.cleanups, (fact.agent, fact.at), fact),
            SessionBegun: lambda fact: self._best(self.begun, fact.session, fact),
            SessionEnded: lambda fact: self._best(self.ended, fact.session, fact),
            Work: lambda fact: self._best(self.work, (fact.agent, fact.at, *_sessions(fact)), fact),
            Group: lambda fact: self._best(self.groups, fact.group, fact),
            GroupChange: lambda fact: self._best(self.group_changes, (fact.group, fact.at), fact),
            GroupGone: lambda fact: self._best(self.group_ends, fact.group, fact),
            Member: lambda fact: self._best(self.members, _member_key(fact), fact),
            Thread: lambda fact: self._best(self.threads, fact.thread, fact),
            Purge: lambda fact: self._best(self.purges, fact.cutoff, fact),
        }

    def take(self, records: Iterable[Record]) -> None:
        """Add what *records* tell."""
        for record in records:
            self._take[type(record)](record)  # type: ignore[operator]

    def finish(self) -> None:
        """Drop what only weaker witnesses tell, where a better one told all there is to know of the same."""
        named = {_described(fact) for fact in self.registrations.values() if fact.rank == EVENT}
        witnessed = {fact.agent for fact in self.registrations.values() if fact.rank < SNAPSHOT}
        self._drop(
            self.registrations,
            lambda fact: (
                fact.rank != EVENT
                and (_described(fact) in named or (fact.rank == SNAPSHOT and fact.agent in witnessed))
            ),
        )
        added = {(fact.group, fact.type, fact.value) for fact in self.members.values() if fact.rank == EVENT}
        self._drop(
            self.members,
            lambda fact: fact.rank != EVENT and (fact.group, fact.type, fact.value) in added,
        )
        told = {session for fact in self.work.values() if fact.rank == EVENT for session in _sessions(fact)}
        self._drop(self.work, lambda fact: fact.rank != EVENT and told.issuperset(_sessions(fact)))
        cutoffs = {fact.cutoff for fact in self.purges.values() if fact.rank == EVENT}
        seen = {(fact.message_id, fact.reader) for fact in self.receipts.values() if fact.rank != SNAPSHOT}
        # A snapshot of a receipt was written for unread messages, too; whoever knows better knows all of it.
        self._drop(
            self.receipts,
            lambda fact: (
                fact.rank == SNAPSHOT
                and (fact.message_id in self._in_tables or (fact.message_id, fact.reader) in seen)
            ),
        )
        self._drop(
            self.purges, lambda fact: fact.rank != EVENT and any(cutoff >= fact.cutoff for cutoff in cutoffs)
        )

    def keep(self, record: Kept) -> None:
        """Add a record that has no place in the log; of a whole file the name counts, for it says whose it is."""
        name = "" if record.line else name_of(record.source)
        digest = hashlib.sha256(f"{record.kind}\0{name}\0".encode() + record.raw).digest()
        if digest in self.kept:
            self.duplicates += 1
        self.kept.setdefault(digest, record)

    def _best(self, known: dict[K, T], key: K, fact: T) -> None:
        old = known.get(key)
        if old is None:
            known[key] = fact
            return
        self.duplicates += 1
        if fact != old and _order(fact) < _order(old):
            known[key] = fact

    def _message(self, fact: Message) -> None:
        """The best witness; whom it was for is taken from the next one where that does not tell."""
        if fact.rank == ROW:
            self._in_tables.add(fact.message_id)
        old = self.messages.get(fact.message_id)
        if old is None:
            self.messages[fact.message_id] = fact
            return
        self.duplicates += 1
        if fact == old:
            return
        best, other = (fact, old) if _order(fact) < _order(old) else (old, fact)
        if best.recipients is None and other.recipients is not None:
            best = replace(best, recipients=other.recipients)
        self.messages[fact.message_id] = best

    def _receipt(self, fact: Receipt) -> None:
        """The first time that it was seen or read, of those that the best witnesses tell."""
        key = (fact.message_id, fact.reader, fact.kind)
        old = self.receipts.get(key)
        if old is not None:
            self.duplicates += 1
        if old is None or (fact.rank == SNAPSHOT, fact.at) < (old.rank == SNAPSHOT, old.at):
            self.receipts[key] = fact

    def _drop(self, known: dict[K, T], is_gone: object) -> None:
        gone = [key for key, fact in known.items() if is_gone(fact)]  # type: ignore[operator]
        self.duplicates += len(gone)
        for key in gone:
            del known[key]


def _order(fact: Told) -> tuple[int, str]:
    """The better witness first; of two equal ones always the same, whichever came first."""
    values = (getattr(fact, name) for name in (one.name for one in fields(fact)))
    plain = [sorted(value) if isinstance(value, frozenset) else value for value in values]
    return fact.rank, repr(plain)


def _described(fact: Registration) -> tuple[str, str, str]:
    return fact.agent, fact.role, fact.module


def _registration_key(fact: Registration) -> tuple[str, ...]:
    return fact.agent, fact.at, fact.role, fact.module, fact.display, fact.hostname


def _member_key(fact: Member) -> tuple[str, str, str, bool, str]:
    return fact.group, fact.type, fact.value, fact.present, fact.at


def _sessions(fact: Work) -> tuple[str, ...]:
    return tuple(sorted(str(context.get("session_id", "")) for context in fact.contexts))
