"""Groups: names that stand for several agents. Source: spec/kernel.md §4.4; DESIGN.md D2.

Two clones may make a group of one name at the same time; it counts as one, and what is done to it is done to both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

from thrum_kernel import ids
from thrum_kernel.api import Call
from thrum_kernel.clock import format_us
from thrum_kernel.errors import NotFound, Refused, UsageError
from thrum_kernel.events import Event
from thrum_kernel.events.core import GroupCreate, GroupDelete, GroupMemberAdd, GroupMemberRemove
from thrum_kernel.identity.model import check_name
from thrum_kernel.messaging.directory import EVERYONE
from thrum_kernel.messaging.ground import Ground
from thrum_kernel.messaging.model import Lean, Params, Result
from thrum_kernel.messaging.people import People, Sender
from thrum_kernel.messaging.recall import event_of
from thrum_kernel.projection import queries
from thrum_kernel.projection.queries import GroupRow, MemberRow

MemberType = Literal["agent", "role"]


class NoParams(Params, kw_only=True):
    pass


class GroupCreateParams(Params, kw_only=True):
    name: str
    description: str = ""


class GroupDeleteParams(Params, kw_only=True):
    """``delete_messages`` also deletes what this daemon's agents sent to the group."""

    name: str
    delete_messages: bool = False


class MemberParams(Params, kw_only=True):
    """``member_value`` is an agent, or a role; the role ``*`` is every agent."""

    group: str
    member_type: MemberType
    member_value: str


class GroupParams(Params, kw_only=True):
    name: str


class MembersParams(Params, kw_only=True):
    """``expand`` adds the agents that the members stand for now."""

    name: str
    expand: bool = False


class GroupCreated(Result, kw_only=True):
    group_id: str
    name: str
    created_at: str


class GroupDeleted(Result, kw_only=True):
    name: str
    deleted_at: str


class Member(Result, kw_only=True):
    group: str
    member_type: str
    member_value: str


class GroupView(Lean, kw_only=True):
    group_id: str
    name: str
    description: str = ""
    member_count: int
    created_at: str


class GroupList(Result, kw_only=True):
    groups: list[GroupView]


class MemberView(Lean, kw_only=True):
    member_type: str
    member_value: str
    added_at: str
    added_by: str = ""


class GroupInfo(Lean, kw_only=True):
    group_id: str
    name: str
    description: str = ""
    created_at: str
    created_by: str
    members: list[MemberView]


class MemberList(Lean, kw_only=True):
    members: list[MemberView]
    expanded: list[str] = []


