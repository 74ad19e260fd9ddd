"""What single events do to agents, sessions and groups."""

from __future__ import annotations

from projection_world import World

from thrum_kernel.events import core
from thrum_kernel.projection import queries


def test_registration_with_the_highest_id_holds_and_the_first_time_stays(world: World) -> None:
    world.take()
    first = queries.agents_named(world.cache, "alice")[0]
    fields = {"agent_id": "alice", "incarnation": world.alice.incarnation, "module": "m"}
    world.log.add(core.AgentRegister, role="lead", **fields)
    world.log.add(core.AgentRegister, role="chief", runtime="claude", agent_pid=7, **fields)
    world.take(reverse=True)
    found = queries.agents_named(world.cache, "alice")
    assert [(row.role, row.runtime, row.agent_pid, row.registered_us) for row in found] == [
        ("chief", "claude", 7, first.registered_us)
    ]


def test_cleaned_up_agent_is_gone_and_a_new_one_begins(world: World) -> None:
    world.log.message(world.bob, [world.alice], "for the first")
    world.log.add(core.AgentCleanup, agent_id="alice", incarnation=world.alice.incarnation, reason="done")
    second = world.log.agent("alice")
    world.take(reverse=True)
    assert [row.incarnation for row in queries.agents_named(world.cache, "alice")] == [second.incarnation]
    assert world.unread(second) == 0
    old = queries.agent_by_incarnation(world.cache, world.alice.incarnation)
    assert old is not None and old.deleted
    assert world.bodies() == ["for the first"]


def test_session_end_before_its_start_and_the_last_end_holds(world: World) -> None:
    who = {"session_id": "ses_1", "agent_id": "alice", "incarnation": world.alice.incarnation}
    world.log.add(core.SessionStart, **who)
    world.log.add(core.SessionEnd, reason="crash", **who)
    world.log.add(core.SessionEnd, reason="normal", **who)
    world.take(reverse=True)
    found = queries.session(world.cache, "ses_1")
    assert found is not None and (found.end_reason, found.agent) == ("normal", world.key(world.alice))
    assert queries.open_sessions(world.cache, world.key(world.alice)) == []


def test_session_of_another_agent_cannot_be_ended(world: World) -> None:
    world.log.add(
        core.SessionStart, session_id="ses_1", agent_id="alice", incarnation=world.alice.incarnation
    )
    world.log.add(
        core.SessionEnd, daemon="d_B", session_id="ses_1", agent_id="bob", incarnation=world.bob.incarnation
    )
    world.take()
    assert [row.session_id for row in queries.open_sessions(world.cache, world.key(world.alice))] == ["ses_1"]
    assert queries.all_open_sessions(world.cache) == queries.open_sessions(
        world.cache, world.key(world.alice)
    )


def test_work_context_with_the_highest_id_holds(world: World) -> None:
    for branch in ("old", "new"):
        context = core.WorkContext(session_id="ses_1", branch=branch, changed_files=["a.py"], intent="mend")
        world.log.add(
            core.AgentUpdate, agent_id="alice", incarnation=world.alice.incarnation, work_contexts=[context]
        )
    world.take(reverse=True)
    found = queries.work_contexts(world.cache)[world.key(world.alice)]
    assert [(context.branch, context.changed_files) for context in found] == [("new", ["a.py"])]
    shown = world.cache.read(
        "SELECT agent_id, branch, changed_files, file_changes, intent FROM agent_work_contexts"
    )
    assert shown == [("alice", "new", '["a.py"]', "[]", "mend")]


def test_groups_of_one_name_count_as_one(world: World) -> None:
    for daemon, group, member in (("d_A", "grp_1", "alice"), ("d_B", "grp_2", "bob")):
        world.log.add(core.GroupCreate, daemon=daemon, group_id=group, name="team", created_by=member)
        world.log.add(
            core.GroupMemberAdd,
            daemon=daemon,
            group_id=group,
            member_type="agent",
            member_value=member,
            added_by=member,
        )
    world.take(reverse=True)
    assert [(group.name, group.group_id) for group in queries.groups(world.cache)] == [("team", "grp_1")]
    assert [member.value for member in queries.group_members(world.cache, "team")] == ["alice", "bob"]
    assert queries.groups_of(world.cache, "bob", "tester") == ["team"]
    for group in queries.groups_named(world.cache, "team"):
        world.log.add(core.GroupDelete, group_id=group.group_id, deleted_by="alice")
    world.take()
    assert queries.groups(world.cache) == []
    assert queries.group_named(world.cache, "team") is None


def test_membership_is_what_was_said_last(world: World) -> None:
    fields = {"group_id": "grp_1", "member_type": "role", "member_value": "*"}
    world.log.add(core.GroupCreate, group_id="grp_1", name="team", created_by="alice")
    world.log.add(core.GroupMemberAdd, added_by="alice", **fields)
    world.log.add(core.GroupMemberRemove, removed_by="alice", **fields)
    world.log.add(core.GroupUpdate, group_id="grp_1", updated_by="alice", fields={"description": "all of us"})
    world.take(reverse=True)
    group = queries.group_named(world.cache, "team")
    assert group is not None and group.description == "all of us"
    assert queries.group_members(world.cache, "team") == []
    world.log.add(core.GroupMemberAdd, added_by="alice", **fields)
    world.take()
    assert queries.groups_of(world.cache, "anyone", "any") == ["team"]
