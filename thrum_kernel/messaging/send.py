"""Sending: who, to whom, what, in this order, then one commit. Source: spec/kernel.md §5.1; DESIGN.md D2."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from thrum_kernel import ids
from thrum_kernel.api import Call
from thrum_kernel.clock import format_us
from thrum_kernel.errors import NotFound, Refused, UsageError
from thrum_kernel.events import Event
from thrum_kernel.events.core import AgentRef, Body, Label, MessageCreate, Recipient, ThreadCreate
from thrum_kernel.messaging import audience, body
from thrum_kernel.messaging.audience import Audience, Reach, Request
from thrum_kernel.messaging.ground import Ground
from thrum_kernel.messaging.model import MESSAGE_IDS, SendParams, SendResult, SentTo, Tag
from thrum_kernel.messaging.people import People, Sender
from thrum_kernel.messaging.quota import Limits, Quota
from thrum_kernel.messaging.recall import event_of
from thrum_kernel.projection import queries
from thrum_kernel.projection.queries import MessageRow


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the conversation a message goes.

    Attributes:
        parent: the message it answers.
        thread_id: the thread it joins, empty for none.
        makes_thread: that thread is made now, for the parent.
    """

    parent: MessageRow | None = None
    thread_id: str = ""
    makes_thread: bool = False


