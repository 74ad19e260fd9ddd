"""``sync.held`` and ``sync.release``: what was held back from travelling, and letting it go by name.

A release journals the same event again, with the same id, at a new place: there it passes the scan and travels. The
line counts here already, so nobody is told of it a second time. Who wrote a line may release it, and so may a person,
that is, a caller with no agent runtime above it: an agent must not let out what another one wrote.

What a migration held back was written on no machine that there is. It is published in its own place, and a person alone
may say so: a name tells nothing about who has it now.

A held line whose text was deleted travels by itself, without the text: edits, replies and the deletion went out before
and wait in every other clone for the message they are about.

Source: DESIGN.md D1, "Published files"; D5.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from thrum_kernel.api import Call, Caller, Method
from thrum_kernel.clock import Clock, format_us
from thrum_kernel.errors import NotFound, Refused, ThrumError, UsageError
from thrum_kernel.store.ranges import HeldLine, Release
from thrum_kernel.sync.cutter import Cutter
from thrum_kernel.sync.publish import Publisher
from thrum_kernel.sync.withheld import about, held_names, named

_log = logging.getLogger(__name__)


class Repeating(Protocol):
    """What releasing needs of the committer."""

    async def repeat(self, *lines: bytes) -> None: ...


class HeldParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """No parameters."""

    caller_agent_id: str = ""


class HeldEvent(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An event that stays on this machine.

    ``name`` is what releases it: the message's id, or the event's where it makes no message. ``message_id`` is the
    message that it makes or changes. ``patterns`` are ids. ``excerpt`` shows what stands in front of the credential.
    """

    name: str
    event_id: str
    type: str
    agent_id: str
    created_at: str
    patterns: list[str]
    message_id: str = ""
    excerpt: str = ""


class HeldResult(msgspec.Struct, kw_only=True):
    """What is held back, oldest first."""

    held: list[HeldEvent]
    total: int


class ReleaseParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``names``: ids of messages (each with its edits) or of events. ``all``: everything instead."""

    names: list[str] = []
    all: bool = False
    caller_agent_id: str = ""


class ReleaseResult(msgspec.Struct, kw_only=True):
    """Ids of the events that travel from now on, and those of the names that had been released before.

    ``names`` is what people call the released ones by: as they were asked for, or, with ``all``, as `sync.held` does.
    """

    released: list[str]
    already: list[str]
    names: list[str] = []


class HeldMethods:
    """The methods.

    Args:
        cutter, publisher, committer, clock: of this daemon.
        excerpt: what stands in front of the credential in a line.
        tell_again: what readers here did with these messages goes into the log once more.
    """

    def __init__(
        self,
        *,
        cutter: Cutter,
        publisher: Publisher,
        committer: Repeating,
        clock: Clock,
        excerpt: Callable[[bytes], str],
        tell_again: Callable[[Sequence[str]], None],
    ) -> None:
        self._cutter = cutter
        self._publisher = publisher
        self._committer = committer
        self._clock = clock
        self._excerpt = excerpt
        self._tell_again = tell_again

    def methods(self) -> Sequence[Method]:
        """``sync.held``, ``sync.release``."""
        return (
            Method(
                name="sync.held",
                params=HeldParams,
                result=HeldResult,
                handler=self._held,
                anonymous=True,
                while_projecting=True,
                summary="What was held back from travelling since it looks like a secret",
            ),
            Method(
                name="sync.release",
                params=ReleaseParams,
                result=ReleaseResult,
                handler=self._release,
                mutates=True,
                summary="Let travel what was held back",
            ),
        )

    async def _held(self, call: Call, params: HeldParams) -> HeldResult:
        with contextlib.suppress(ThrumError):  # `sync status` tells of it
            await self._publisher.cut_now()  # what was written just now is held back by now
        lines = _once(self._cutter.holding.waiting)
        events = await asyncio.to_thread(lambda: [self._event(line) for line in lines])
        return HeldResult(held=events, total=len(events))

    def _event(self, line: HeldLine) -> HeldEvent:
        said = about(line.line)
        return HeldEvent(
            name=said.name,
            event_id=said.event_id,
            type=said.type,
            agent_id=said.author,
            created_at=said.timestamp,
            patterns=list(line.patterns),
            message_id=said.message,
            excerpt=self._excerpt(line.line),
        )

    async def _release(self, call: Call, params: ReleaseParams) -> ReleaseResult:
        if params.all == bool(params.names):
            raise UsageError("give the names of what to release, or all", hint="thrum sync held")
        await self._publisher.cut_now()  # what was written just now is held back by now
        async with self._publisher.quiet():
            already = [name for name in params.names if self._cutter.holding.was_released(name)]
            lines = self._chosen(params, already)
            self._allow(call.caller, lines)
            if lines:
                await self._let_go(call.caller.agent_id, lines)
        if lines:
            await self._publisher.cut_now()
        asked = dict.fromkeys(name for name in params.names if name not in already)
        return ReleaseResult(
            released=[about(line.line).event_id for line in lines],
            already=already,
            names=list(asked) or held_names(lines),
        )

    async def let_erased_go(self) -> None:
        """Journal again what was held back and was deleted since; awaited before a cut, while nothing is published.

        Raises:
            Refused: a line cannot be written again as it is; it stays, and what waits for it elsewhere waits on.
            StoreError, Projecting: not now; they stay.
        """
        for line in _once(self._cutter.holding.erased):
            await self._let_go("", [line])

    async def _let_go(self, by: str, lines: Sequence[HeldLine]) -> None:
        """Journal them again, then note that they may travel: a crash in between leaves them held back."""
        brought = [line for line in lines if line.is_brought]
        await self._repeat([line for line in lines if not line.is_brought])
        at = format_us(self._clock.now_us())
        new = [Release(about(line.line).event_id, by, at) for line in lines]
        await asyncio.to_thread(self._cutter.release, new, brought)
        for line in lines:
            patterns = ", ".join(line.patterns)
            if by:
                _log.warning("%s released %s (%s)", by, about(line.line).event_id, patterns)

    async def _repeat(self, lines: Sequence[HeldLine]) -> None:
        if not lines:
            return
        self._tell_again([said.message for line in lines if (said := about(line.line)).message])
        try:
            await self._committer.repeat(*(line.line for line in lines))
        except ValueError as error:
            raise Refused(f"cannot be released: {error}", hint="install the plugin it is of") from error

    def _chosen(self, params: ReleaseParams, already: Sequence[str]) -> list[HeldLine]:
        """The lines that are meant, in order of places, each event once.

        Raises:
            NotFound: nothing of a name is held back.
        """
        held = self._cutter.holding.waiting
        if params.all:
            return _once(held)
        chosen: dict[str, HeldLine] = {}
        for name in params.names:
            found = named(held, name)
            if not found and name not in already:
                text = f"nothing is held back under the name {name}"
                raise NotFound("held event", name, message=text, hint="thrum sync held")
            chosen.update({about(line.line).event_id: line for line in found})
        return sorted(chosen.values(), key=lambda line: line.place)

    @staticmethod
    def _allow(caller: Caller, lines: Sequence[HeldLine]) -> None:
        """Refuse an agent's runtime what other agents wrote.

        Raises:
            Refused: a line is somebody else's.
        """
        if caller.kind in ("user", "kernel") or not caller.runtime_pid:
            return
        for line in lines:
            said = about(line.line)
            if line.is_brought or said.author != caller.agent_id:
                who = "a person" if line.is_brought else "its author or a person"
                raise Refused(
                    f"only {who} may release {said.name}",
                    hint=f"ask a person to run: thrum sync release {said.name}",
                )


def _once(lines: Sequence[HeldLine]) -> list[HeldLine]:
    """*lines* without those that a crash had held back twice."""
    return list({about(line.line).event_id: line for line in reversed(lines)}.values())[::-1]
