"""A kernel under which everything fails, and what hooks are asked with: for trying how a plugin copes."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from thrum_kernel.api import (
    AgentInfo,
    Authority,
    Belonging,
    Caller,
    CallerFacts,
    Clock,
    GuardedCall,
    Moment,
    PluginContext,
    PluginPaths,
    Process,
    RuntimePreset,
    Wake,
    WorktreeChange,
)
from thrum_kernel.clock import format_us
from thrum_kernel.errors import DaemonUnreachable, StoreError, ThrumError, Timeout
from thrum_kernel.events.core import AgentRef, Body, MessageCreate
from thrum_kernel.ids import encode_ulid, event_id

T = TypeVar("T")


class FailingContext:
    """A `PluginContext` whose settings and log work and nothing else does."""

    def __init__(self, real: PluginContext, chance: random.Random) -> None:
        self._real = real
        self._chance = chance
        self._errors: list[ThrumError] = []
        self._shared: dict[Callable[[PluginContext], Any], Any] = {}

    def raised(self, error: BaseException) -> bool:
        """Whether an error is one of those given here, or was raised because of one."""
        cause: BaseException | None = error
        while cause is not None:
            if cause in self._errors or isinstance(cause, ThrumError):
                return True
            cause = cause.__cause__ or cause.__context__
        return False

    @property
    def name(self) -> str:
        return self._real.name

    @property
    def settings(self) -> Any:
        return self._real.settings

    @property
    def log(self) -> logging.Logger:
        return logging.getLogger("thrum.plugins.check")

    @property
    def clock(self) -> Clock:
        return self._real.clock

    @property
    def paths(self) -> PluginPaths:
        return self._real.paths

    def presets(self) -> Sequence[RuntimePreset]:
        return self._real.presets()

    def process(self, pid: int) -> Process | None:
        return self._real.process(pid)

    def shared(self, make: Callable[[PluginContext], T], /) -> T:
        if make not in self._shared:
            self._shared[make] = make(self)
        made: T = self._shared[make]
        return made

    async def emit(self, event_type: str, /, **fields: Any) -> str:
        raise self._error()

    async def send(self, content: str, **params: Any) -> str:
        raise self._error()

    async def call(self, method: str, /, **params: Any) -> Any:
        raise self._error()

    async def announce(self, change: WorktreeChange) -> Sequence[str]:
        raise self._error()

    async def authorize(self, caller: Caller, thing: Belonging, *, force: bool = False) -> Authority:
        raise self._error()

    def publish(self, topic: str, payload: Any) -> int:
        return 0

    def subscribe(self, topic: str, callback: Callable[[Any], None]) -> Callable[[], None]:
        return lambda: None

    async def write(self, fn: Callable[[Any], Any]) -> Any:
        raise self._error()

    def read(self, sql: str, params: Sequence[Any] = (), *, local: bool = False) -> list[tuple[Any, ...]]:
        raise self._error()

    async def in_thread(self, fn: Callable[..., Any], *args: Any) -> Any:
        return await self._real.in_thread(fn, *args)

    def _error(self) -> ThrumError:
        error = self._chance.choice(
            (
                DaemonUnreachable("the daemon is gone (this is a drill)"),
                StoreError("the disk failed (this is a drill)"),
                Timeout("no answer in time (this is a drill)"),
            )
        )
        self._errors.append(error)
        return error


def failing_context(real: PluginContext, chance: random.Random) -> FailingContext:
    """A context for trying a plugin with."""
    return FailingContext(real, chance)


def arguments_of(hook: str) -> dict[str, Any]:
    """What the hook is called with, an ordinary example."""
    here = Path("/nonexistent/project")
    caller = Caller(kind="agent", agent_id="alice", source="process", pid=1, cwd=here, worktree=here)
    agent = AgentInfo(name="alice", role="implementer", module="auth", worktree=here, thrum=here / ".thrum")
    message_id = f"msg_{encode_ulid(1 << 80)}"
    examples: dict[str, dict[str, Any]] = {
        "thrum_identify": {"facts": CallerFacts("message.send", ("alice", "bob"), 1, here)},
        "thrum_guard": {"call": GuardedCall(kind="method", name="message.send", caller=caller)},
        "thrum_event_committed": {"event": _event()},
        "thrum_wake": {"wake": Wake("alice", (message_id,), ("bob",))},
        "thrum_worktree": {"change": WorktreeChange(kind="going", path=here, agents=("alice",))},
        "thrum_hints": {"moment": Moment(command="send", phase="before", caller=caller)},
        "thrum_preamble": {"agent": agent},
        "thrum_prime": {"agent": agent},
        "thrum_agent_facts": {"agent": agent},
    }
    return examples[hook]


def _event() -> MessageCreate:
    ref = AgentRef("alice", "d_example", "")
    return MessageCreate(
        event_id=event_id(encode_ulid(1 << 80)),
        timestamp=format_us(0),
        origin_daemon=ref.daemon,
        agent_id=ref.name,
        incarnation=ref.incarnation,
        body=Body(content="an example"),
    )
