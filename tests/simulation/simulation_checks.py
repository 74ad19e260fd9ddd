"""What must hold when all is healed: of the daemons among each other, of each with itself, and against the ledger."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from projection_log import aloud
from simulation_ledger import TOKEN, Sent
from simulation_node import MESSAGE_TYPES, TYPES, Node, PowerCut
from simulation_people import later
from simulation_story import Story

from thrum_kernel.clock import format_us
from thrum_kernel.errors import StoreError
from thrum_kernel.projection import queries, replay
from thrum_kernel.projection.db import Cache
from thrum_kernel.store import ranges
from thrum_kernel.store.check import check

PRIVATE = ("taken", "places", "sessions hidden")
"""What caches may differ in: lines that were purged before they came here leave no place behind, and no session that
an earlier cache, which a power cut brought back, hides."""


async def violations(story: Story) -> list[str]:
    """Everything that is wrong; empty when nothing is."""
    for node in story.nodes:
        await node.cache.scrubbed()
    found = list(story.faults)
    for one in (
        _equal,
        _rebuilt,
        _sound_logs,
        _equal_files,
        _kept,
        _told_truly,
        _no_double,
        _causal,
        _gone,
        _raised,
    ):
        found += one(story)
    return found


def said(cache: Cache) -> dict[str, Any]:
    """What a cache says, as far as all must say the same."""
    return {name: rows for name, rows in aloud(cache).items() if name not in PRIVATE}


def _differences(one: dict[str, Any], other: dict[str, Any]) -> Iterator[str]:
    for name in one:
        if one[name] != other[name]:
            mine, theirs = (Counter(map(repr, rows[name])) for rows in (one, other))
            yield f"{name}: here {sorted(mine - theirs)[:3]}, there {sorted(theirs - mine)[:3]}"


def _equal(story: Story) -> Iterator[str]:
    """All databases say the same."""
    first = said(story.nodes[0].cache)
    for node in story.nodes[1:]:
        for text in _differences(first, said(node.cache)):
            yield f"m0 and {node.machine.name} differ in {text}"


def _rebuilt(story: Story) -> Iterator[str]:
    """A cache made anew from the log says what the one says that grew with it. One is enough: all are equal."""
    node = story.nodes[story.seed % len(story.nodes)]
    cache = _made_anew(node)
    try:
        for text in _differences(said(node.cache), said(cache)):
            yield f"{node.machine.name} made anew differs in {text}"
    finally:
        cache.close()


def _made_anew(node: Node) -> Cache:
    target = node.machine.folder / "anew.db"
    writer, last = node.committer.durable
    replay.rebuild(
        lambda: ranges.read_log(
            node.tree, None, message_types=MESSAGE_TYPES, until={writer: last} if writer else {}
        ),
        target,
        TYPES,
        clock=node.ids,
    )
    return Cache(target)


def _sound_logs(story: Story) -> Iterator[str]:
    """`log verify` finds nothing but what was never acknowledged."""
    for node in story.nodes:
        done = check(node.tree, daemon=node.machine.daemon, current=node.committer.durable)
        for problem in done.problems:
            if problem.kind != "quarantined":
                yield f"{node.machine.name}: {problem}"
        for problem in node.exchange.problems:
            yield f"{node.machine.name} of the remote: {problem}"


def _published(node: Node) -> dict[str, bytes]:
    files = node.machine.disk.files()
    return {
        str(path.relative_to(node.tree.published)): data
        for path, data in files.items()
        if path.is_relative_to(node.tree.published)
    }


def _equal_files(story: Story) -> Iterator[str]:
    """Everybody has the files that the remote has, byte for byte."""
    remote = story.hub.held()
    for node in story.nodes:
        mine = _published(node)
        if mine != remote:
            more, fewer = sorted(mine.keys() - remote.keys()), sorted(remote.keys() - mine.keys())
            yield f"{node.machine.name} has other files than the remote: {more[:3]} more, {fewer[:3]} missing"


# against the ledger


def _cutoff(story: Story) -> str:
    """The purge that holds now; those that were acknowledged must be in it, and none that nobody asked for."""
    return format_us(story.nodes[0].projector.cutoff_us) if _has_purge(story) else ""


def _has_purge(story: Story) -> bool:
    return story.nodes[0].projector.cutoff_us > 0


def _kept(story: Story) -> Iterator[str]:
    """What was acknowledged is there, unless it was purged; purges are there; agents are, where they were told to be."""
    cutoff = _cutoff(story)
    if cutoff < later(story.ledger.cutoffs):
        yield f"a purge was acknowledged and is lost: {later(story.ledger.cutoffs)}"
    if cutoff > later(story.ledger.asked_cutoffs):
        yield f"nobody asked for a purge up to {cutoff}"
    cache = story.nodes[0].cache
    there = {row[0] for row in cache.read("SELECT 'msg_' || ulid FROM message")}
    for sent in story.ledger.sent.values():
        if sent.created_at < cutoff:
            if sent.message_id in there:
                yield f"{sent.message_id} was purged and is still there"
            if sent.created_at < sent.known_cutoff:
                yield f"{sent.message_id} was acknowledged, and purged by a purge its sender knew before"
        elif sent.message_id not in there:
            yield f"{sent.message_id} of {sent.home} was acknowledged and is missing ({sent.tokens[0]})"
    yield from _agents_kept(story)


def _agents_kept(story: Story) -> Iterator[str]:
    ledger = story.ledger
    rows = {agent.incarnation: agent for agent in queries.live_agents(story.nodes[0].cache)}
    for incarnation, (name, _) in ledger.agents.items():
        fate = ledger.ended.get(incarnation)
        if incarnation not in rows and fate is None:
            yield f"agent {name} ({incarnation}) was registered and is missing"
        if incarnation in rows and fate == "yes" and incarnation not in ledger.moved:
            yield f"agent {name} ({incarnation}) was deleted and is still there"
        home = ledger.homes.get(incarnation)
        if incarnation in rows and home is not None and rows[incarnation].home != home:
            yield f"agent {name} ({incarnation}) lives on {rows[incarnation].home}, not on {home}"


def _told_truly(story: Story) -> Iterator[str]:
    """Messages say what they were made to say, to whom they were sent, read by whom they were read."""
    cache = story.nodes[0].cache
    bodies = dict(cache.read("SELECT 'msg_' || ulid, body FROM message"))
    for sent in story.ledger.sent.values():
        if sent.message_id not in bodies:
            continue
        body = bodies[sent.message_id]
        if body is None and sent.deleted == "no":
            yield f"{sent.message_id} lost its text"
        if body is not None and (sent.deleted == "yes" or body not in sent.texts):
            yield f"{sent.message_id} says {body}, not one of {sent.texts}, deleted: {sent.deleted}"
        yield from _delivered(cache, sent)


def _delivered(cache: Cache, sent: Sent) -> Iterator[str]:
    rows = cache.read(
        "SELECT a.incarnation, d.read_us IS NOT NULL FROM delivery d JOIN agent a ON a.id = d.agent"
        " JOIN message m ON m.id = d.message WHERE m.ulid = ?",
        (sent.ulid,),
    )
    recipients = frozenset(row[0] for row in rows)
    if recipients != sent.recipients:
        yield f"{sent.message_id} is for {sorted(recipients)}, and was sent to {sorted(sent.recipients)}"
    readers = {incarnation for incarnation, is_read in rows if is_read} - {sent.author}
    if missing := sent.readers - readers - {sent.author}:
        yield f"{sent.message_id} was read by {sorted(missing)}, which is not known any more"
    if invented := readers - sent.readers - sent.unsure_readers:
        yield f"{sent.message_id} counts as read by {sorted(invented)}, who never did"


def _no_double(story: Story) -> Iterator[str]:
    """No text is in two messages, and none is there that nobody sent."""
    told = {token: sent.message_id for sent in story.ledger.sent.values() for token in sent.tokens}
    unsure = {each.token for each in story.ledger.unsure.values()}
    counts: Counter[str] = Counter()
    for message_id, body in story.nodes[0].cache.read("SELECT 'msg_' || ulid, body FROM message"):
        if body is None:
            continue
        counts[body] += 1
        if body not in unsure and told.get(body) != message_id:
            yield f"{message_id} says {body}, which is {told.get(body, 'of nobody')}"
    for body, count in counts.items():
        if count > 1:
            yield f"{body} is there {count} times"


def _causal(story: Story) -> Iterator[str]:
    """Answers come after what they answer, and a daemon's messages in the order they were sent."""
    newest: dict[str, str] = {}
    for sent in story.ledger.sent.values():
        if sent.parent and sent.ulid <= sent.parent.removeprefix("msg_"):
            yield f"{sent.message_id} answers {sent.parent} and comes before it"
        if sent.ulid <= newest.get(sent.home, "") and not sent.retried:
            yield f"{sent.message_id} of {sent.home} was sent after {newest[sent.home]} and comes before it"
        newest[sent.home] = max(sent.ulid, newest.get(sent.home, ""))


def _gone(story: Story) -> Iterator[str]:
    """What was purged or deleted is in no file of any daemon, nor in what the remote shows."""
    gone = story.ledger.gone_tokens(_cutoff(story))
    if not gone:
        return
    for place, data in _everything(story):
        if found := gone.intersection(TOKEN.findall(data)):
            yield f"{sorted(found)[:3]} are gone and still in {place}"


def _everything(story: Story) -> Iterator[tuple[str, bytes]]:
    for path, data in story.hub.held().items():
        yield f"the remote: {path}", data
    for node in story.nodes:
        for path, data in node.machine.disk.files().items():
            yield f"{node.machine.name}: {path}", data
        for path in _databases(node):
            yield f"{node.machine.name}: {path.name}", path.read_bytes()


def _databases(node: Node) -> Iterator[Path]:
    for folder in (node.cache.path.parent, node.local.path.parent):
        yield from (path for path in folder.glob("*.db*") if path.name != "anew.db")


def _raised(story: Story) -> Iterator[str]:
    """Nothing broke where nobody looks."""
    for context in story.loop.raised:
        error = context.get("exception")
        if not isinstance(error, PowerCut | StoreError | asyncio.CancelledError):
            yield f"{context.get('message')}: {error!r}"
