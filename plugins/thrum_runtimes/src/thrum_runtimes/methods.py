"""The methods ``runtime.*``: what runtimes there are, and what their hooks tell and prove."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psutil

from thrum_kernel.api import Call, Method, PluginContext
from thrum_kernel.errors import Refused
from thrum_runtimes import detection
from thrum_runtimes.registry import Origin, PresetView, Runtimes, view
from thrum_runtimes.told import Told
from thrum_runtimes.user_file import UserFile, check_name

_PAGE = 100
_MOST_PAGES = 3
"""Pages of unread messages that evidence is looked for in, newest first; a hook runs after every step."""
_NAMED = 8
"""Messages that one notice names; the others are counted."""


class NoParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class ListResult(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Every runtime; ``origins`` says where each comes from."""

    presets: list[PresetView]
    origins: dict[str, Origin]
    default_runtime: str = ""


class ShowParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which runtime."""

    name: str


class DetectParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Names of variables that are set where the question comes from; the worktree is the caller's."""

    variables: tuple[str, ...] = ()


class DetectResult(msgspec.Struct, kw_only=True):
    """A runtime and what speaks for it."""

    name: str
    tier: str
    source: str


class EvidenceParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Ids of messages that *runtime* handed to a hook; ``caller_agent_id`` is a claim, which is checked."""

    runtime: str
    message_ids: tuple[str, ...]
    caller_agent_id: str = ""


class EvidenceResult(msgspec.Struct, kw_only=True):
    """The messages that this proves seen: those to the caller that it has not read."""

    seen: list[str]


class NoticeParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which hook asks what the caller is to be told now."""

    runtime: str
    event: str
    is_continued: bool = False
    caller_agent_id: str = ""


class Notice(msgspec.Struct, kw_only=True):
    """One message to be told of."""

    message_id: str
    sender: str


