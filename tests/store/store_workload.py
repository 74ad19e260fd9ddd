"""A daemon reduced to its log: sends, publishes, purges and restarts on any disk, and what must hold afterwards."""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from thrum_kernel.clock import format_us
from thrum_kernel.errors import StoreError
from thrum_kernel.store import journal
from thrum_kernel.store.check import check
from thrum_kernel.store.disk import Disk
from thrum_kernel.store.journal import Journal, Previous, recover
from thrum_kernel.store.ranges import Release, Tree, read_held, read_log, releases, scan
from thrum_kernel.store.spans import Coverage
from thrum_kernel.sync.cutter import Cutter
from thrum_kernel.sync.journals import Place

ROOT = Path("/T")
DAEMON = "d_01JZZZZZZZZZZZZZZZZZZZZZZZ"
TYPES = frozenset({"message.create", "message.edit", "message.delete"})
START_US = 1_790_000_000_000_000
FAN_IN = 4
SECRET = b"-sesame-"
"""What must be in no published file before it is released."""


@dataclass
class Ledger:
    """What a client was told: events acknowledged, with their time; what was purged, and which texts were deleted.

    ``asked`` is the cutoff of a purge on its way: not acknowledged, but a crash may leave it written all the same.
    """

    acknowledged: dict[str, str] = field(default_factory=dict)
    asked: str = ""
    cutoff: str = ""
    erased: set[int] = field(default_factory=set)

    def copy(self) -> Ledger:
        return replace(self, acknowledged=dict(self.acknowledged), erased=set(self.erased))


class Node:
    """One daemon's log. Ids and times count up, also over restarts, through *ticks*."""

    def __init__(self, disk: Disk, ledger: Ledger, *, ticks: int = 0) -> None:
        self.disk = disk
        self.ledger = ledger
        self.ticks = ticks
        self.tree = Tree(disk, ROOT)
        self.recovered = recover(disk, self.tree.journal, self.tree.quarantine)
        self.cutter = Cutter(
            self.tree,
            daemon=DAEMON,
            message_types=TYPES,
            ended=self.recovered.journals,
            fan_in=FAN_IN,
            scan=lambda line: ("sesame",) if SECRET in line else (),
        )
        last = self.recovered.journals[-1] if self.recovered.journals else None
        self._previous = Previous(last.header.writer, last.last) if last else None
        self._journal: Journal | None = None
        self.durable = Place("", 0)

    def send(self, *agents: str) -> None:
        """One batch with a message of each of *agents* and one other event."""
        events = [self._message(agent) for agent in agents]
        self.commit([*events, self._event("group.create", group_id="g", name="g", created_by="x")])

    def delete(self, event_id: str, agent: str) -> None:
        subject = {"timestamp": self.ledger.acknowledged[event_id], "author": [agent, DAEMON, agent]}
        message = f"msg_{event_id[4:]}"
        event = self._event(
            "message.delete", message_id=message, agent_id=agent, incarnation=agent, subject=subject
        )
        self.commit([event])
        self.ledger.erased.add(int(event_id[4:]))

    def purge(self) -> None:
        """Purge everything so far, the deletions too whose subjects are older than they."""
        self.ticks += 1
        event = self._event("purge.executed", cutoff=self._now())
        self.ledger.asked = str(event["cutoff"])
        self.commit([event])
        self.ledger.cutoff = self.ledger.asked

    def commit(self, events: list[dict[str, object]]) -> None:
        """Make *events* durable or raise; the ledger notes them only when the append returned."""
        if self._journal is None:
            self.ticks += 1
            writer = f"w{self.ticks:06d}"
            self._journal = Journal.open_new(
                self.disk, self.tree.journal, writer=writer, daemon=DAEMON, previous=self._previous
            )
            self.durable = Place(writer, 0)
        journal_ = self._journal
        try:
            journal_.append(
                [msgspec.json.encode(e | {"sequence": n}) for n, e in enumerate(events, journal_.last + 1)]
            )
        except StoreError:
            self._previous, self._journal = journal_.end(), None
            raise
        self.durable = Place(journal_.writer, journal_.last)
        self.ledger.acknowledged.update({str(e["event_id"]): str(e["timestamp"]) for e in events})

    def release(self) -> None:
        """Release the oldest line that is held back, as `HeldMethods` does: publishing first, so that nothing purged is
        listed any more."""
        self.publish()
        for line in self.cutter.holding.waiting[:1]:
            event = msgspec.json.decode(line.line)
            self.commit([event])
            self.cutter.release([Release(event["event_id"], "somebody", self._now())])

    def publish(self) -> None:
        """What `Publisher` does, without its waiting."""
        self.cutter.cut(self.durable)
        if self.cutter.has_purges:
            self.cutter.cut(self.durable, ended=self._rotate())
            self.cutter.purge()
        self.cutter.roll_up(self.durable.writer)

    def stop(self) -> None:
        self._rotate()

    def _rotate(self) -> Place:
        if self._journal is not None:
            self._previous, self._journal = self._journal.end(), None
        return self.durable

    def _event(self, kind: str, **fields: object) -> dict[str, object]:
        self.ticks += 1
        head = {
            "type": kind,
            "event_id": f"evt_{self.ticks:026d}",
            "timestamp": self._now(),
            "origin_daemon": DAEMON,
        }
        return head | fields

    def _now(self) -> str:
        return format_us(START_US + self.ticks * 1_000_000)

    def _message(self, agent: str) -> dict[str, object]:
        text = f"text-{self.ticks + 1:06d}-" + ("sesame-" if self.ticks % 3 == 0 else "x" * 40)
        return self._event("message.create", agent_id=agent, incarnation=agent, body={"content": text})