class Groups:
    """The ``group.*`` methods.

    Args:
        delete_messages: deletes what was sent to a group; how many messages that were.
    """

    def __init__(
        self,
        ground: Ground,
        people: People,
        *,
        delete_messages: Callable[[Call, str, Sender], Awaitable[int]],
    ) -> None:
        self._ground = ground
        self._people = people
        self._delete_messages = delete_messages

    async def create(self, call: Call, params: GroupCreateParams) -> GroupCreated:
        """Make a group.

        Raises:
            InvalidName: the name breaks the rules.
            Refused: there is such a group, or an agent or role has that name.
        """
        sender = self._people.sender(call)
        name = params.name.removeprefix("@")
        if name == EVERYONE or queries.group_named(self._ground.cache, name) is not None:
            raise Refused(f'group "{name}" already exists')
        # A plugin may keep groups of its own under a prefix, e.g. tg:team.
        check_name("group", name.replace(":", "-") if call.caller.kind == "kernel" else name)
        directory = self._people.directory
        if directory.named(name) or directory.with_role(name):
            raise Refused(
                f'"{name}" is the name of an agent or role: @{name} could mean both',
                hint="choose another name",
            )
        draft = self._ground.committer.draft
        event = draft(
            GroupCreate, group_id="", name=name, description=params.description, created_by=sender.name
        )
        event.group_id = ids.group_id(event.ulid)
        await self._ground.committer.commit(event, request_id=call.request_id)
        return self.recall_create(call, [event])

    def recall_create(self, call: Call, events: Sequence[Event]) -> GroupCreated:
        """The answer given when these events were committed."""
        event = event_of(call, events, GroupCreate)
        return GroupCreated(group_id=event.group_id, name=event.name, created_at=event.timestamp)

    async def delete(self, call: Call, params: GroupDeleteParams) -> GroupDeleted:
        """Delete a group, with its messages when asked.

        Raises:
            NotFound: there is no such group.
            Refused: it is everyone.
        """
        name = self._changeable(params.name, f"cannot delete built-in @{EVERYONE} group")
        sender = self._people.sender(call)
        draft = self._ground.committer.draft
        events = [
            draft(GroupDelete, group_id=group.group_id, deleted_by=sender.name)
            for group in queries.groups_named(self._ground.cache, name)
        ]
        await self._ground.committer.commit(*events, request_id=call.request_id)
        if params.delete_messages:
            await self._delete_messages(call, name, sender)
        return GroupDeleted(name=name, deleted_at=events[-1].timestamp)

    def recall_delete(self, call: Call, events: Sequence[Event]) -> GroupDeleted:
        """The answer given when these events were committed."""
        event = event_of(call, events, GroupDelete)
        rows = self._ground.cache.read("SELECT name FROM grp WHERE group_id = ?", (event.group_id,))
        return GroupDeleted(name=rows[0][0] if rows else "", deleted_at=event.timestamp)

    async def add_member(self, call: Call, params: MemberParams) -> Member:
        """Add an agent or a role to a group; nothing happens when it belongs to it already.

        Raises:
            NotFound: no such group, agent or role.
            AmbiguousName: several agents have that name.
        """
        name = self._changeable(params.group, f"the members of @{EVERYONE} cannot be changed")
        sender = self._people.sender(call)
        value = self._member_value(params.member_type, params.member_value)
        if (params.member_type, value) not in self._members(name):
            group = queries.groups_named(self._ground.cache, name)[0]
            event = self._ground.committer.draft(
                GroupMemberAdd,
                group_id=group.group_id,
                member_type=params.member_type,
                member_value=value,
                added_by=sender.name,
            )
            await self._ground.committer.commit(event, request_id=call.request_id)
        return Member(group=name, member_type=params.member_type, member_value=value)

    async def remove_member(self, call: Call, params: MemberParams) -> Member:
        """Take an agent or a role out of a group.

        Raises:
            NotFound: no such group, or it is no member.
        """
        name = self._changeable(params.group, f"the members of @{EVERYONE} cannot be changed")
        sender = self._people.sender(call)
        value = params.member_value.removeprefix("@")
        if (params.member_type, value) not in self._members(name):
            raise NotFound(
                "member", value, message=f"{params.member_type} {value} is no member of group {name}"
            )
        draft = self._ground.committer.draft
        events = [
            draft(
                GroupMemberRemove,
                group_id=group.group_id,
                member_type=params.member_type,
                member_value=value,
                removed_by=sender.name,
            )
            for group in queries.groups_named(self._ground.cache, name)
        ]
        await self._ground.committer.commit(*events, request_id=call.request_id)
        return Member(group=name, member_type=params.member_type, member_value=value)

    def recall_member(self, call: Call, events: Sequence[Event]) -> Member:
        """The answer given when these events were committed."""
        event: GroupMemberAdd | GroupMemberRemove
        if call.method == "group.member.add":
            event = event_of(call, events, GroupMemberAdd)
        else:
            event = event_of(call, events, GroupMemberRemove)
        rows = self._ground.cache.read("SELECT name FROM grp WHERE group_id = ?", (event.group_id,))
        name = rows[0][0] if rows else ""
        return Member(group=name, member_type=event.member_type, member_value=event.member_value)

    def page(self, call: Call, params: NoParams) -> GroupList:
        """Every group, by name; ``everyone`` is always there and not listed."""
        return GroupList(groups=[self._view(group) for group in queries.groups(self._ground.cache)])

    def info(self, call: Call, params: GroupParams) -> GroupInfo:
        """One group.

        Raises:
            NotFound: there is none of that name.
        """
        name = params.name.removeprefix("@")
        if name == EVERYONE:
            return GroupInfo(
                group_id="",
                name=name,
                description="every registered agent",
                created_at="",
                created_by="",
                members=_ALL,
            )
        group = queries.group_named(self._ground.cache, name)
        if group is None:
            raise NotFound("group", name)
        return GroupInfo(
            group_id=group.group_id,
            name=group.name,
            description=group.description,
            created_at=format_us(group.created_us),
            created_by=group.created_by,
            members=[_member(row) for row in queries.group_members(self._ground.cache, name)],
        )

    def members(self, call: Call, params: MembersParams) -> MemberList:
        """The members of a group, and whom they stand for."""
        info = self.info(call, GroupParams(name=params.name))
        if not params.expand:
            return MemberList(members=info.members)
        directory = self._people.directory
        agents = directory.agents if info.name == EVERYONE else directory.members(info.name)
        return MemberList(
            members=info.members, expanded=sorted(self._people.shown(agent) for agent in agents)
        )

    def _view(self, group: GroupRow) -> GroupView:
        return GroupView(
            group_id=group.group_id,
            name=group.name,
            description=group.description,
            member_count=len(self._members(group.name)),
            created_at=format_us(group.created_us),
        )

    def _changeable(self, name: str, refusal: str) -> str:
        """The name of a group that can be changed."""
        bare = name.removeprefix("@")
        if bare == EVERYONE:
            raise Refused(refusal)
        if queries.group_named(self._ground.cache, bare) is None:
            raise NotFound("group", bare)
        return bare

    def _members(self, name: str) -> set[tuple[str, str]]:
        return {(row.type, row.value) for row in queries.group_members(self._ground.cache, name)}

    def _member_value(self, member_type: MemberType, value: str) -> str:
        bare = value.strip().removeprefix("@")
        if not bare:
            raise UsageError("member_value is required")
        if member_type == "role":
            if bare != "*" and not self._people.directory.with_role(bare):
                raise NotFound("role", bare, message=f"no agent has the role {bare}")
            return bare
        agent = self._people.find(bare)
        # A bare name may mean another agent elsewhere: the daemon's id tells them apart wherever the group is used.
        return (
            agent.name if len(self._people.directory.named(agent.name)) == 1 else f"{agent.name}@{agent.home}"
        )


_ALL = [MemberView(member_type="role", member_value="*", added_at="")]


def _member(row: MemberRow) -> MemberView:
    return MemberView(
        member_type=row.type, member_value=row.value, added_at=format_us(row.added_us), added_by=row.added_by
    )