class NoticeResult(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What to tell of, oldest first; ``more`` further messages are not named."""

    notices: list[Notice] = []
    more: int = 0


class RuntimeMethods:
    """The handlers.

    Args:
        ctx: the plugin's context.
        home: the home folder of whom the daemon belongs to.
    """

    def __init__(self, ctx: PluginContext, *, home: Path) -> None:
        self._ctx = ctx
        self._user = UserFile(home)
        self._told = Told()
        self._background: set[asyncio.Task[None]] = set()

    def methods(self) -> Sequence[Method]:
        """All of them."""
        return (
            Method(
                name="runtime.list",
                params=NoParams,
                result=ListResult,
                handler=self.list_all,
                summary="Every runtime that thrum knows",
                anonymous=True,
                while_projecting=True,
            ),
            Method(
                name="runtime.show",
                params=ShowParams,
                result=PresetView,
                handler=self.show,
                summary="One runtime",
                anonymous=True,
                while_projecting=True,
            ),
            Method(
                name="runtime.detect",
                params=DetectParams,
                result=DetectResult,
                handler=self.detect,
                summary="The runtime that is used where the caller stands",
                anonymous=True,
                while_projecting=True,
            ),
            Method(
                name="runtime.evidence",
                params=EvidenceParams,
                result=EvidenceResult,
                handler=self.evidence,
                summary="Prove that a runtime showed the caller messages; for hook scripts",
                mutates=True,
            ),
            Method(
                name="runtime.notice",
                params=NoticeParams,
                result=NoticeResult,
                handler=self.notice,
                summary="What a hook is to tell the caller of now; for hook scripts",
                mutates=True,
            ),
        )

    async def list_all(self, call: Call, params: NoParams) -> ListResult:
        """Every runtime.

        Raises:
            FileDamaged: the person's own file cannot be understood.
        """
        runtimes = await self._runtimes()
        return ListResult(
            presets=[view(preset) for preset in runtimes.presets],
            origins={name: runtimes.origin(name) for name in runtimes.names},
            default_runtime=runtimes.default,
        )

    async def show(self, call: Call, params: ShowParams) -> PresetView:
        """One runtime.

        Raises:
            UsageError, NotFound: there is none of that name.
        """
        return view((await self._runtimes()).get(params.name))

    async def detect(self, call: Call, params: DetectParams) -> DetectResult:
        """What is used in the caller's worktree; programs are looked for where the daemon looks."""
        runtimes = await self._runtimes()
        root = call.caller.worktree or self._ctx.paths.repo
        found = await self._ctx.in_thread(
            functools.partial(
                detection.detect,
                runtimes.presets,
                root=root,
                env=dict.fromkeys(params.variables, "set"),
                ask=functools.partial(detection.ask_version, env=os.environ),
            )
        )
        return DetectResult(name=found.name, tier=found.tier, source=found.source)

    async def evidence(self, call: Call, params: EvidenceParams) -> EvidenceResult:
        """Note that the caller was shown messages; those that are not to it, or read already, are passed over.

        Raises:
            Refused: the caller is no agent of this daemon.
            UsageError: the runtime is no name of one.
        """
        agent, runtime = _agent(call), check_name(params.runtime)
        if not params.message_ids or self._only_looks(call):
            return EvidenceResult(seen=[])
        seen = await self._unread_of(agent, params.message_ids)
        if seen:
            self._told.note(agent, seen, "", now_s=self._ctx.clock.monotonic())
            await self._record(agent, "seen", runtime, seen)
        return EvidenceResult(seen=seen)

    async def notice(self, call: Call, params: NoticeParams) -> NoticeResult:
        """What of the newest the caller has not read and was not told of lately; that it was told counts once it took
        the answer.

        Raises:
            Refused: the caller is no agent of this daemon.
            UsageError: the runtime is no name of one.
        """
        agent, runtime = _agent(call), check_name(params.runtime)
        unread = (await self._page(agent, 1))["messages"][::-1]
        if not unread or await self._is_single():
            return NoticeResult()
        due = self._told.due(
            agent,
            [each["message_id"] for each in unread],
            params.event,
            now_s=self._ctx.clock.monotonic(),
            is_continued=params.is_continued,
        )
        if due and not self._only_looks(call):
            call.when_shown(lambda: self._was_told(agent, runtime, due, params.event))
        senders = {each["message_id"]: _sender(each) for each in unread}
        named = [Notice(message_id=each, sender=senders[each]) for each in due[:_NAMED]]
        return NoticeResult(notices=named, more=len(due) - len(named))

    def _was_told(self, agent: str, runtime: str, message_ids: Sequence[str], event: str) -> None:
        self._told.note(agent, message_ids, event, now_s=self._ctx.clock.monotonic())
        task = asyncio.ensure_future(self._record(agent, "injected", runtime, message_ids))
        self._background.add(task)
        task.add_done_callback(self._recorded)

    def _recorded(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._ctx.log.warning("what a hook told was not noted: %s", error)

    async def _record(self, agent: str, fact: str, runtime: str, message_ids: Sequence[str]) -> None:
        evidence = {"fact": fact, "means": f"hook:{runtime}", "message_ids": [*message_ids]}
        await self._ctx.call("message.evidence", agent_id=agent, evidence=evidence)

    async def _unread_of(self, agent: str, message_ids: Sequence[str]) -> list[str]:
        """Those of *message_ids* that were sent to *agent* and that it has not read."""
        wanted, found = set(message_ids), set[str]()
        for number in range(1, _MOST_PAGES + 1):
            page = await self._page(agent, number)
            found |= wanted & {each["message_id"] for each in page["messages"]}
            if found == wanted or number >= page["total_pages"]:
                break
        return [each for each in dict.fromkeys(message_ids) if each in found]

    async def _page(self, agent: str, number: int) -> dict[str, Any]:
        """A page of what *agent* has not read, newest first."""
        page: dict[str, Any] = await self._ctx.call(
            "message.list", for_agent=agent, unread=True, page_size=_PAGE, page=number
        )
        return page

    async def _is_single(self) -> bool:
        shown = await self._ctx.call("config.show")
        setting = shown.get("daemon", {}).get("single_agent_mode", False)
        return bool(setting.get("value") if isinstance(setting, Mapping) else setting)

    def _only_looks(self, call: Call) -> bool:
        """Whether the caller, under no runtime, acts as an agent whose runtime lives: what is shown to it, the
        runtime did not show (spec/decisions.md "Identity")."""
        if call.caller.runtime_pid or call.caller.source == "process":
            return False
        rows = self._ctx.read("SELECT agent_pid FROM agents WHERE agent_id = ?", (call.caller.agent_id,))
        return any(pid and psutil.pid_exists(pid) for (pid,) in rows)

    async def _runtimes(self) -> Runtimes:
        return Runtimes(self._ctx.presets(), await self._ctx.in_thread(self._user.read))


def _agent(call: Call) -> str:
    """The agent that calls."""
    if call.caller.kind != "agent":
        raise Refused("only an agent's own hooks may say what it was shown", hint="thrum whoami")
    return call.caller.agent_id


def _sender(message: Mapping[str, Any]) -> str:
    return str(message["agent_id"])