def run_workload(node: Node, *, rounds: int, tolerant: bool = False) -> Node:
    """Sends, publishes, a deletion, a purge and restarts; *tolerant* goes on after errors as a daemon does."""
    for at in range(rounds):
        for step in _round(node, at):
            try:
                step()
            except StoreError:
                if not tolerant:
                    raise
        if at % 3 == 2:
            node.stop()
            ticks = node.ticks + 10
            node = _restarted(node.disk, node.ledger, ticks, tolerant=tolerant)
    return node


def _round(node: Node, at: int) -> list[object]:
    def delete_oldest() -> None:
        found = [e for e in node.ledger.acknowledged if node.ledger.acknowledged[e] >= node.ledger.cutoff]
        node.delete(found[0], "alice") if found else None

    steps: list[object] = [lambda: node.send("alice", "bob:x"), lambda: node.send("alice"), node.publish]
    if at % 4 == 2:
        steps += [node.release, node.publish]
    if at % 5 == 3:
        steps += [delete_oldest, node.publish]
    if at % 6 == 4:
        steps += [node.purge, lambda: node.send("bob:x"), node.publish]
    return steps


def _restarted(disk: Disk, ledger: Ledger, ticks: int, *, tolerant: bool) -> Node:
    for _ in range(3 if tolerant else 1):
        try:
            return Node(disk, ledger, ticks=ticks)
        except StoreError:
            if not tolerant:
                raise
    raise AssertionError("a start fails again and again")


def assert_sound(disk: Disk, ledger: Ledger, *, ticks: int) -> Node:
    """Start on *disk* as it was found: nothing acknowledged is missing or doubled, before and after publishing."""
    before = {path: data for path, data in disk.files().items() if path.parent.name == "journal"}
    node = Node(disk, ledger, ticks=ticks)
    assert_torn_is_kept(node, before)
    assert_log_holds(node)
    node.publish()
    assert_log_holds(node)
    assert_texts_are_gone(disk, ledger)
    node.send("alice")
    node.publish()
    assert_log_holds(node)
    problems = [
        p for p in check(node.tree, daemon=DAEMON, current=node.durable).problems if p.kind != "quarantined"
    ]
    assert not problems, problems
    return node


def assert_torn_is_kept(node: Node, before: dict[Path, bytes]) -> None:
    """Every byte that recovery took out of a journal is in quarantine, and was told."""
    files = node.disk.files()
    for path, data in before.items():
        left = files.get(path, b"")
        if left != data:
            torn = [t for t in node.recovered.torn if t.journal == path]
            assert len(torn) == 1, f"{path} was cut and nobody told"
            assert left + files[torn[0].kept] == data


def assert_log_holds(node: Node) -> None:
    lines = [line for batch in read_log(node.tree, message_types=TYPES) for line in batch]
    events = [(line, msgspec.json.decode(line[3])) for line in lines]
    ids = Counter(event["event_id"] for _, event in events)
    held = {msgspec.json.decode(line.line)["event_id"] for line in read_held(node.tree)}
    assert not [event_id for event_id, count in ids.items() if count > 1 and event_id not in held], (
        "duplicates"
    )
    _assert_secrets_stay(node)
    ledger = node.ledger
    missing = [e for e, at in ledger.acknowledged.items() if e not in ids and at >= ledger.asked]
    assert not missing, f"{len(missing)} acknowledged events are missing: {missing[:5]}"
    for line, event in events:
        assert line[2] == event["sequence"]
    _assert_no_gaps(node)


def assert_texts_are_gone(disk: Disk, ledger: Ledger) -> None:
    """What was purged or deleted is in no file, whatever its name."""
    for path, data in disk.files().items():
        for found in re.findall(rb"text-(\d{6})", data):
            tick = int(found)
            assert tick not in ledger.erased, f"deleted text {tick} is still in {path}"
            assert format_us(START_US + tick * 1_000_000) >= ledger.cutoff, (
                f"purged text {tick} is still in {path}"
            )


def _assert_secrets_stay(node: Node) -> None:
    """No published file has a secret in it that was not released."""
    released = {release.event_id for release in releases(node.tree)}
    for path, data in node.disk.files().items():
        if node.tree.published in path.parents and SECRET in data:
            told = [line for line in data.split(b"\n") if SECRET in line]
            let_out = {msgspec.json.decode(line)["event_id"] for line in told} - released
            assert not let_out, f"{let_out} are in {path}"


def _assert_no_gaps(node: Node) -> None:
    coverage: Coverage = scan(node.tree).coverage
    for entry in node.disk.entries(node.tree.journal):
        for writer, sequence, _ in journal.read(node.disk, node.tree.journal / entry.name):
            coverage.add(writer, sequence, sequence)
    for writer, spans in coverage.items():
        assert not spans.missing(1, spans.last), f"gap in {writer}: {list(spans)}"


def rng_of(*parts: object) -> random.Random:
    return random.Random(repr(parts))
