"""Whom a message was for, as its references and scopes tell, and where nobody wrote it down: who that was.

Source: spec/kernel.md §2.3 ("Ref types in use"), §5.1, §5.2 (visibility).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from thrum_kernel.events.core import Label, Recipient
from thrum_kernel.migrate.facts import Message
from thrum_kernel.migrate.gathered import Gathered
from thrum_kernel.migrate.names import Names

EVERYONE: Final = "everyone"
_BROADCAST: Final = ("broadcast", EVERYONE)


@dataclass(frozen=True, slots=True)
class Addressed:
    """What a message addressed, sorted: agents or roles, groups, everyone."""

    mentions: tuple[str, ...]
    groups: tuple[str, ...]
    is_broadcast: bool

    @classmethod
    def of(cls, message: Message) -> Addressed:
        """As its references and scopes tell; a message that names nobody is for everyone."""
        named = message.refs | message.scopes
        mentions = tuple(
            sorted({value.removeprefix("@") for kind, value in message.refs if kind == "mention"})
        )
        groups = tuple(sorted({value for kind, value in named if kind == "group"}))
        is_broadcast = any(kind == "broadcast" for kind, _ in named) or not (mentions or groups)
        return cls(mentions, groups, is_broadcast)


class Audiences:
    """Resolves audiences by the agents and groups that a set of facts speaks of."""

    def __init__(self, gathered: Gathered, names: Names) -> None:
        self._names = names
        self._since: dict[str, str] = {}
        self._roles: dict[str, set[str]] = defaultdict(set)
        for fact in gathered.registrations.values():
            self._since[fact.agent] = min(self._since.get(fact.agent, fact.at), fact.at)
            self._roles[fact.role].add(fact.agent)
        by_id = {fact.group: fact.name for fact in gathered.groups.values()}
        self._members: dict[str, set[tuple[str, str]]] = defaultdict(set)
        for member in gathered.members.values():
            if member.present:
                for name in {member.group, by_id.get(member.group, member.group)}:
                    self._members[name].add((member.type, member.value))
        self._readers: dict[str, set[str]] = defaultdict(set)
        for message, reader, _ in gathered.receipts:
            self._readers[message].add(reader)

    def recipients(self, message: Message, addressed: Addressed) -> list[Recipient]:
        """Everybody that a message was delivered to, but its author, sorted by name."""
        named = message.recipients
        if named is None:
            named = frozenset(self._resolved(message, addressed) | self._readers[message.message_id])
        refs = [self._names.at(name, message.at) for name in sorted(named - {message.author})]
        ways = {name: self._via(name, addressed) for name in named}
        return [Recipient(ref.name, ref.daemon, ref.incarnation, ways[ref.name]) for ref in refs]

    def labels(self, message: Message, addressed: Addressed, recipients: list[Recipient]) -> list[Label]:
        """What is shown as the audience."""
        names = {recipient.name for recipient in recipients} | {message.author}
        labels = [Label("agent" if name in names else "role", name) for name in addressed.mentions]
        labels += [Label("group", name) for name in addressed.groups]
        return [*labels, Label(*_BROADCAST)] if addressed.is_broadcast else labels

    def _resolved(self, message: Message, addressed: Addressed) -> set[str]:
        found = set()
        for name in addressed.mentions:
            found |= {name} if name in self._since else self._roles.get(name, set())
        for group in addressed.groups:
            for kind, value in self._members.get(group, ()):
                found |= {value} if kind == "agent" else self._of_role(value)
        if addressed.is_broadcast:
            found |= {name for name, since in self._since.items() if since <= message.at}
        return found

    def _of_role(self, role: str) -> set[str]:
        return set(self._since) if role == "*" else self._roles.get(role, set())

    @staticmethod
    def _via(name: str, addressed: Addressed) -> str:
        if name in addressed.mentions:
            return "agent"
        if addressed.is_broadcast:
            return "broadcast"
        if addressed.groups:
            return f"group:{addressed.groups[0]}"
        return f"role:{addressed.mentions[0]}"
