"""Changing and removing messages: edit, delete, archive. All of it by events, so that it reaches every clone.

Source: spec/kernel.md §5.4, §10.1 #25; DESIGN.md D1, "Purge".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from thrum_kernel.api import Call
from thrum_kernel.clock import format_us
from thrum_kernel.errors import BodyInvalid, NotFound, Refused, StoreError
from thrum_kernel.events import Event
from thrum_kernel.events.core import AgentRef, MessageDelete, MessageEdit, Subject
from thrum_kernel.jsonio import write_atomic
from thrum_kernel.messaging import body
from thrum_kernel.messaging.ground import Ground
from thrum_kernel.messaging.inbox import Inbox
from thrum_kernel.messaging.model import (
    ArchiveParams,
    ArchiveResult,
    DeleteByAgentParams,
    DeleteByScopeParams,
    DeletedCount,
    DeleteParams,
    DeleteResult,
    EditParams,
    EditResult,
)
from thrum_kernel.messaging.people import People, Sender
from thrum_kernel.messaging.quota import Limits, Quota
from thrum_kernel.messaging.recall import event_of
from thrum_kernel.messaging.views import Views
from thrum_kernel.projection import queries
from thrum_kernel.projection.queries import Filter, MessageRow
from thrum_kernel.projection.schema import AUDIENCE

_AT_ONCE = 500
"""Messages that are deleted in one commit."""


class Changing:
    """The methods that change messages.

    Args:
        archives: the folder that archives are written to; made when missing.
        erase: takes the text of deleted messages out of everything on this machine; returns when it is gone.
    """

    def __init__(
        self,
        ground: Ground,
        people: People,
        inbox: Inbox,
        views: Views,
        quota: Quota,
        *,
        limits: Callable[[], Limits],
        archives: Path,
        erase: Callable[[Sequence[str]], Awaitable[None]],
    ) -> None:
        self._ground = ground
        self._people = people
        self._inbox = inbox
        self._views = views
        self._quota = quota
        self._limits = limits
        self._archives = archives
        self._erase = erase

    async def edit(self, call: Call, params: EditParams) -> EditResult:
        """Replace the text or the structured data of one's own message.

        Raises:
            NotFound: there is no such message.
            Refused: it is somebody else's, or deleted.
            BodyInvalid, BodyTooLarge: the new text cannot be stored.
        """
        if params.content is None and params.structured is None:
            raise BodyInvalid("content or structured is required")
        message = self._message(params.message_id)
        sender = self._people.sender(call)
        self._own(message, sender, "edit")
        if message.deleted_us is not None:
            raise Refused(
                f"cannot edit deleted message: {message.message_id}", hint="send what you want to say anew"
            )
        content = body.checked(
            message.body if params.content is None else params.content,
            message.format,
            _structured(message) if params.structured is None else params.structured,
            max_bytes=self._limits().max_body_bytes,
        )
        self._quota.take(sender.name, body.size_of(content))
        event = self._ground.committer.draft(
            MessageEdit,
            message_id=message.message_id,
            agent_id=message.author.name,
            incarnation=message.author.incarnation,
            session_id=sender.session_id,
            subject=_subject(message),
            body=content,
            asserted=sender.asserted,
        )
        await self._ground.committer.commit(event, request_id=call.request_id)
        result = self._edited(event)
        result.held = await self._ground.held(event, event.event_id)
        return result

    def recall_edit(self, call: Call, events: Sequence[Event]) -> EditResult:
        """The answer given when these events were committed."""
        return self._edited(event_of(call, events, MessageEdit))

    async def delete(self, call: Call, params: DeleteParams) -> DeleteResult:
        """Remove the text of one's own message for good; a tombstone stays. No file here holds it afterwards.

        Raises:
            NotFound: there is no such message.
            Refused: it is somebody else's, or deleted already; or it is deleted and the text not gone from all files
                yet, since the disk refuses.
        """
        message = self._message(params.message_id)
        sender = self._people.sender(call)
        self._own(message, sender, "delete")
        if message.deleted_us is not None:
            raise Refused(
                f"message already deleted: {message.message_id}",
                hint=f"thrum message get {message.message_id} tells when",
            )
        event = self._deletion(message, sender, params.reason)
        await self._ground.committer.commit(event, request_id=call.request_id)
        await self._erased([message.message_id])
        return DeleteResult(message_id=message.message_id, deleted_at=event.timestamp)

    def recall_delete(self, call: Call, events: Sequence[Event]) -> DeleteResult:
        """The answer given when these events were committed."""
        event = event_of(call, events, MessageDelete)
        return DeleteResult(message_id=event.message_id, deleted_at=event.timestamp)

    async def delete_by_agent(self, call: Call, params: DeleteByAgentParams) -> DeletedCount:
        """Delete everything that the caller wrote."""
        author = self._people.find(params.agent_id)
        sender = self._people.sender(call)
        if call.caller.kind != "kernel" and (sender.row is None or sender.row.id != author.id):
            raise Refused(f"only @{author.name} may delete the messages of @{author.name}")
        return DeletedCount(
            deleted_count=await self._delete_all(call, self._by(author.id), sender, "deleted by author")
        )

    async def delete_by_scope(self, call: Call, params: DeleteByScopeParams) -> DeletedCount:
        """Delete everything with a scope; for the daemon and its plugins only."""
        if call.caller.kind != "kernel":
            raise Refused("message.deleteByScope is for the daemon only")
        sender = self._people.sender(call)
        filter_ = Filter(scope=(params.scope_type, params.scope_value))
        keys = [row.key for row in queries.messages_page(self._ground.cache, filter_, limit=-1)]
        return DeletedCount(deleted_count=await self._delete_all(call, keys, sender, "deleted by scope"))

    async def archive(self, call: Call, params: ArchiveParams) -> ArchiveResult:
        """Write messages to a file of their own and delete them: what an agent wrote, or what went to a group.

        Raises:
            NotFound: no such agent or group.
            Refused: the messages are others'.
        """
        sender = self._people.sender(call)
        if params.archive_type == "agent":
            author = self._people.find(params.identifier)
            if call.caller.kind == "agent" and (sender.row is None or sender.row.id != author.id):
                raise Refused(f"only @{author.name} or a user may archive the messages of @{author.name}")
            keys, name = self._by(author.id), author.name
        else:
            group = queries.group_named(self._ground.cache, params.identifier)
            if group is None:
                raise NotFound("group", params.identifier)
            if call.caller.kind == "agent" and sender.name != group.created_by:
                raise Refused(
                    f"only @{group.created_by} or a user may archive the messages of group {group.name}"
                )
            keys, name = self._to_group(group.name), group.name
        return await self._archive(call, keys, sender, f"{params.archive_type}-{name}")

    async def delete_group_messages(self, call: Call, group: str, sender: Sender) -> int:
        """Delete what was sent to a group; how many messages that were."""
        return await self._delete_all(call, self._to_group(group), sender, f"group {group} deleted")

    async def _archive(self, call: Call, keys: Sequence[int], sender: Sender, name: str) -> ArchiveResult:
        live = [message.key for message in self._deletable(keys)]
        lines = [msgspec.json.encode(self._views.detail(key)) for key in live]
        # Named after the moment, so that no archive is ever overwritten; names hold no slash (see identity.model).
        stamp = format_us(self._ground.clock.now_us()).replace(":", "")
        path = self._archives / f"{name.replace(':', '_')}-{stamp}.jsonl"

        def write() -> None:
            self._archives.mkdir(parents=True, exist_ok=True, mode=0o750)
            write_atomic(path, b"".join(line + b"\n" for line in lines))

        await asyncio.to_thread(write)
        count = await self._delete_all(call, live, sender, "archived")
        return ArchiveResult(archived_count=count, archive_path=str(path))

    async def _delete_all(self, call: Call, keys: Sequence[int], sender: Sender, reason: str) -> int:
        gone: list[str] = []
        for start in range(0, len(keys), _AT_ONCE):
            found = queries.messages(self._ground.cache, keys[start : start + _AT_ONCE])
            events = [
                self._deletion(message, sender, reason) for message in found if message.deleted_us is None
            ]
            if events:
                await self._ground.committer.commit(*events, request_id=call.request_id)
            gone += [event.message_id for event in events]
        await self._erased(gone)
        return len(gone)

    async def _erased(self, message_ids: Sequence[str]) -> None:
        if not message_ids:
            return
        try:
            await self._erase(message_ids)
        except StoreError as error:
            raise Refused(
                f"deleted, but the text is not gone from all files yet: {error}",
                hint="free what it needs; it goes on by itself",
            ) from error

    def _deletable(self, keys: Sequence[int]) -> list[MessageRow]:
        """Messages that are there and that this daemon may delete: those of its own agents and senders."""
        here = self._people.directory.local
        found = queries.messages(self._ground.cache, keys)
        return [m for m in found if m.deleted_us is None and here in (m.author.home, m.author.daemon)]

    def _deletion(self, message: MessageRow, sender: Sender, reason: str) -> MessageDelete:
        """A deletion counts when its author's own daemon writes it; *reason* tells when somebody else asked for it."""
        is_own = _ref(message) == sender.ref
        return self._ground.committer.draft(
            MessageDelete,
            message_id=message.message_id,
            agent_id=message.author.name,
            incarnation=message.author.incarnation,
            subject=_subject(message),
            reason=reason if is_own else f"{reason} (by {sender.name})".strip(),
            asserted=sender.asserted,
        )

    def _message(self, message_id: str) -> MessageRow:
        found = queries.message(self._ground.cache, self._inbox.key(message_id))
        assert found is not None
        return found

    def _own(self, message: MessageRow, sender: Sender, verb: str) -> None:
        """Refuse a message that the caller did not write, itself or acting as its author."""
        if _ref(message) == sender.ref or (message.authored_by and message.authored_by == sender.name):
            return
        author = self._people.shown(message.author)
        raise Refused(
            f"only message author can {verb} (author: {author}, current: {sender.name})",
            hint=f"ask @{author}: thrum reply {message.message_id}",
        )

    def _edited(self, event: MessageEdit) -> EditResult:
        key = queries.message_key(self._ground.cache, event.message_id)
        texts = queries.edits(self._ground.cache, key) if key is not None else []
        version = (
            sum(text.ulid <= event.ulid for text in texts) - 1
        )  # the first text is the one it was created with
        return EditResult(message_id=event.message_id, updated_at=event.timestamp, version=max(1, version))

    def _by(self, author: int) -> list[int]:
        return queries.outbox_page(self._ground.cache, author, limit=-1)

    def _to_group(self, name: str) -> list[int]:
        rows = self._ground.cache.read(
            "SELECT x.message FROM message_label x JOIN label l ON l.id = x.label"
            " WHERE l.kind = ? AND l.type = 'group' AND l.value = ? ORDER BY x.message",
            (AUDIENCE, name),
        )
        return [row[0] for row in rows]


def _subject(message: MessageRow) -> Subject:
    return Subject(timestamp=format_us(message.created_us), author=_ref(message))


def _ref(message: MessageRow) -> AgentRef:
    return AgentRef(message.author.name, message.author.daemon, message.author.incarnation)


def _structured(message: MessageRow) -> object:
    return msgspec.json.decode(message.structured) if message.structured else None
