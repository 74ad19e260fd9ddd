"""Messages as clients see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from thrum_kernel.clock import format_us
from thrum_kernel.messaging import facts as delivery
from thrum_kernel.messaging.facts import Fact, Facts, Key
from thrum_kernel.messaging.ground import Ground
from thrum_kernel.messaging.model import (
    AuthorView,
    BodyView,
    DeletionView,
    MessageDetail,
    MessageView,
    RecipientView,
    Tag,
)
from thrum_kernel.messaging.people import People
from thrum_kernel.projection import queries
from thrum_kernel.projection.queries import AgentRow, DeliveryRow, Labels, MessageRow

_DERIVED_SCOPES = ("group", "broadcast")


class Views:
    """Builds what is shown of messages, a page at a time."""

    def __init__(self, ground: Ground, people: People, facts: Facts) -> None:
        self._ground = ground
        self._people = people
        self._facts = facts

    def page(
        self, keys: Sequence[int], reader: AgentRow | None, *, with_states: bool = False
    ) -> list[MessageView]:
        """Messages for a list, in the order of *keys*.

        Args:
            reader: whose read marks ``is_read`` tells; one's own messages are read.
            with_states: recipients with delivery states, for their sender.
        """
        cache = self._ground.cache
        messages = queries.messages(cache, keys)
        recipients = queries.recipients(cache, keys)
        labels = queries.labels(cache, keys)
        known = self._facts.known(messages, recipients) if with_states else {}
        return [
            self._view(message, reader, recipients.get(message.key, []), labels[message.key], known)
            for message in messages
        ]

    def detail(self, key: int) -> MessageDetail:
        """One message with everything known about it.

        Raises:
            LookupError: the key names none.
        """
        cache = self._ground.cache
        message = queries.message(cache, key)
        if message is None:
            raise LookupError(key)
        recipients = queries.recipients(cache, [key])
        labels = queries.labels(cache, [key])[key]
        known = self._facts.known([message], recipients)
        return MessageDetail(
            message_id=message.message_id,
            thread_id=message.thread_id,
            reply_to=message.reply_to,
            author=AuthorView(
                agent_id=self._people.shown(message.author),
                session_id=message.session_id,
                authored_by=message.authored_by if message.disclosed else "",
                disclosed=message.disclosed,
            ),
            body=body_of(message),
            scopes=_scopes(labels),
            refs=_refs(labels, message.reply_to),
            metadata=DeletionView(
                deleted_at=format_us(message.deleted_us) if message.deleted_us is not None else "",
                delete_reason=message.delete_reason,
            ),
            created_at=format_us(message.created_us),
            updated_at=_time(message.edited_us),
            version=message.edits,
            deleted=message.deleted_us is not None,
            priority=message.priority,
            asserted=message.asserted,
            audiences=_tags(labels.audience),
            recipients=self._recipients(message, recipients[key], known),
        )

    def _view(
        self,
        message: MessageRow,
        reader: AgentRow | None,
        recipients: list[DeliveryRow],
        labels: Labels,
        known: dict[Key, list[Fact]],
    ) -> MessageView:
        others = [row for row in recipients if row.agent.id != message.author.id]
        return MessageView(
            message_id=message.message_id,
            thread_id=message.thread_id,
            reply_to=message.reply_to,
            agent_id=self._people.shown(message.author),
            body=body_of(message),
            created_at=format_us(message.created_us),
            updated_at=_time(message.edited_us),
            deleted=message.deleted_us is not None,
            is_read=_is_read(message, reader, recipients),
            priority=message.priority,
            scopes=_scopes(labels),
            audiences=_tags(labels.audience),
            recipients=self._recipients(message, recipients, known),
            read_count=sum(row.read_us is not None for row in others),
            authored_by=message.authored_by if message.disclosed else "",
            disclosed=message.disclosed,
            asserted=message.asserted,
        )

    def _recipients(
        self, message: MessageRow, recipients: list[DeliveryRow], known: dict[Key, list[Fact]]
    ) -> list[RecipientView]:
        """The recipients, its author left out unless it wrote to itself alone."""
        others = [row for row in recipients if row.agent.id != message.author.id] or recipients
        return [self._recipient(message, row, known) for row in others]

    def _recipient(
        self, message: MessageRow, row: DeliveryRow, known: dict[Key, list[Fact]]
    ) -> RecipientView:
        view = RecipientView(
            agent_id=self._people.shown(row.agent),
            delivered_at=format_us(message.created_us),
            seen_at=_time(row.seen_us),
            read_at=_time(row.read_us),
            via=row.via,
        )
        found = known.get((message.message_id, row.agent.incarnation))
        if found is not None:
            view.state = delivery.state_of(found, is_gone=row.agent.deleted)
            view.states = delivery.views(found, is_gone=row.agent.deleted and view.state == "failed")
        return view


def body_of(message: MessageRow) -> BodyView:
    """What a message says; nothing when it is deleted."""
    if message.deleted_us is not None:
        return BodyView(format=message.format, content="")
    structured: Any = msgspec.json.decode(message.structured) if message.structured else None
    return BodyView(format=message.format, content=message.body, structured=structured)


def _is_read(message: MessageRow, reader: AgentRow | None, recipients: list[DeliveryRow]) -> bool:
    if reader is None:
        return False
    if reader.id == message.author.id:
        return True
    return any(row.agent.id == reader.id and row.read_us is not None for row in recipients)


def _scopes(labels: Labels) -> list[Tag]:
    """Its scopes, with those that follow from whom it was sent to."""
    derived = [label for label in labels.audience if label.type in _DERIVED_SCOPES]
    return _tags((*labels.scopes, *derived))


def _refs(labels: Labels, reply_to: str) -> list[Tag]:
    """Its references, with those that follow from its audience and parent, in the form the reference gives."""
    derived = [Tag("mention" if a.type in ("agent", "role") else a.type, a.value) for a in labels.audience]
    reply = [Tag("reply_to", reply_to)] if reply_to else []
    return list(dict.fromkeys((*_tags(labels.refs), *derived, *reply)))


def _tags(labels: Sequence[Any]) -> list[Tag]:
    return list(dict.fromkeys(Tag(label.type, label.value) for label in labels))


def _time(us: int | None) -> str:
    return format_us(us) if us is not None else ""