class Sending:
    """The method ``message.send``, and the same for other methods that send.

    Args:
        claimed: whether a name belongs to a plugin that hears what is sent to it.
    """

    def __init__(
        self,
        ground: Ground,
        people: People,
        quota: Quota,
        *,
        limits: Callable[[], Limits],
        claimed: Callable[[str], bool],
    ) -> None:
        self._ground = ground
        self._people = people
        self._quota = quota
        self._limits = limits
        self._claimed = claimed

    async def send(self, call: Call, params: SendParams) -> SendResult:
        """Store a message and give it to its recipients, or to nobody.

        Raises:
            BodyInvalid, BodyTooLarge, UsageError: what it says cannot be stored.
            Refused: the caller has no open session, or may not act as somebody else.
            NotFound: a recipient, the message answered or the thread does not exist.
            QuotaExceeded: the sender is too fast.
            StoreError: it could not be stored.
        """
        content = self.checked(params)
        sender = self._author(call, params)
        place = self._place(params)
        reached = self._audience(sender, params, place)
        return await self.commit(call, sender, params, content, place, reached)

    def checked(self, params: SendParams) -> Body:
        """The body of *params*, and its labels looked at.

        Raises:
            BodyInvalid, BodyTooLarge, UsageError: they cannot be stored.
        """
        content = body.checked(
            params.content, params.format, params.structured, max_bytes=self._limits().max_body_bytes
        )
        body.labels(params.scopes, what="scope")
        body.labels(params.refs, what="ref")
        return content

    async def commit(
        self,
        call: Call,
        sender: Sender,
        params: SendParams,
        content: Body,
        place: Place,
        reached: Audience,
        *,
        before: Sequence[Event] = (),
    ) -> SendResult:
        """Pay for the message and commit it, with the events that belong before it."""
        self._quota.take(sender.authored_by or sender.name, body.size_of(content))
        event = self._event(sender, params, content, place, reached)
        events = [*before, event]
        if place.makes_thread:
            assert place.parent is not None
            events.insert(0, self._thread_for(place.parent, sender, place.thread_id))
        await self._ground.committer.commit(*events, request_id=call.request_id)
        result = self._result(event, reached.warnings)
        result.held = await self._ground.held(event, result.message_id)
        return result

    def recall(self, call: Call, events: Sequence[Event]) -> SendResult:
        """The answer given when these events were committed.

        Raises:
            LookupError: they hold no message.
        """
        event = event_of(call, events, MessageCreate)
        groups = [label.value for label in event.audience if label.type == "group"]
        return self._result(
            event, [f"@{name} resolved to a group, not an individual agent" for name in groups]
        )

    def resolve(self, sender: Sender, *, to: Sequence[str]) -> Audience:
        """The audience of a message to these agents, or to everyone when there are none."""
        return audience.resolve(
            Request(sender.ref, to=tuple(to)), self._people.directory, claimed=self._claimed
        )

    def _author(self, call: Call, params: SendParams) -> Sender:
        """Who is shown as the author: the caller, or the agent it acts as.

        Raises:
            Refused: acting as somebody needs a user's token.
        """
        sender = self._people.sender(call)
        if not params.acting_as:
            if params.disclose:
                raise UsageError("disclose needs acting_as")
            return sender
        if call.caller.kind != "user":
            raise Refused("only a user may act as an agent", hint="mint a token: thrum daemon token")
        target = self._people.find(params.acting_as)
        if target.kind == "user" or target.home != self._people.directory.local:
            raise Refused(f"cannot act as @{target.name}: it is no agent of this machine")
        ref = AgentRef(target.name, target.daemon, target.incarnation)
        return replace(sender, ref=ref, row=target, authored_by=sender.name)

    def _place(self, params: SendParams) -> Place:
        """Where the message goes.

        Raises:
            NotFound: the message answered or the thread does not exist.
            UsageError: both are given and do not belong together.
        """
        cache = self._ground.cache
        if params.thread_id and queries.thread(cache, params.thread_id) is None:
            raise NotFound("thread", params.thread_id, hint="thrum thread list")
        if not params.reply_to:
            return Place(thread_id=params.thread_id)
        key = queries.message_key(cache, params.reply_to)
        parent = queries.message(cache, key) if key is not None else None
        if parent is None:
            raise NotFound(
                "message",
                params.reply_to,
                message=f"reply_to message not found: {params.reply_to}",
                hint=MESSAGE_IDS,
            )
        if params.thread_id and parent.thread_id and params.thread_id != parent.thread_id:
            raise UsageError(
                f"{parent.message_id} is in thread {parent.thread_id}, not in {params.thread_id}"
            )
        if parent.thread_id or params.thread_id:
            return Place(parent, parent.thread_id or params.thread_id)
        # Named after its root, so that two who answer at the same time, here or elsewhere, make one thread.
        return Place(parent, ids.thread_id(parent.ulid), makes_thread=True)

    def _audience(self, sender: Sender, params: SendParams, place: Place) -> Audience:
        to = tuple(params.to) if not isinstance(params.to, str) else (params.to,) if params.to else ()
        request = Request(
            sender.ref,
            to=to,
            mentions=tuple(params.mentions),
            parent=self._parent(place.parent) if place.parent is not None else None,
            thread=self._participants(place.thread_id) if place.thread_id and place.parent is None else None,
        )
        return audience.resolve(request, self._people.directory, claimed=self._claimed)

    def _parent(self, parent: MessageRow) -> Reach:
        cache = self._ground.cache
        rows = queries.recipients(cache, [parent.key])[parent.key]
        labels = queries.labels(cache, [parent.key])[parent.key]
        return Reach(
            author=AgentRef(parent.author.name, parent.author.daemon, parent.author.incarnation),
            others=audience.refs([row.agent for row in rows]),
            audience=tuple(Label(label.type, label.value) for label in labels.audience),
        )

    def _participants(self, thread_id: str) -> Reach | None:
        """Who wrote or received in a thread; None when nothing was written yet."""
        rows = self._ground.cache.read(
            "WITH inside AS (SELECT id, author FROM message"
            " WHERE thread = (SELECT id FROM thread WHERE thread_id = ?))"
            " SELECT author FROM inside UNION SELECT d.agent FROM inside JOIN delivery d ON d.message = inside.id",
            (thread_id,),
        )
        agents = queries.agents_by_key(self._ground.cache, [row[0] for row in rows])
        return Reach(None, audience.refs(list(agents.values()))) if agents else None

    def _event(
        self, sender: Sender, params: SendParams, content: Body, place: Place, reached: Audience
    ) -> MessageCreate:
        event = self._ground.committer.draft(
            MessageCreate,
            agent_id=sender.name,
            incarnation=sender.ref.incarnation,
            session_id=sender.session_id,
            body=content,
            recipients=list(reached.recipients),
            audience=list(reached.entries),
            scopes=body.labels(params.scopes, what="scope"),
            refs=body.labels(params.refs, what="ref"),
            thread_id=place.thread_id,
            reply_to=place.parent.message_id if place.parent is not None else "",
            priority=params.priority,
            authored_by=sender.authored_by,
            disclosed=bool(sender.authored_by) and params.disclose,
            asserted=sender.asserted,
        )
        # A purge goes by times. Where this machine's clock is behind that of the one who purged, what is written after
        # the purge must not fall under it.
        cutoff_us = self._ground.committer.cutoff_us
        if cutoff_us and event.timestamp < (cutoff := format_us(cutoff_us)):
            event.timestamp = cutoff
        return event

    def _thread_for(self, parent: MessageRow, sender: Sender, thread_id: str) -> ThreadCreate:
        return self._ground.committer.draft(
            ThreadCreate, thread_id=thread_id, created_by=sender.name, root=parent.message_id
        )

    def _result(self, event: MessageCreate, warnings: Sequence[str]) -> SendResult:
        own = (event.agent_id, event.incarnation)
        return SendResult(
            message_id=ids.message_id(event.ulid),
            thread_id=event.thread_id,
            created_at=event.timestamp,
            resolved_to=len(event.audience),
            warnings=list(warnings),
            audiences=[Tag(label.type, label.value) for label in event.audience],
            recipients=[
                SentTo(agent_id=self._shown(recipient), delivered_at=event.timestamp)
                for recipient in event.recipients
                if (recipient.name, recipient.incarnation) != own or len(event.recipients) == 1
            ],
        )

    def _shown(self, recipient: Recipient) -> str:
        return self._people.directory.shown_name(recipient.name, recipient.daemon, recipient.incarnation)
