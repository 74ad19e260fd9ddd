"""``log.verify``, ``log.show``, ``log.replay``: the log checked, looked into, and played back to a point."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Container, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import msgspec

from thrum_kernel.api import Call, Method
from thrum_kernel.clock import format_us, parse_us
from thrum_kernel.errors import ThrumError, UsageError
from thrum_kernel.jsonlines import decoder
from thrum_kernel.store.check import check
from thrum_kernel.store.ranges import LogLine, Tree, read_log
from thrum_kernel.sync.replay import Point, ReplayResult, replay_result

MOST_SHOWN = 10_000


class VerifyParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """No parameters."""

    caller_agent_id: str = ""


class LogProblem(msgspec.Struct, kw_only=True):
    """One thing that is wrong; ``path`` lies below the log's folder.

    ``kind`` as in `store.scan.Problem`, or ``repository``: our own git repository, which is made anew.
    """

    kind: str
    path: str
    problem: str


class VerifyResult(msgspec.Struct, kw_only=True):
    """``ok`` when nothing but quarantined bytes was found. Counts as in `store.check.Checked`."""

    ok: bool
    problems: list[LogProblem]
    files: int
    events: int
    windows: int
    daemons: int
    writers: int
    journals: int
    journal_events: int
    quarantined: int
    held: int = 0


class ShowParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which events: all that are given must fit.

    ``type`` one type, or several with commas; ``agent`` a name; ``message_id``; ``writer``; ``since`` and ``until``
    RFC 3339 times, both included; ``limit`` how many, the newest.
    """

    type: str = ""
    agent: str = ""
    message_id: str = ""
    writer: str = ""
    since: str = ""
    until: str = ""
    limit: int = 50
    caller_agent_id: str = ""


class ShownEvent(msgspec.Struct, kw_only=True):
    """An event with its place in the log."""

    writer: str
    daemon: str
    sequence: int
    event: dict[str, Any]


class ShowResult(msgspec.Struct, kw_only=True):
    """Events in causal order, oldest first; ``total`` is how many fitted."""

    events: list[ShownEvent]
    total: int


class ReplayParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``to``: an event id or an RFC 3339 time, included. ``agent``: also show what this agent had then."""

    to: str
    agent: str = ""
    limit: int = 20
    caller_agent_id: str = ""


class _Head(msgspec.Struct):
    type: str
    event_id: str
    timestamp: str


class _About(msgspec.Struct):
    event_id: str
    type: str
    agent_id: Any = ""
    message_id: Any = ""
    reply_to: Any = ""
    recipients: Any = ()
    marks: Any = ()


Rebuild = Callable[[Iterable[Sequence[LogLine]]], Any]
"""Projects lines into a database of its own that is gone when the returned connection is closed; blocking."""

_head = decoder(_Head)
_about = decoder(_About)
_decode_event = decoder(dict[str, Any])


class LogMethods:
    """The methods.

    Args:
        tree: the log.
        daemon: this daemon's id.
        durable: the current writer and its last durable sequence, in one step.
        message_types: the types that lie in message files.
        rebuild: projects batches of lines into a temporary database and gives a `sqlite3.Connection` to it.
        quiet: while it is entered nothing is published; without it a check may take a roll-up for damage.
        noticed: called when a check found files that are damaged or gone.
        is_repository_sound: checks our own git repository too, which is made anew where it is not; None: there is none.
    """

    def __init__(
        self,
        *,
        tree: Tree,
        daemon: str,
        durable: Callable[[], tuple[str, int]],
        message_types: Container[str],
        rebuild: Rebuild,
        quiet: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
        noticed: Callable[[], None] = lambda: None,
        is_repository_sound: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self._is_repository_sound = is_repository_sound
        self._tree = tree
        self._daemon = daemon
        self._durable = durable
        self._message_types = message_types
        self._rebuild = rebuild
        self._quiet = quiet
        self._noticed = noticed

    def methods(self) -> Sequence[Method]:
        """``log.verify``, ``log.show``, ``log.replay``."""
        return (
            Method(
                name="log.verify",
                params=VerifyParams,
                result=VerifyResult,
                handler=self._verify,
                anonymous=True,
                long_poll=True,
                while_projecting=True,
                summary="Check every file of the log",
            ),
            Method(
                name="log.show",
                params=ShowParams,
                result=ShowResult,
                handler=self._show,
                anonymous=True,
                while_projecting=True,
                summary="Events of the log, filtered",
            ),
            Method(
                name="log.replay",
                params=ReplayParams,
                result=ReplayResult,
                handler=self._replay,
                anonymous=True,
                long_poll=True,
                while_projecting=True,
                summary="How things stood at one point of the log",
            ),
        )

    async def _verify(self, call: Call, params: VerifyParams) -> VerifyResult:
        async with self._quiet():
            found = await asyncio.to_thread(check, self._tree, daemon=self._daemon, current=self._durable())
        if any(problem.kind in ("damaged", "missing") for problem in found.problems):
            self._noticed()
        problems = [LogProblem(kind=kind, path=path, problem=text) for kind, path, text in found.problems]
        problems += await self._repository_problems()
        return VerifyResult(
            ok=all(problem.kind == "quarantined" for problem in problems),
            problems=problems,
            files=found.files,
            events=found.events,
            windows=found.windows,
            daemons=len(found.daemons),
            writers=len(found.writers),
            journals=found.journals,
            journal_events=found.journal_events,
            quarantined=found.quarantined,
            held=found.held,
        )

    async def _repository_problems(self) -> list[LogProblem]:
        try:
            if self._is_repository_sound is None or await self._is_repository_sound():
                return []
            text = "objects in it are damaged or gone: it was put aside and is made anew from the log"
        except ThrumError as error:
            text = f"could not be checked: {error}"
        return [LogProblem(kind="repository", path="repo.git", problem=text)]

    async def _show(self, call: Call, params: ShowParams) -> ShowResult:
        if not 1 <= params.limit <= MOST_SHOWN:
            raise UsageError(f"limit: {params.limit} is not between 1 and {MOST_SHOWN}")
        return await asyncio.to_thread(newest, self._lines(), wanted(params), params.limit)

    async def _replay(self, call: Call, params: ReplayParams) -> ReplayResult:
        return await asyncio.to_thread(self._play, Point(params.to), params)

    def _play(self, point: Point, params: ReplayParams) -> ReplayResult:
        connection = self._rebuild(point.before(self._lines()))
        try:
            return replay_result(
                connection, point.summary(), daemon=self._daemon, agent=params.agent, limit=params.limit
            )
        finally:
            connection.close()

    def _lines(self) -> Iterator[list[LogLine]]:
        writer, sequence = self._durable()
        return read_log(self._tree, message_types=self._message_types, until={writer: sequence})


def newest(lines: Iterable[Sequence[LogLine]], fits: Callable[[LogLine], bool], limit: int) -> ShowResult:
    """The *limit* newest of the *lines* that fit, by event id, oldest first; of two with one id, one."""
    kept: dict[str, LogLine] = {}
    total = 0
    for batch in lines:
        for line in filter(fits, batch):
            total += 1
            kept[_head(line[3]).event_id] = line
        if len(kept) > 2 * limit:
            kept = dict(heapq.nlargest(limit, kept.items()))
    shown = sorted(heapq.nlargest(limit, kept.items()))
    return ShowResult(events=[_shown(line) for _, line in shown], total=total)


def _shown(line: LogLine) -> ShownEvent:
    writer, daemon, sequence, data = line
    try:
        event = _decode_event(data)
    except msgspec.MsgspecError as error:  # its head was sound
        event = {**msgspec.to_builtins(_head(data)), "damage": str(error)}
    return ShownEvent(writer=writer, daemon=daemon, sequence=sequence, event=event)


def wanted(params: ShowParams) -> Callable[[LogLine], bool]:
    """Whether a line fits *params*; a line that is not an event never does.

    Raises:
        UsageError: a time is not one.
    """
    types = frozenset(filter(None, params.type.split(",")))
    since, until = (_timestamp(text) if text else "" for text in (params.since, params.until))

    def fits(line: LogLine) -> bool:
        if params.writer and line[0] != params.writer:
            return False
        try:
            head = _head(line[3])
            if types and head.type not in types:
                return False
            if head.timestamp < since or (until and head.timestamp > until):
                return False
            return not (params.agent or params.message_id) or _is_about(line[3], params)
        except msgspec.MsgspecError:
            return False

    return fits


def _is_about(line: bytes, params: ShowParams) -> bool:
    about = _about(line)
    if params.message_id:
        created = f"msg_{about.event_id[4:]}" if about.type == "message.create" else about.message_id
        if params.message_id not in (created, about.reply_to):
            return False
    if not params.agent:
        return True
    addressed = about.recipients if isinstance(about.recipients, list) else ()
    marks = about.marks if isinstance(about.marks, list) else ()
    readers = (mark.get("reader") for mark in marks if isinstance(mark, dict))
    named = (person[0] for person in (*addressed, *readers) if isinstance(person, list) and person)
    return about.agent_id == params.agent or params.agent in named


def _timestamp(text: str) -> str:
    try:
        return format_us(parse_us(text))
    except ValueError as error:
        raise UsageError(f"not an RFC 3339 time: {text!r}") from error
