"""What people were told: the reference model that the daemons are held against. It knows nothing of logs or merging."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

TOKEN = re.compile(rb"text-\d{6}")
SECRET = re.compile(rb"text-\d{5}7")
"""What the daemons of a story take for a credential; see `simulation_node.SECRETS`."""


@dataclass
class Sent:
    """A message that its sender was told is sent.

    Attributes:
        message_id, author, home: what it is called, its author's incarnation, and the machine that sent it.
        recipients: incarnations, as the sender's daemon resolved them when it was sent.
        parent: the message it answers; empty for none.
        created_at: its timestamp.
        known_cutoff: the latest purge that its sender's daemon knew of.
        tokens: what was ever written into it, in order; the first is the text it was sent with.
        texts: which of them may be its text now.
        readers: who was told that it is read now.
        unsure_readers: who asked for that and was told nothing.
        retried: it was acknowledged by a later try, whenever it was stored.
        deleted: ``yes``, ``no``, or ``unsure`` when the daemon ended before it answered.
    """

    message_id: str
    author: str
    home: str
    recipients: frozenset[str]
    parent: str
    created_at: str
    known_cutoff: str
    tokens: list[str]
    texts: list[str]
    readers: set[str] = field(default_factory=set)
    unsure_readers: set[str] = field(default_factory=set)
    deleted: str = "no"
    retried: bool = False

    @property
    def ulid(self) -> str:
        return self.message_id.removeprefix("msg_")


@dataclass
class Unsure:
    """A send whose answer never came: it is there once or not at all. A retry has the same request id."""

    token: str
    request_id: str
    agent: str
    machine: str
    params: dict[str, object]


@dataclass
class Ledger:
    """Everything that was acknowledged, and what was asked for without an answer.

    Attributes:
        sent: by message id.
        unsure: sends without an answer, by request id.
        cutoffs: purges that were acknowledged, their cutoff.
        asked_cutoffs: those and the ones without an answer.
        agents: incarnations that were registered, with name and machine.
        ended: incarnations that were, or may have been, deleted.
        moved: incarnations that were, or may have been, moved.
        released: what looks like a credential and may have left its machine since somebody let it go.
        homes: where an incarnation was last told to live; None when nobody can know.
    """

    sent: dict[str, Sent] = field(default_factory=dict)
    unsure: dict[str, Unsure] = field(default_factory=dict)
    cutoffs: list[str] = field(default_factory=list)
    asked_cutoffs: list[str] = field(default_factory=list)
    agents: dict[str, tuple[str, str]] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    moved: set[str] = field(default_factory=set)
    released: set[str] = field(default_factory=set)
    homes: dict[str, str | None] = field(default_factory=dict)
    groups: dict[str, set[str]] = field(default_factory=dict)
    _tokens: int = 0

    def new_token(self) -> str:
        """A text that nothing else says."""
        self._tokens += 1
        return f"text-{self._tokens:06d}"

    def gone_tokens(self, cutoff: str) -> set[bytes]:
        """What must be in no file any more, once everything before *cutoff* is purged.

        Not the text of a message that was stored at a second try: of the first one a torn line may lie in quarantine,
        which nobody can tell from another.
        """
        gone = [sent for sent in self.sent.values() if sent.deleted == "yes" or sent.created_at < cutoff]
        return {token.encode() for sent in gone for token in sent.tokens[1 if sent.retried else 0 :]}
