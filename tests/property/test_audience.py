"""Audience rules, for any team and any request: nobody who was not meant, nobody twice, whatever the order."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from thrum_kernel.errors import AmbiguousName, NotFound, Refused
from thrum_kernel.events.core import AgentRef, Label
from thrum_kernel.messaging.audience import Audience, Reach, Request, resolve
from thrum_kernel.messaging.directory import Directory
from thrum_kernel.projection.queries import AgentRow

NAMES = ("ann", "bob", "cyd", "dev", "eve")
ROLES = ("dev", "lead", "qa")
DAEMONS = ("d_1", "d_2", "d_3")
GROUPS = ("core", "ops")
LABELS = {"d_1": "one", "d_2": "two", "d_3": "three"}


def row(key: int, name: str, daemon: str, role: str, kind: str) -> AgentRow:
    return AgentRow(
        key, name, daemon, f"inc{key}", kind, role, "m", "", "", "", "", 0, 1, home=daemon, adopted=False
    )


@st.composite
def teams(draw: st.DrawFn) -> Directory:
    """Up to eight agents, at most one of a name a daemon, and two groups."""
    places = draw(
        st.lists(
            st.tuples(st.sampled_from(NAMES), st.sampled_from(DAEMONS)), min_size=1, max_size=8, unique=True
        )
    )
    agents = [
        row(
            key, name, daemon, draw(st.sampled_from(ROLES)), draw(st.sampled_from(("agent", "agent", "user")))
        )
        for key, (name, daemon) in enumerate(places, start=1)
    ]
    member = st.one_of(
        st.tuples(st.just("agent"), st.sampled_from((*NAMES, *(f"{n}@d_2" for n in NAMES)))),
        st.tuples(st.just("role"), st.sampled_from((*ROLES, "*"))),
    )
    groups = {name: draw(st.lists(member, max_size=3)) for name in draw(st.sets(st.sampled_from(GROUPS)))}
    return Directory(agents, groups, local="d_1", daemon_names=LABELS)


def ref(agent: AgentRow) -> AgentRef:
    return AgentRef(agent.name, agent.daemon, agent.incarnation)


addresses = st.sampled_from(
    (*NAMES, *ROLES, *GROUPS, "everyone", "nobody", "bob@two", "bob@d_3", "@ann", " @cyd ")
)
mixed = st.lists(addresses, max_size=4)


def outcome(request: Request, directory: Directory) -> Audience | str:
    try:
        return resolve(request, directory)
    except (NotFound, Refused) as error:
        return f"{type(error).__name__}: {error}"


def incarnations(audience: Audience) -> list[str]:
    return [recipient.incarnation for recipient in audience.recipients]


@given(teams(), mixed, mixed, st.data())
def test_nobody_is_reached_who_was_not_named(
    directory: Directory, to: list[str], mentions: list[str], data: st.DataObject
) -> None:
    sender = data.draw(st.sampled_from(directory.agents))
    found = outcome(Request(ref(sender), tuple(to), tuple(mentions)), directory)
    if isinstance(found, str):
        return

    live = {agent.incarnation: agent for agent in directory.agents}
    named = {name.strip().removeprefix("@") for name in (*to, *mentions)}
    to_all = "everyone" in named or not named
    members = {
        agent.incarnation for group in named & directory.groups.keys() for agent in directory.members(group)
    }
    for incarnation in incarnations(found):
        agent = live[incarnation]
        long_names = {f"{agent.name}@{agent.home}", f"{agent.name}@{LABELS[agent.home]}"}
        assert to_all or incarnation in members or named & {agent.name, agent.role, *long_names}


@given(teams(), mixed, mixed, st.data())
def test_nobody_is_reached_twice(
    directory: Directory, to: list[str], mentions: list[str], data: st.DataObject
) -> None:
    sender = data.draw(st.sampled_from(directory.agents))
    found = outcome(Request(ref(sender), tuple(to), tuple(mentions)), directory)
    if isinstance(found, Audience):
        assert len(set(incarnations(found))) == len(found.recipients)
        assert len(set(found.entries)) == len(found.entries)


@given(teams(), mixed, mixed, st.data(), st.randoms())
def test_order_and_repetition_do_not_matter(
    directory: Directory, to: list[str], mentions: list[str], data: st.DataObject, shuffle: random.Random
) -> None:
    sender = data.draw(st.sampled_from(directory.agents))
    agents = list(directory.agents)
    again_to, again_mentions = [*to, *to], [*mentions, *mentions[:1]]
    for values in (agents, again_to, again_mentions):
        shuffle.shuffle(values)
    other = Directory(agents, directory.groups, local=directory.local, daemon_names=LABELS)

    first = outcome(Request(ref(sender), tuple(to), tuple(mentions)), directory)
    second = outcome(Request(ref(sender), tuple(again_to), tuple(again_mentions)), other)

    if isinstance(first, str):
        assert isinstance(second, str) and first.split(":")[0] == second.split(":")[0]
    else:
        assert first == second


@given(teams(), mixed, mixed, st.data())
def test_an_unknown_name_refuses_all(
    directory: Directory, to: list[str], mentions: list[str], data: st.DataObject
) -> None:
    sender = data.draw(st.sampled_from(directory.agents))
    found = outcome(Request(ref(sender), (*to, "nobody"), tuple(mentions)), directory)
    assert isinstance(found, str) and found.startswith("UnknownRecipient") and "@nobody" in found


@given(teams(), st.data())
def test_broadcast_reaches_everyone_but_the_sender(directory: Directory, data: st.DataObject) -> None:
    sender = data.draw(st.sampled_from(directory.agents))
    found = resolve(Request(ref(sender)), directory)
    assert set(incarnations(found)) == {a.incarnation for a in directory.agents} - {sender.incarnation}
    assert found.entries == (Label("broadcast", "everyone"),)


@given(teams(), mixed, mixed, st.data())
def test_sender_is_kept_only_when_meant(
    directory: Directory, to: list[str], mentions: list[str], data: st.DataObject
) -> None:
    sender = data.draw(st.sampled_from(directory.agents))
    found = outcome(Request(ref(sender), tuple(to), tuple(mentions)), directory)
    if isinstance(found, Audience):
        own = [r.via for r in found.recipients if r.incarnation == sender.incarnation]
        assert all(via == "agent" or via.startswith(("role:", "group:")) for via in own)


@given(teams(), st.sampled_from(NAMES))
def test_bare_name_is_the_local_agent_else_the_only_one(directory: Directory, name: str) -> None:
    named = directory.named(name)
    local = [agent for agent in named if agent.home == "d_1"]
    try:
        found = directory.find(name)
    except AmbiguousName as error:
        assert not local and len(named) > 1
        assert all(directory.find(candidate) in named for candidate in error.candidates)
        return
    assert found == (local[0] if local else named[0] if named else None)


@given(teams(), st.data())
def test_shown_name_means_the_agent_it_is_shown_for(directory: Directory, data: st.DataObject) -> None:
    agent = data.draw(st.sampled_from(directory.agents))
    assert directory.find(directory.shown_name(agent.name, agent.home, agent.incarnation)) == agent


@given(teams(), st.data())
def test_reply_reaches_the_authors_and_recipients_that_live(
    directory: Directory, data: st.DataObject
) -> None:
    people = [ref(agent) for agent in directory.agents] + [AgentRef("ann", "d_1", "gone")]
    author = data.draw(st.sampled_from(people))
    others = tuple(data.draw(st.lists(st.sampled_from(people), unique=True)))
    audience = data.draw(
        st.sampled_from(
            ((Label("broadcast", "everyone"),), (Label("group", "core"),), (Label("agent", "x"),))
        )
    )
    sender = ref(data.draw(st.sampled_from(directory.agents)))
    request = Request(sender, parent=Reach(author, others, audience))

    meant = {r.incarnation for r in (author, *others)} - {"gone", sender.incarnation}
    found = outcome(request, directory)

    if isinstance(found, Audience):
        own_note = not meant and author == sender and sender in others
        assert set(incarnations(found)) == ({sender.incarnation} if own_note else meant)
    else:
        assert not meant


@given(teams(), st.data())
def test_reply_looks_nobody_up_by_name(directory: Directory, data: st.DataObject) -> None:
    """Another agent of the same name, registered since, gets nothing."""
    sender = ref(data.draw(st.sampled_from(directory.agents)))
    old = AgentRef(data.draw(st.sampled_from(NAMES)), "d_1", "gone")

    found = outcome(Request(sender, parent=Reach(old, (sender,), (Label("agent", sender.name),))), directory)

    assert isinstance(found, str) and found.startswith("UnknownRecipient")
