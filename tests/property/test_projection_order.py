"""Any order of any events, with repetitions, gives the same cache; so does a rebuild, and going on after a crash."""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from projection_log import START_US, FixedClock, LogMaker, aloud, core_types, project

from thrum_kernel.clock import format_us
from thrum_kernel.events import core
from thrum_kernel.projection import replay
from thrum_kernel.projection.apply import Projector
from thrum_kernel.projection.db import Cache
from thrum_kernel.projection.tables import LogLine

EXAMPLES = 600 if os.environ.get("THRUM_SOAK") == "1" else 25
DAEMONS = ("d_A", "d_B", "d_C")

_settings = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Story:
    """Turns a list of small numbers into a log: what happens next, to whom, and whether honestly."""

    def __init__(self, numbers: bytes) -> None:
        self.log = LogMaker()
        self._numbers = numbers
        self._at = 0
        self.agents: list[core.AgentRef] = []
        self.messages: list[core.MessageCreate] = []
        self.sessions: list[tuple[str, core.AgentRef]] = []
        self.groups: list[str] = []
        self._acts = (
            self._register,
            self._register,
            self._message,
            self._message,
            self._message,
            self._message,
            self._edit,
            self._edit,
            self._delete,
            self._receipt,
            self._receipt,
            self._session_start,
            self._session_end,
            self._move,
            self._cleanup,
            self._work,
            self._group,
            self._member,
            self._thread,
            self._purge,
            self._late_copy,
            self._doubled_id,
            self._stranger,
            self._repeat,
            self._change_agent,
        )

    def tell(self) -> list[LogLine]:
        while self._at < len(self._numbers):
            self._acts[self._pick(len(self._acts))]()
        return self.log.lines

    def _pick(self, count: int) -> int:
        if self._at >= len(self._numbers) or count == 0:
            return 0
        self._at += 1
        return self._numbers[self._at - 1] % count

    def _one(self, choices: Any) -> Any:
        return choices[self._pick(len(choices))] if choices else None

    def _agent(self) -> core.AgentRef:
        """A known agent, or one that is never registered."""
        return self._one([*self.agents, core.AgentRef("ghost", "d_B", "01JZZZZZZZZZZZZZZZZZZZZZZZ")])

    def _daemon(self, ref: core.AgentRef) -> str:
        """Mostly the agent's own."""
        return self._one([ref.daemon] * 7 + ["d_C"])

    def _register(self) -> None:
        self.agents.append(self.log.agent(self._one(["alice", "bob"]), daemon=self._one(DAEMONS)))

    def _change_agent(self) -> None:
        ref = self._agent()
        self.log.add(
            core.AgentRegister,
            daemon=self._daemon(ref),
            agent_id=ref.name,
            incarnation=ref.incarnation,
            role=self._one(["lead", "tester"]),
            module="x",
        )

    def _message(self) -> None:
        author = self._agent()
        fields: dict[str, Any] = {"daemon": self._daemon(author)}
        if self._pick(3) == 0:
            # Several daemons in one millisecond: keys collide, ULIDs do not.
            fields["ulid"] = self.log.ulid(ms=START_US // 1000 + 77, tail=1 + self._pick(40))
        if self._pick(3) == 0:
            fields["scopes"] = [core.Label("module", self._one(["m", "n"]))]
        if self._pick(4) == 0:
            fields["thread_id"] = self._one(["thr_1", "thr_2"])
        if self._pick(4) == 0 and self.messages:
            fields["reply_to"] = f"msg_{self._one(self.messages).ulid}"
        if self._pick(4) == 0:
            fields["session_id"] = self._one(["ses_1", "ses_2"])
        if self._pick(8) == 0:
            fields.update(authored_by="user:ann", disclosed=True)
        to = [self._agent() for _ in range(self._pick(4))]
        if any(message.ulid == fields.get("ulid") for message in self.messages):
            return
        self.messages.append(self.log.message(author, to, f"text {self._at}", **fields))

    def _edit(self) -> None:
        message = self._one(self.messages)
        if message is None:
            return
        fields: dict[str, Any] = {}
        if self._pick(5) == 0:
            other = self._agent()
            fields.update(daemon=other.daemon, agent_id=other.name, incarnation=other.incarnation)
        if self._pick(6) == 0:
            fields["subject"] = core.Subject(timestamp=format_us(START_US), author=self._agent())
        self.log.edit(message, f"edited {self._at}", **fields)

    def _delete(self) -> None:
        message = self._one(self.messages)
        if message is not None:
            self.log.delete(message, reason=self._one(["", "oops"]))

    def _receipt(self) -> None:
        reader = self._agent()
        first = 1 + self._pick(12)
        self.log.receipt(
            reader,
            self._one(["WA", "WB", "WC", "WX"]),
            [(first, first + self._pick(8))],
            self._one(["read", "seen"]),
            daemon=self._daemon(reader),
            read_us=START_US + 10_000_000 + self._pick(5) * 1000,
        )

    def _session_start(self) -> None:
        ref, name = self._agent(), self._one(["ses_1", "ses_2"])
        self.log.add(
            core.SessionStart,
            daemon=self._daemon(ref),
            session_id=name,
            agent_id=ref.name,
            incarnation=ref.incarnation,
        )

    def _session_end(self) -> None:
        ref, name = self._agent(), self._one(["ses_1", "ses_2"])
        self.log.add(
            core.SessionEnd,
            daemon=self._daemon(ref),
            session_id=name,
            agent_id=ref.name,
            incarnation=ref.incarnation,
            reason=self._one(["normal", "crash"]),
        )

    def _move(self) -> None:
        ref, target = self._agent(), self._one(DAEMONS)
        adopted = self._pick(2) == 0
        self.log.add(
            core.AgentMove,
            daemon=target if adopted else self._daemon(ref),
            agent_id=ref.name,
            incarnation=ref.incarnation,
            from_daemon=ref.daemon,
            to_daemon=target,
            adopted=adopted,
        )

    def _cleanup(self) -> None:
        ref = self._agent()
        self.log.add(
            core.AgentCleanup,
            daemon=self._daemon(ref),
            agent_id=ref.name,
            incarnation=ref.incarnation,
            reason=f"r{self._at}",
        )

    def _work(self) -> None:
        ref = self._agent()
        context = core.WorkContext(session_id="ses_1", branch=f"b{self._at}")
        self.log.add(
            core.AgentUpdate,
            daemon=self._daemon(ref),
            agent_id=ref.name,
            incarnation=ref.incarnation,
            work_contexts=[context],
        )

    def _group(self) -> None:
        daemon, group = self._one(DAEMONS), self._one(["grp_1", "grp_2"])
        kind = self._pick(4)
        if kind == 0:
            self.log.add(core.GroupDelete, daemon=daemon, group_id=group, deleted_by="alice")
        elif kind == 1:
            fields = {self._one(["name", "description", "other"]): f"v{self._at}"}
            self.log.add(core.GroupUpdate, daemon=daemon, group_id=group, updated_by="alice", fields=fields)
        else:
            self.log.add(
                core.GroupCreate, daemon=daemon, group_id=group, name=f"g{self._pick(2)}", created_by="alice"
            )

    def _member(self) -> None:
        fields = {
            "daemon": self._one(DAEMONS),
            "group_id": "grp_1",
            "member_type": "agent",
            "member_value": "bob",
        }
        if self._pick(2):
            self.log.add(core.GroupMemberAdd, added_by=f"a{self._at}", **fields)
        else:
            self.log.add(core.GroupMemberRemove, removed_by="alice", **fields)

    def _thread(self) -> None:
        root = self._one(self.messages)
        self.log.add(
            core.ThreadCreate,
            daemon=self._one(DAEMONS),
            thread_id=self._one(["thr_1", "thr_2", "thr_3"]),
            title=f"t{self._at}",
            created_by="alice",
            root=f"msg_{root.ulid}" if root is not None and self._pick(2) else "",
        )

    def _purge(self) -> None:
        # Rarely past the story's middle, or nothing would be left to look at.
        cutoff = START_US + self._pick(30) * 1000
        self.log.add(core.PurgeExecuted, daemon=self._one(DAEMONS), cutoff=format_us(cutoff), by="alice")

    def _late_copy(self) -> None:
        """The same event again, at another place of its daemon."""
        message = self._one(self.messages)
        if message is not None:
            self.log.put(message, daemon=message.origin_daemon, writer=f"W{message.origin_daemon[2:]}2")

    def _doubled_id(self) -> None:
        """Another line with the id of one that there is."""
        line = self._one(self.log.lines)
        if line is not None:
            writer, daemon, _, data = line
            changed = data[:-1] + b',"request_id":"forged%d"}' % self._at
            self.log.put_raw(
                changed.replace(b'"sequence":%d' % line[2], b'"sequence":%d'), daemon=daemon, writer=writer
            )

    def _stranger(self) -> None:
        kind = self._pick(4)
        head = b'{"type":"plugin.thing","event_id":"evt_%s","timestamp":"%s","origin_daemon":"d_A","sequence":%%d'
        head = head % (self.log.ulid().encode(), format_us(START_US).encode())
        if kind == 0:
            self.log.put_raw(head + b',"x":1}', daemon="d_A")
        elif kind == 1:
            self.log.put_raw(head + b',"x":1}', daemon="d_B")
        elif kind == 2:
            self.log.put_raw(b'{"type":"message.create","event_id":"evt_X"', daemon="d_A")
        else:
            self.log.put_raw(head.replace(b"plugin.thing", b"message.create") + b',"v":2}', daemon="d_A")

    def _repeat(self) -> None:
        """The reader is given a line twice."""
        line = self._one(self.log.lines)
        if line is not None:
            self.log.lines.append(line)


# Bytes, for a story needs hundreds of choices before its events get in each other's way.
stories = st.binary(min_size=50, max_size=900) | st.integers(0, 2**32).map(
    lambda seed: random.Random(seed).randbytes(700)
)


def settled(path: Path, lines: list[LogLine]) -> dict[str, list[Any]]:
    """What a cache says after *lines* one by one; one in doubt is rebuilt, as the daemon does."""
    cache = Cache(path)
    projector = Projector(cache, core_types(), clock=FixedClock())
    in_doubt = False
    for line in lines:
        in_doubt |= projector.apply_lines([line]).in_doubt
    said = aloud(cache)
    cache.close()
    return rebuilt(path.with_suffix(".rebuilt"), [lines]) if in_doubt else said


def rebuilt(path: Path, batches: list[list[LogLine]]) -> dict[str, list[Any]]:
    replay.rebuild(lambda: batches, path, core_types(), clock=FixedClock())
    cache = Cache(path)
    said = aloud(cache)
    cache.close()
    return said


@_settings
@given(stories, st.integers(0, 2**32))
def test_projection_is_the_same_in_any_order(numbers: bytes, seed: int) -> None:
    lines = Story(numbers).tell()
    shuffled = random.Random(seed).sample(lines + lines[::3], len(lines) + len(lines[::3]))
    with tempfile.TemporaryDirectory() as folder:
        assert settled(Path(folder, "a.db"), lines) == settled(Path(folder, "b.db"), shuffled)


@_settings
@given(stories, st.integers(0, 2**32))
def test_rebuild_is_the_same_as_projecting_one_by_one(numbers: bytes, seed: int) -> None:
    story = Story(numbers)
    lines = story.tell()
    shuffled = random.Random(seed).sample(lines, len(lines))
    with tempfile.TemporaryDirectory() as folder:
        expected = settled(Path(folder, "a.db"), shuffled)
        assert rebuilt(Path(folder, "b.db"), story.log.batches()) == expected
        assert rebuilt(Path(folder, "c.db"), [shuffled]) == expected


@_settings
@given(stories, st.integers(0, 2**32), st.integers(1, 30))
def test_catching_up_after_a_crash_gives_the_whole(numbers: bytes, seed: int, size: int) -> None:
    lines = Story(numbers).tell()
    batches = [lines[at : at + size] for at in range(0, len(lines), size)]
    kept = random.Random(seed).randrange(len(batches) + 1) if batches else 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.db")
        before = Cache(path)
        replay.catch_up(Projector(before, core_types(), clock=FixedClock()), batches[:kept])
        before.close()
        after = Cache(path)
        replay.catch_up(Projector(after, core_types(), clock=FixedClock()), batches)
        whole = project(Path(folder, "b.db"), lines)
        assert aloud(after) == aloud(whole)
        after.close()
        whole.close()
