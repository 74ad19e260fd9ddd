"""The kernel's own event types.

A message is named by the ULID of the event that creates it: ``evt_X`` creates ``msg_X``. An agent is (home daemon,
name, incarnation); the incarnation is the ULID of its first registration after none or after a deletion.

Source: DESIGN.md D1, D2; spec/kernel.md §2.3; spec/decisions.md.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from thrum_kernel.api import EventType
from thrum_kernel.events.envelope import Event


class AgentRef(msgspec.Struct, frozen=True, array_like=True):
    """One incarnation of an agent, ``[name, daemon, incarnation]`` in JSON."""

    name: str
    daemon: str
    incarnation: str


class Recipient(msgspec.Struct, frozen=True, array_like=True):
    """One recipient, ``[name, daemon, incarnation, via]``; *via* says how it came to be addressed.

    *via* is ``agent``, ``role:<role>``, ``group:<group>``, ``broadcast``, ``reply`` or ``thread``.
    """

    name: str
    daemon: str
    incarnation: str
    via: str = "agent"


class Label(msgspec.Struct, frozen=True):
    """A scope, a reference or an entry of an audience."""

    type: str
    value: str


class Body(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a message says. ``structured`` is any JSON object."""

    content: str
    format: str = "markdown"
    structured: Any = None


class Subject(msgspec.Struct, kw_only=True, frozen=True):
    """The message that an edit or deletion is about, as a purge judges it."""

    timestamp: str
    author: AgentRef


class MessageCreate(Event, kw_only=True, omit_defaults=True, tag="message.create"):
    """A message. The audience is resolved by the sending daemon, once: ``recipients`` is final.

    ``audience`` holds what was addressed (types ``agent``, ``role``, ``group``, ``broadcast``), for showing.
    """

    agent_id: str
    incarnation: str
    session_id: str = ""
    body: Body
    recipients: list[Recipient] = []
    audience: list[Label] = []
    scopes: list[Label] = []
    refs: list[Label] = []
    thread_id: str = ""
    reply_to: str = ""
    priority: Literal["low", "normal", "high"] = "normal"
    authored_by: str = ""
    disclosed: bool = False


class MessageEdit(Event, kw_only=True, omit_defaults=True, tag="message.edit"):
    """New text of a message; of several the one with the highest event_id holds."""

    message_id: str
    agent_id: str
    incarnation: str
    session_id: str = ""
    subject: Subject
    body: Body


class MessageDelete(Event, kw_only=True, omit_defaults=True, tag="message.delete"):
    """The text of one message is gone for good; a tombstone stays."""

    message_id: str
    agent_id: str
    incarnation: str
    subject: Subject
    reason: str = ""


