"""Facts as events of ours, the same ones wherever the same facts are gathered.

- A message keeps its id: `msg_X` is the event `evt_X`. Other events keep their id where an event told the fact; where a
  row or a snapshot did, the id is derived from what the event says, so different content never has one id.
- What a message deleted or purged held does not enter the log.
- Threads that are only known from messages are made, with the message that a reply made them for as their root.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar, cast

import msgspec

from thrum_kernel import ids
from thrum_kernel.clock import parse_us
from thrum_kernel.events import Event, core
from thrum_kernel.migrate.audience import Addressed, Audiences
from thrum_kernel.migrate.chunks import named_after_itself
from thrum_kernel.migrate.facts import (
    EVENT,
    SNAPSHOT,
    Fact,
    Kept,
    Message,
    Receipt,
    Registration,
    Told,
)
from thrum_kernel.migrate.gathered import Gathered
from thrum_kernel.migrate.names import Names

E = TypeVar("E", bound=Event)

_OWN_FIELDS: Final = frozenset({"mention", "group", "broadcast", "reply_to"})
"""Types of references that have a field of their own in our messages."""


@dataclass(slots=True)
class Mapped:
    """What facts come to.

    Attributes:
        events: by kind of record, with ids and without sequence; message texts that a deletion took are empty.
        receipts: those that count, with the ULID and time of their message.
        purged: how many records of a kind are older than a purge.
        left: how many messages are only known from snapshots of other clones, and were not taken.
    """

    events: dict[str, list[Event]] = field(default_factory=lambda: defaultdict(list))
    receipts: list[tuple[core.AgentRef, Receipt, str, str]] = field(default_factory=list)
    purged: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    left: int = 0


def map_facts(gathered: Gathered, *, with_snapshots: bool = False) -> Mapped:
    """The events of *gathered*; what has no place among them is added to its ``kept``.

    Args:
        with_snapshots: take messages, too, of which nothing is left but a snapshot without recipients.
    """
    return _Mapper(gathered, with_snapshots=with_snapshots).mapped()


class _Mapper:
    def __init__(self, gathered: Gathered, *, with_snapshots: bool) -> None:
        self._facts = gathered
        self._with_snapshots = with_snapshots
        self._names = Names(gathered)
        self._audiences = Audiences(gathered, self._names)
        self._cutoff = max(gathered.purges, default="")
        self._done = Mapped()
        self._ulids: dict[str, str] = {}

    def mapped(self) -> Mapped:
        for map_some in (
            self._agents,
            self._sessions,
            self._work,
            self._groups,
            self._messages,
            self._edits,
            self._deletions,
            self._threads,
            self._receipts,
            self._purges,
        ):
            map_some()
        self._done.events["agents"] = list(self._names.beginnings())
        return self._done

    # --- people ------------------------------------------------------------------------------------------------------

    def _agents(self) -> None:
        for fact in _sorted(self._facts.registrations.values()):
            ref = self._names.at(fact.agent, fact.at)
            if not ref.incarnation:
                self._keep(fact, "registrations", f"{fact.agent} writes without being registered")
                continue
            self._add("registrations", fact, self._registration(fact, ref))
        for fact in _sorted(self._facts.cleanups.values()):
            ref = self._names.at(fact.agent, fact.at)
            known = fact.method in ("manual", "automated", "ui")
            method = cast("Literal['manual', 'automated', 'ui']", fact.method if known else "manual")
            event = self._make(
                core.AgentCleanup,
                fact,
                agent_id=ref.name,
                incarnation=ref.incarnation,
                reason=fact.reason,
                method=method,
            )
            if ref.incarnation:
                self._add("deletions of agents", fact, event)

    def _registration(self, fact: Registration, ref: core.AgentRef) -> core.AgentRegister:
        return self._make(
            core.AgentRegister,
            fact,
            agent_id=ref.name,
            incarnation=ref.incarnation,
            kind="user" if fact.kind == "user" or fact.agent.startswith("user:") else "agent",
            role=fact.role,
            module=fact.module,
            display=fact.display,
            hostname=fact.hostname,
            worktree=fact.worktree,
            runtime=fact.runtime,
        )

    def _sessions(self) -> None:
        for fact in _sorted(self._facts.begun.values()):
            ended = self._facts.ended.get(fact.session)
            if ended is not None and fact.at < self._cutoff:
                self._done.purged["sessions"] += 1
                self._done.purged["ends of sessions"] += 1
                continue
            ref = self._names.at(fact.agent, fact.at)
            fields = {"session_id": fact.session, "agent_id": ref.name, "incarnation": ref.incarnation}
            self._add("sessions", fact, self._make(core.SessionStart, fact, **fields))
            if ended is not None:
                event = self._make(core.SessionEnd, ended, reason=ended.reason, **fields)
                self._add("ends of sessions", ended, event)
        for fact in _sorted(self._facts.ended.values()):
            if fact.session not in self._facts.begun:
                self._keep(fact, "ends of sessions", "nobody tells whose session it was")

    def _work(self) -> None:
        for fact in _sorted(self._facts.work.values()):
            contexts = [found for found in map(_work_context, fact.contexts) if found is not None]
            if len(contexts) != len(fact.contexts):
                self._keep(fact, "work contexts", "it is not of the shape of a work context")
                continue
            ref = self._names.at(fact.agent, fact.at)
            event = self._make(
                core.AgentUpdate,
                fact,
                agent_id=ref.name,
                incarnation=ref.incarnation,
                work_contexts=contexts,
            )
            if ref.incarnation:
                self._add("work contexts", fact, event)
            else:
                self._keep(fact, "work contexts", f"{fact.agent} writes without being registered")

    def _groups(self) -> None:
        facts = self._facts
        for group in _sorted(facts.groups.values()):
            fields = {"name": group.name, "description": group.description, "created_by": group.by}
            self._add("groups", group, self._make(core.GroupCreate, group, group_id=group.group, **fields))
        for change in _sorted(facts.group_changes.values()):
            event = self._make(
                core.GroupUpdate, change, group_id=change.group, updated_by=change.by, fields=change.fields
            )
            self._add("changes of groups", change, event)
        for end in _sorted(facts.group_ends.values()):
            event_ = self._make(core.GroupDelete, end, group_id=end.group, deleted_by=end.by)
            self._add("deletions of groups", end, event_)
        for member in _sorted(facts.members.values()):
            shape: Any = core.GroupMemberAdd if member.present else core.GroupMemberRemove
            by = {"added_by" if member.present else "removed_by": member.by}
            fields = {"group_id": member.group, "member_type": member.type, "member_value": member.value}
            self._add("members of groups", member, self._make(shape, member, **fields, **by))

    def _purges(self) -> None:
        for fact in _sorted(self._facts.purges.values()):
            self._add("purges", fact, self._make(core.PurgeExecuted, fact, cutoff=fact.cutoff))

    # --- messages ----------------------------------------------------------------------------------------------------

    def _messages(self) -> None:
        for fact in self._facts.messages.values():
            self._ulids[fact.message_id] = _message_ulid(fact)
        for fact in list(self._facts.messages.values()):
            if fact.at < self._cutoff:
                self._done.purged["messages"] += 1
            elif fact.rank == SNAPSHOT and not self._with_snapshots:
                self._done.left += 1
            else:
                self._done.events["messages"].append(self._message(fact))

    def _message(self, fact: Message) -> core.MessageCreate:
        author = self._names.at(fact.author, fact.at)
        addressed = Addressed.of(fact)
        recipients = self._audiences.recipients(fact, addressed)
        answered = min((value for kind, value in fact.refs if kind == "reply_to"), default="")
        is_deleted = fact.message_id in self._facts.deletions
        refs = {pair for pair in fact.refs if pair[0] not in _OWN_FIELDS}
        ulid = self._ulids[fact.message_id]
        if ids.message_id(ulid) != fact.message_id:
            refs.add(("was", fact.message_id))
        if answered and not self._message_id(answered):
            refs.add(("reply_to", answered))
        body = core.Body(
            content="" if is_deleted else fact.content,
            format="markdown" if is_deleted else fact.format,
            structured=None if is_deleted else fact.structured or None,
        )
        return core.MessageCreate(
            event_id=ids.event_id(ulid),
            timestamp=fact.at,
            origin_daemon=ids.EARLIER_DAEMON,
            agent_id=author.name,
            incarnation=author.incarnation,
            session_id=fact.session,
            body=body,
            recipients=recipients,
            audience=self._audiences.labels(fact, addressed, recipients),
            scopes=_labels(pair for pair in fact.scopes if pair[0] not in _OWN_FIELDS),
            refs=_labels(refs),
            thread_id="" if self._is_made_later(fact) else fact.thread,
            reply_to=self._message_id(answered),
            priority=cast("Any", fact.priority if fact.priority in ("low", "high") else "normal"),
            authored_by=fact.authored_by,
            disclosed=fact.disclosed,
        )

    def _is_made_later(self, fact: Message) -> bool:
        """Whether its thread was made for it by a reply: the reference wrote that into its database only."""
        thread = ids.bare(fact.thread)
        if fact.rank == EVENT or not ids.is_ulid(thread):
            return False
        return ids.ulid_ms(thread) > parse_us(fact.at) // 1000

    def _message_id(self, old: str) -> str:
        """The id in the log of a message of an earlier layout; empty when it cannot be told."""
        ulid = self._ulids.get(old) or (ids.bare(old) if old.startswith("msg_") else "")
        return ids.message_id(ulid) if ids.is_ulid(ulid) else ""

    def _subject(self, message_id: str) -> tuple[Message, core.AgentRef] | None:
        """The message that something is about, as far as it is taken."""
        fact = self._facts.messages.get(message_id)
        if fact is None or (fact.rank == SNAPSHOT and not self._with_snapshots):
            return None
        return fact, self._names.at(fact.author, fact.at)

    def _edits(self) -> None:
        for fact in _sorted(self._facts.edits.values()):
            found = self._subject(fact.message_id)
            if found is None:
                self._keep(fact, "edits", "the message that it is about is not there")
                continue
            message, author = found
            if message.at < self._cutoff:
                self._done.purged["edits"] += 1
                continue
            is_deleted = fact.message_id in self._facts.deletions
            body = core.Body(
                content="" if is_deleted else fact.content,
                format="markdown" if is_deleted else message.format,
                structured=None if is_deleted else fact.structured or None,
            )
            event = self._make(
                core.MessageEdit, fact, body=body, session_id=fact.session, **self._about(message, author)
            )
            self._add("edits", fact, event)

    def _deletions(self) -> None:
        for fact in _sorted(self._facts.deletions.values()):
            found = self._subject(fact.message_id)
            if found is None:
                self._keep(fact, "deletions", "the message that it is about is not there")
            elif found[0].at < self._cutoff:
                self._done.purged["deletions"] += 1
            else:
                event = self._make(core.MessageDelete, fact, reason=fact.reason, **self._about(*found))
                self._add("deletions", fact, event)

    def _about(self, message: Message, author: core.AgentRef) -> dict[str, Any]:
        return {
            "message_id": ids.message_id(self._ulids[message.message_id]),
            "agent_id": author.name,
            "incarnation": author.incarnation,
            "subject": core.Subject(timestamp=message.at, author=author),
        }

    def _threads(self) -> None:
        first: dict[str, core.MessageCreate] = {}
        for event in self._done.events["messages"]:
            assert isinstance(event, core.MessageCreate)
            known = first.get(event.thread_id)
            if event.thread_id and (known is None or event.event_id < known.event_id):
                first[event.thread_id] = event
        for fact in _sorted(self._facts.threads.values()):
            root = first[fact.thread].reply_to if fact.thread in first else ""
            event = self._make(
                core.ThreadCreate,
                fact,
                thread_id=fact.thread,
                title=fact.title,
                created_by=fact.by,
                root=root if fact.rank != EVENT else "",
            )
            self._add("threads", fact, event)
        for thread, message in sorted(first.items()):
            if thread not in self._facts.threads:
                made = Told(at=message.timestamp)
                event = self._make(
                    core.ThreadCreate,
                    made,
                    thread_id=thread,
                    created_by=message.agent_id,
                    root=message.reply_to,
                )
                self._add("threads", made, event)

    def _receipts(self) -> None:
        sent = {event.ulid: event for event in self._done.events["messages"]}
        for (message_id, _, _), fact in sorted(self._facts.receipts.items()):
            if fact.message_id not in self._facts.messages:
                self._keep(fact, "receipts", "the message that it is about is not there")
                continue
            message = self._facts.messages[message_id]
            event = sent.get(self._ulids[message_id])
            if event is None:
                if message.at < self._cutoff:
                    self._done.purged["receipts"] += 1
                else:
                    self._keep(fact, "receipts", "the message that it is about was left to its own clone")
                continue
            assert isinstance(event, core.MessageCreate)
            reader = self._names.at(fact.reader, message.at)
            if fact.reader == message.author:
                self._keep(fact, "receipts", "authors have read what they wrote")
            elif any(recipient.incarnation == reader.incarnation for recipient in event.recipients):
                self._done.receipts.append((reader, fact, event.ulid, event.timestamp))
            else:
                self._keep(fact, "receipts", f"the message was not for {fact.reader}")

    # --- making ------------------------------------------------------------------------------------------------------

    def _make(self, shape: Callable[..., E], fact: Told, **fields: Any) -> E:
        """An event; its id is that of the event that told the fact, else it follows from what it says."""
        event = shape(event_id="", timestamp=fact.at, origin_daemon=ids.EARLIER_DAEMON, **fields)
        if not fact.ulid:
            return named_after_itself(event)
        event.event_id = ids.event_id(fact.ulid)
        return event

    def _add(self, kind: str, fact: Told, event: Event) -> None:
        self._done.events[kind].append(event)

    def _keep(self, fact: Fact, kind: str, why: str) -> None:
        raw = msgspec.json.encode(fact, order="deterministic")
        self._facts.keep(Kept(kind, "gathered", 0, raw, why))


def _message_ulid(fact: Message) -> str:
    """The ULID of a message: its own, else one derived from its id and time."""
    if fact.message_id.startswith("msg_") and ids.is_ulid(ids.bare(fact.message_id)):
        return ids.bare(fact.message_id)
    return ids.derived_ulid(parse_us(fact.at), "message", fact.message_id)


def _work_context(found: dict[str, Any]) -> core.WorkContext | None:
    plain = {key: value for key, value in found.items() if value is not None and key != "agent_id"}
    try:
        return msgspec.convert(plain, core.WorkContext, strict=False)
    except msgspec.ValidationError:
        return None


def _labels(pairs: Any) -> list[core.Label]:
    return [core.Label(kind, value) for kind, value in sorted(pairs)]


def _sorted(facts: Any) -> Iterator[Any]:
    """Facts by time, so that ids and reports come in the same order everywhere."""
    return iter(sorted(facts, key=lambda fact: (fact.at, fact.ulid, repr(fact))))
