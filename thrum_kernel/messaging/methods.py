"""The methods of this room as the dispatcher takes them. Names, parameters, results: spec/kernel.md §4.4."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from thrum_kernel.api import Call, Evidence, Method
from thrum_kernel.errors import NotFound
from thrum_kernel.messaging import groups, model, push, threads

if TYPE_CHECKING:
    from thrum_kernel.messaging.room import Messaging
    from thrum_kernel.projection.queries import AgentRow


class EvidenceParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a plugin proves about deliveries to an agent of this daemon; see `api.Evidence`."""

    agent_id: str
    evidence: Evidence


class EvidenceTaken(msgspec.Struct, kw_only=True):
    """Nothing to tell."""


def take_evidence(room: Messaging, call: Call, params: EvidenceParams) -> EvidenceTaken:
    """Keep what a plugin proves.

    Raises:
        NotFound: no such agent lives here.
    """
    agent = _resident(room, params.agent_id)
    room.record(agent.incarnation, params.evidence)
    return EvidenceTaken()


class UnseenParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Messages to an agent of this daemon."""

    agent_id: str
    message_ids: tuple[str, ...]


class UnseenResult(msgspec.Struct, kw_only=True):
    """Those that it has not ``seen``, and those it has not ``read``; messages that are gone, or are not to it, are in
    neither."""

    unseen: list[str]
    unread: list[str]


def unseen(room: Messaging, call: Call, params: UnseenParams) -> UnseenResult:
    """What of some messages an agent of this daemon has not noticed yet.

    Raises:
        NotFound: no such agent lives here.
    """
    agent = _resident(room, params.agent_id)
    not_seen, not_read = room.receipts.unnoticed(agent, params.message_ids)
    return UnseenResult(unseen=not_seen, unread=not_read)


def _resident(room: Messaging, name: str) -> AgentRow:
    agent = room.people.find(name)
    if agent.home != room.people.directory.local:
        raise NotFound("agent", name, message=f"@{name} does not live here")
    return agent


def methods(room: Messaging) -> Sequence[Method]:
    """Every method, those of the reference first."""
    return (*_messages(room), *_search(room), *_groups(room), *_threads(room), *_push(room))


def _look(
    name: str, params: type[Any], result: type[Any], handler: Callable[..., Any], summary: str
) -> Method:
    """A method that changes nothing, open to anonymous callers."""
    return Method(name=name, params=params, result=result, handler=handler, summary=summary, anonymous=True)


def _change(
    name: str,
    params: type[Any],
    result: type[Any],
    handler: Callable[..., Any],
    summary: str,
    recall: Callable[..., Any] | None = None,
) -> Method:
    """A method that changes something; *recall* answers a retry after a restart."""
    return Method(
        name=name, params=params, result=result, handler=handler, summary=summary, mutates=True, recall=recall
    )


def _messages(room: Messaging) -> tuple[Method, ...]:
    send, inbox, change = room.sending, room.inbox, room.changing
    return (
        _change("message.send", model.SendParams, model.SendResult, send.send, "Send a message", send.recall),
        _look("message.get", model.GetParams, model.GetResult, inbox.get, "One message with full details"),
        _look("message.list", model.ListParams, model.ListResult, inbox.page, "A page of messages"),
        _look("message.outbox", model.OutboxParams, model.OutboxResult, inbox.outbox, "What the caller sent"),
        _change(
            "message.edit",
            model.EditParams,
            model.EditResult,
            change.edit,
            "Replace a message's text",
            change.recall_edit,
        ),
        _change(
            "message.delete",
            model.DeleteParams,
            model.DeleteResult,
            change.delete,
            "Remove a message's text for good",
            change.recall_delete,
        ),
        _change(
            "message.markRead",
            model.MarkReadParams,
            model.MarkReadResult,
            inbox.mark_read,
            "Mark messages as read by the caller",
        ),
        _change(
            "message.archive",
            model.ArchiveParams,
            model.ArchiveResult,
            change.archive,
            "Write messages of an agent or to a group to a file and delete them",
        ),
        _change(
            "message.deleteByAgent",
            model.DeleteByAgentParams,
            model.DeletedCount,
            change.delete_by_agent,
            "Delete everything the caller wrote",
        ),
        _change(
            "message.deleteByScope",
            model.DeleteByScopeParams,
            model.DeletedCount,
            change.delete_by_scope,
            "Delete everything with a scope; for the daemon only",
        ),
        Method(
            name="message.wait",
            params=model.WaitParams,
            result=model.WaitResult,
            handler=room.waits.wait,
            summary="Wait until messages arrive",
            long_poll=True,
        ),
        Method(
            name="message.evidence",
            params=EvidenceParams,
            result=EvidenceTaken,
            handler=partial(take_evidence, room),
            summary="Prove how far deliveries came; for plugins",
            mutates=True,
            transports=frozenset({"internal"}),
        ),
        Method(
            name="message.unseen",
            params=UnseenParams,
            result=UnseenResult,
            handler=partial(unseen, room),
            summary="Which of some messages an agent has not noticed yet; for plugins",
            transports=frozenset({"internal"}),
        ),
    )


def _search(room: Messaging) -> tuple[Method, ...]:
    if room.searching is None:
        return ()
    handler = room.searching.search
    return (
        _look("message.search", model.SearchParams, model.SearchResult, handler, "Find messages by words"),
    )


def _groups(room: Messaging) -> tuple[Method, ...]:
    room_groups = room.groups
    return (
        _change(
            "group.create",
            groups.GroupCreateParams,
            groups.GroupCreated,
            room_groups.create,
            "Make a group",
            room_groups.recall_create,
        ),
        _change(
            "group.delete",
            groups.GroupDeleteParams,
            groups.GroupDeleted,
            room_groups.delete,
            "Delete a group",
            room_groups.recall_delete,
        ),
        _change(
            "group.member.add",
            groups.MemberParams,
            groups.Member,
            room_groups.add_member,
            "Add an agent or role to a group",
            room_groups.recall_member,
        ),
        _change(
            "group.member.remove",
            groups.MemberParams,
            groups.Member,
            room_groups.remove_member,
            "Take an agent or role out of a group",
            room_groups.recall_member,
        ),
        _look("group.list", groups.NoParams, groups.GroupList, room_groups.page, "Every group"),
        _look(
            "group.info", groups.GroupParams, groups.GroupInfo, room_groups.info, "One group with its members"
        ),
        _look(
            "group.members",
            groups.MembersParams,
            groups.MemberList,
            room_groups.members,
            "Members of a group",
        ),
    )


def _threads(room: Messaging) -> tuple[Method, ...]:
    room_threads = room.threads
    return (
        _change(
            "thread.create",
            threads.ThreadCreateParams,
            threads.ThreadCreated,
            room_threads.create,
            "Begin a thread, with a first message when given",
            room_threads.recall_create,
        ),
        _look(
            "thread.list",
            threads.ThreadListParams,
            threads.ThreadList,
            room_threads.page,
            "A page of threads",
        ),
        _look(
            "thread.get",
            threads.ThreadGetParams,
            threads.ThreadShown,
            room_threads.get,
            "A thread with messages",
        ),
    )


def _push(room: Messaging) -> tuple[Method, ...]:
    pushing = room.push
    return (
        _change(
            "subscribe", push.SubscribeParams, push.Subscribed, pushing.subscribe, "Have messages pushed here"
        ),
        _change(
            "unsubscribe",
            push.UnsubscribeParams,
            push.Unsubscribed,
            pushing.unsubscribe,
            "End a subscription",
        ),
        _look(
            "subscriptions.list",
            push.ListSubscriptionsParams,
            push.SubscriptionList,
            pushing.page,
            "The subscriptions of the caller's session",
        ),
    )