class ReceiptMark(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What one reader has seen or read of one writer's messages.

    ``ranges`` are inclusive ``[first, last]`` of the writer's sequence, broken at every place that the reader's daemon
    had not projected or that the reader had not read. ``subject_from`` and ``subject_to`` are the timestamps of the
    oldest and newest message covered.
    """

    reader: AgentRef
    kind: Literal["seen", "read"]
    at: str
    writer: str
    ranges: list[tuple[int, int]]
    subject_from: str = ""
    subject_to: str = ""


class MessageReceipt(Event, kw_only=True, omit_defaults=True, tag="message.receipt"):
    """One daemon's new receipts since its last publish."""

    marks: list[ReceiptMark]


class AgentRegister(Event, kw_only=True, omit_defaults=True, tag="agent.register"):
    """An agent exists, or changed. The highest event_id of an incarnation holds.

    ``incarnation`` is empty in the first registration, which is the incarnation then.
    """

    agent_id: str
    incarnation: str = ""
    kind: Literal["agent", "user"] = "agent"
    role: str
    module: str
    display: str = ""
    hostname: str = ""
    worktree: str = ""
    runtime: str = ""
    agent_pid: int = 0


class AgentCleanup(Event, kw_only=True, omit_defaults=True, tag="agent.cleanup"):
    """An incarnation is deleted; its messages stay, under its name."""

    agent_id: str
    incarnation: str
    reason: str = ""
    method: Literal["manual", "automated", "ui"] = "manual"


class AgentMove(Event, kw_only=True, omit_defaults=True, tag="agent.move"):
    """The old home hands an incarnation to another daemon, or a new home adopts one whose home is gone.

    ``adopted`` tells the second case; the event is then written by the new home and disclosed in team.
    """

    agent_id: str
    incarnation: str
    from_daemon: str
    to_daemon: str
    adopted: bool = False


class SessionStart(Event, kw_only=True, omit_defaults=True, tag="agent.session.start"):
    session_id: str
    agent_id: str
    incarnation: str


class SessionEnd(Event, kw_only=True, omit_defaults=True, tag="agent.session.end"):
    session_id: str
    agent_id: str
    incarnation: str
    reason: str = "normal"


class FileChange(msgspec.Struct, kw_only=True, omit_defaults=True):
    path: str
    last_modified: str = ""
    additions: int = 0
    deletions: int = 0
    status: str = "modified"


class UnmergedCommit(msgspec.Struct, kw_only=True, omit_defaults=True):
    sha: str
    message: str
    files: list[str] = []


class WorkContext(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What an agent works on, for one session. Times are timestamps, empty when never set."""

    session_id: str
    branch: str = ""
    worktree_path: str = ""
    unmerged_commits: list[UnmergedCommit] = []
    uncommitted_files: list[str] = []
    changed_files: list[str] = []
    file_changes: list[FileChange] = []
    git_updated_at: str = ""
    current_task: str = ""
    task_updated_at: str = ""
    intent: str = ""
    intent_updated_at: str = ""


class AgentUpdate(Event, kw_only=True, omit_defaults=True, tag="agent.update"):
    """A digest of an agent's work contexts, when it changed, at most once a minute."""

    agent_id: str
    incarnation: str
    work_contexts: list[WorkContext]


class GroupCreate(Event, kw_only=True, omit_defaults=True, tag="group.create"):
    group_id: str
    name: str
    description: str = ""
    created_by: str


class GroupUpdate(Event, kw_only=True, omit_defaults=True, tag="group.update"):
    group_id: str
    updated_by: str
    fields: dict[str, str]


class GroupDelete(Event, kw_only=True, omit_defaults=True, tag="group.delete"):
    group_id: str
    deleted_by: str


class GroupMemberAdd(Event, kw_only=True, omit_defaults=True, tag="group.member.add"):
    """``member_type`` is ``agent`` or ``role``; the role ``*`` is every role."""

    group_id: str
    member_type: Literal["agent", "role"]
    member_value: str
    added_by: str


class GroupMemberRemove(Event, kw_only=True, omit_defaults=True, tag="group.member.remove"):
    group_id: str
    member_type: Literal["agent", "role"]
    member_value: str
    removed_by: str


class ThreadCreate(Event, kw_only=True, omit_defaults=True, tag="thread.create"):
    """A thread; ``root`` is the message that a reply made it for, empty when it was made by hand."""

    thread_id: str
    title: str = ""
    created_by: str
    root: str = ""


class PurgeExecuted(Event, kw_only=True, omit_defaults=True, tag="purge.executed"):
    """Everything about messages and ended sessions older than ``cutoff`` is gone, in every clone.

    A message, its edits, deletion and receipts are judged by the message's timestamp, a session by its start.
    ``sessions`` are those that the one who purged knew as started before the cutoff and ended: their lines leave the
    log; an open session stays. A cutoff never reaches past the event's own timestamp.
    """

    cutoff: str
    by: str = ""
    sessions: list[str] = []


_MESSAGES = (MessageCreate, MessageEdit, MessageDelete)
_EVENTS = (
    MessageReceipt,
    AgentRegister,
    AgentCleanup,
    AgentMove,
    SessionStart,
    SessionEnd,
    AgentUpdate,
    GroupCreate,
    GroupUpdate,
    GroupDelete,
    GroupMemberAdd,
    GroupMemberRemove,
    ThreadCreate,
    PurgeExecuted,
)

CORE_EVENT_TYPES: tuple[EventType, ...] = (
    *(EventType(name=str(cls.__struct_config__.tag), payload=cls, shard="messages") for cls in _MESSAGES),
    *(EventType(name=str(cls.__struct_config__.tag), payload=cls, shard="events") for cls in _EVENTS),
)
"""Every event type of the kernel, with the kind of file it is published in."""
