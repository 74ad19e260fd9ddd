"""Parameters and results of the messaging methods, as clients see them.

Names follow the reference (spec/kernel.md §4.4); what it lacks is added as optional fields. Times are timestamps of
`clock.format_us`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

Priority = Literal["low", "normal", "high"]
Format = Literal["markdown", "plain", "json"]

MESSAGE_IDS = "message ids look like msg_01HXE…; `thrum inbox` shows them"
"""The hint where a message is not found."""


class Params(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Base of all parameters. ``caller_agent_id`` is a claim; the dispatcher has checked it already."""

    caller_agent_id: str = ""


class Result(msgspec.Struct, kw_only=True):
    """Base of results whose fields are always there."""


class Lean(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Base of results whose optional fields are left out when empty."""


class Tag(msgspec.Struct, frozen=True):
    """A scope, a reference or an entry of an audience."""

    type: str
    value: str


# --- messages --------------------------------------------------------------------------------------------------------


class BodyView(Lean, kw_only=True):
    """``structured`` is any JSON object; ``content`` is empty when the message is deleted."""

    format: str
    content: str
    structured: Any = None


class StateView(Lean, kw_only=True):
    """One step of a delivery: when, shown by what, and why when it failed."""

    state: str
    at: str
    means: str = ""
    reason: str = ""


class RecipientView(Lean, kw_only=True):
    """A recipient and how far the message came with it.

    ``state`` is the furthest of stored, injected, seen, read, answered, or ``failed``; ``states`` are all that are
    known, oldest first. ``via`` tells how it came to be addressed.
    """

    agent_id: str
    delivered_at: str
    seen_at: str = ""
    read_at: str = ""
    via: str = ""
    state: str = ""
    states: list[StateView] = []


class MessageView(Lean, kw_only=True):
    """One message in a list."""

    message_id: str
    thread_id: str = ""
    reply_to: str = ""
    agent_id: str
    body: BodyView
    created_at: str
    updated_at: str = ""
    deleted: bool
    is_read: bool
    priority: str = "normal"
    scopes: list[Tag] = []
    audiences: list[Tag] = []
    recipients: list[RecipientView] = []
    read_count: int = 0
    authored_by: str = ""
    disclosed: bool = False
    asserted: bool = False


# deleted and is_read are required fields, hence always there although the struct omits defaults


class AuthorView(Lean, kw_only=True):
    agent_id: str
    session_id: str
    authored_by: str = ""
    disclosed: bool = False


class DeletionView(Lean, kw_only=True):
    deleted_at: str = ""
    delete_reason: str = ""


class MessageDetail(Lean, kw_only=True):
    """One message with everything known about it."""

    message_id: str
    thread_id: str = ""
    reply_to: str = ""
    author: AuthorView
    body: BodyView
    scopes: list[Tag]
    refs: list[Tag]
    metadata: DeletionView
    created_at: str
    updated_at: str = ""
    version: int = 0
    deleted: bool
    priority: str = "normal"
    asserted: bool = False
    audiences: list[Tag] = []
    recipients: list[RecipientView] = []


class SendParams(Params, kw_only=True):
    """A message to send.

    Without ``to``, ``mentions``, ``reply_to`` and ``thread_id`` it goes to everyone. ``to`` names agents only;
    ``mentions`` also groups and roles, which fan out. ``tags`` is taken and ignored.
    """

    content: str
    format: str = "markdown"
    structured: Any = None
    reply_to: str = ""
    thread_id: str = ""
    scopes: list[Tag] = []
    refs: list[Tag] = []
    to: str | list[str] = []
    mentions: list[str] = []
    tags: list[str] = []
    priority: Priority = "normal"
    acting_as: str = ""
    disclose: bool = False


class SentTo(Lean, kw_only=True):
    agent_id: str
    delivered_at: str


class HeldView(Result, kw_only=True):
    """An event that stays on this machine, since it matches ``patterns``; ``release`` is the command that lets it go."""

    event_id: str
    patterns: list[str]
    release: str


class SendResult(Lean, kw_only=True):
    """``resolved_to`` counts the recipients; ``recipients`` are all of them.

    ``held`` is there when the message does not travel to other machines.
    """

    message_id: str
    thread_id: str = ""
    created_at: str
    resolved_to: int
    warnings: list[str] = []
    audiences: list[Tag] = []
    recipients: list[SentTo] = []
    held: HeldView | None = None


class GetParams(Params, kw_only=True):
    """``mark_shown``: once the answer was taken it counts as read by the caller, if it was addressed."""

    message_id: str
    mark_shown: bool = False


class GetResult(Result, kw_only=True):
    message: MessageDetail


class ListParams(Params, kw_only=True):
    """What of the messages to list; all filters must hold.

    ``for_agent`` keeps what is addressed to that agent and must be the caller, unless a user asks; ``mine`` is the
    same for whoever calls. A ``scope`` of type ``group`` or ``broadcast`` also finds what was sent to that group or to
    everyone. ``sort_by`` ``updated_at`` goes by the last edit, of a message without any by its own time.
    ``exclude_self`` leaves out what the caller wrote, but for what it sent to itself by name.
    ``mark_shown`` marks what is in the page and addressed to the caller as read, once the client has taken the answer.
    """

    scope: Tag | None = None
    ref: Tag | None = None
    thread_id: str = ""
    author_id: str = ""
    mentions: bool = False
    mention_role: str = ""
    caller_mention_role: str = ""
    unread: bool = False
    unread_for_agent: str = ""
    exclude_self: bool = False
    for_agent: str = ""
    for_agent_role: str = ""
    mine: bool = False
    page_size: int = 10
    page: int = 1
    created_after: str = ""
    sort_by: Literal["created_at", "updated_at"] = "created_at"
    sort_order: Literal["asc", "desc", ""] = ""
    chronological: bool = False
    mark_shown: bool = False


class ListResult(Lean, kw_only=True):
    messages: list[MessageView]
    total: int
    unread: int
    hidden_by_filter: int = 0
    page: int
    page_size: int
    total_pages: int


class OutboxParams(Params, kw_only=True):
    """``to`` keeps messages to that agent, group or everyone; ``unread`` those somebody has not read."""

    to: str = ""
    unread: bool = False
    page_size: int = 10
    page: int = 1


class OutboxResult(Result, kw_only=True):
    messages: list[MessageView]
    total: int
    page: int
    page_size: int
    total_pages: int


class EditParams(Params, kw_only=True):
    """New text, new structured data, or both; what is missing stays."""

    message_id: str
    content: str | None = None
    structured: Any = None


class EditResult(Lean, kw_only=True):
    """``held`` is there when the new text does not travel to other machines."""

    message_id: str
    updated_at: str
    version: int
    held: HeldView | None = None


class DeleteParams(Params, kw_only=True):
    message_id: str
    reason: Annotated[str, msgspec.Meta(max_length=1000)] = ""


class DeleteResult(Result, kw_only=True):
    message_id: str
    deleted_at: str


class MarkReadParams(Params, kw_only=True):
    """``marked_before`` leaves newer messages alone; ``all`` takes everything unread instead of ``message_ids``."""

    message_ids: list[str] = []
    marked_before: str = ""
    all: bool = False


class MarkReadResult(Lean, kw_only=True):
    marked_count: int
    also_read_by: dict[str, list[str]] = {}
    skipped_count: int = 0
    markable_remaining: int = 0


class ArchiveParams(Params, kw_only=True):
    """``identifier`` is an agent (its own messages) or a group (what was sent to it)."""

    archive_type: Literal["agent", "group"]
    identifier: str


class ArchiveResult(Result, kw_only=True):
    archived_count: int
    archive_path: str


class DeleteByAgentParams(Params, kw_only=True):
    agent_id: str


class DeleteByScopeParams(Params, kw_only=True):
    scope_type: str
    scope_value: str


class DeletedCount(Result, kw_only=True):
    deleted_count: int


class WaitParams(Params, kw_only=True):
    """``after``: ``-30s`` includes what came up to 30 s ago, ``+60s`` or ``60s`` only what comes after that time.

    ``timeout_ms`` 0 looks once. A ``scope`` takes messages to anyone with it, a ``mention`` those that name that
    agent, role or group; else what is addressed to the caller counts.
    """

    timeout_ms: int = 30_000
    scope: Tag | None = None
    mention: str = ""
    after: str = ""
    limit: int = 100


class WaitResult(Lean, kw_only=True):
    """``status`` is ``received`` or ``timeout``; ``messages`` oldest first; ``action`` the command to read more."""

    status: Literal["received", "timeout"]
    messages: list[MessageView] = []
    action: str = ""


class SearchParams(Params, kw_only=True):
    """``query`` in words; further filters as in the inbox.

    ``mine`` keeps what the caller sent or received, ``unread`` what waits for it, ``mentions`` what addressed its name
    or its role.
    """

    query: str
    from_agent: str = ""
    scope: Tag | None = None
    thread_id: str = ""
    created_after: str = ""
    mine: bool = False
    unread: bool = False
    mentions: bool = False
    page_size: int = 10
    page: int = 1


class Hit(Result, kw_only=True):
    """A message that was found, with the words around the match."""

    message: MessageView
    snippet: str


class SearchResult(Result, kw_only=True):
    """``total`` is a string such as ``10000+`` when not all hits were counted; they are then the newest first."""

    hits: list[Hit]
    total: int | str
    page: int
    page_size: int
    total_pages: int | str
