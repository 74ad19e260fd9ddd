"""Calls hooks, each plugin for itself: what one does wrong costs nobody else anything.

pluggy finds and validates hooks; its own call stops at the first exception and cannot await. Here every call is a task
with a time limit, a failure is logged in one line that names plugin and distribution, and five in a row switch the
hook off. One that keeps the loop for longer than its limit, while nobody is served, is switched off at once.

Source: DESIGN.md D6; `hookspecs` for what holds for which hook.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from thrum_kernel.api import PluginContext
from thrum_kernel.errors import ThrumError
from thrum_kernel.plugins.implementing import Implementation
from thrum_kernel.plugins.record import Plugin
from thrum_kernel.plugins.watchdog import Watchdog

_log = logging.getLogger(__name__)

FAILURES: Final = 5
"""So many in a row switch a hook off."""


Unfit = Callable[[Any], str]
"""Why an answer, not None, is none that this hook may give; empty when it is one."""


class HookFailed(Exception):
    """A plugin's hook raised, took too long, or gave something that it must not; the text says which."""


@dataclass(slots=True, eq=False)
class Bound:
    """An implementation with its plugin.

    Attributes:
        failures: in a row.
        off: why it is not called any more; empty while it is.
    """

    plugin: Plugin
    ctx: PluginContext
    implementation: Implementation
    failures: int = 0
    off: str = ""

    @property
    def hook(self) -> str:
        return self.implementation.hook

    def arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Those of *given* that it takes, and its context."""
        return {name: self.ctx if name == "ctx" else given[name] for name in self.implementation.arguments}


class Hooks:
    """The hooks that active plugins implement.

    Args:
        timeout_s: how long a call may take, asked each time.
        watchdog: watches what runs on the loop.
        degraded: told of a hook that was switched off, and why.
    """

    def __init__(
        self,
        *,
        timeout_s: Callable[[], float],
        watchdog: Watchdog,
        degraded: Callable[[Bound], None] = lambda bound: None,
    ) -> None:
        self._timeout_s = timeout_s
        self._watchdog = watchdog
        self._degraded = degraded
        self._bound: dict[str, list[Bound]] = {}

    def add(self, bound: Bound) -> Callable[[], None]:
        """Call this one, too, after those of plugins loaded before; the result takes it back."""
        place = bound.implementation.place
        entries = self._bound.setdefault(bound.hook, [])
        at = next((i for i, other in enumerate(entries) if other.implementation.place > place), len(entries))
        entries.insert(at, bound)

        def remove() -> None:
            if bound in entries:
                entries.remove(bound)

        return remove

    def of(self, hook: str) -> Sequence[Bound]:
        """Who implements *hook*, in the order of the calls."""
        return tuple(self._bound.get(hook, ()))

    def of_plugin(self, plugin: Plugin) -> list[Bound]:
        """What one plugin implements."""
        return [bound for entries in self._bound.values() for bound in entries if bound.plugin is plugin]

    def enable(self, plugin: Plugin) -> list[str]:
        """Call again what was switched off; the names of those hooks."""
        found = [bound for bound in self.of_plugin(plugin) if bound.off]
        for bound in found:
            bound.off, bound.failures = "", 0
            plugin.troubles.pop(bound.hook, None)
        return [bound.hook for bound in found]

    # --- calls ---------------------------------------------------------------------------------------------------

    async def gather(
        self,
        hook: str,
        *,
        unfit: Unfit = lambda answer: "",
        only: Sequence[Bound] | None = None,
        **arguments: Any,
    ) -> list[tuple[Bound, Any]]:
        """What every plugin (or *only* these) answers, in order, all asked at once; those that failed are left out."""
        wanted = self._bound.get(hook, ()) if only is None else only
        entries = [bound for bound in wanted if not bound.off]
        answers = await asyncio.gather(
            *(self.ask(bound, arguments, unfit) for bound in entries), return_exceptions=True
        )
        return [
            (bound, answer)
            for bound, answer in zip(entries, answers, strict=True)
            if not _failed(answer) and answer is not None
        ]

    async def first(self, hook: str, *, unfit: Unfit = lambda answer: "", **arguments: Any) -> Any:
        """The first answer that is not None; None when there is none."""
        for bound in tuple(self._bound.get(hook, ())):
            if bound.off:
                continue
            try:
                answer = await self.ask(bound, arguments, unfit)
            except HookFailed:
                continue
            if answer is not None:
                return answer
        return None

    async def ask(
        self,
        bound: Bound,
        arguments: Mapping[str, Any],
        unfit: Unfit = lambda answer: "",
        *,
        later_s: float = 0.0,
    ) -> Any:
        """One plugin's answer.

        Args:
            later_s: the hook may answer with a coroutine that gives the answer within so many seconds.

        Raises:
            HookFailed: it has none; that is counted and logged.
        """
        try:
            answer = await self._call(bound, arguments)
            if later_s and asyncio.iscoroutine(answer):
                answer = await self._run(bound, answer, later_s)
            if answer is not None and (why := unfit(answer)):
                raise HookFailed(why)
        except HookFailed as failure:
            self._note(bound, failure)
            raise
        if bound.failures:
            bound.failures = 0
            bound.plugin.troubles.pop(bound.hook, None)
        return answer

    async def _call(self, bound: Bound, arguments: Mapping[str, Any]) -> Any:
        try:
            work = bound.implementation.function(**bound.arguments(arguments))
        except Exception as error:
            raise HookFailed(told(error)) from error
        return await self._run(bound, work, self._timeout_s())

    async def _run(self, bound: Bound, work: Coroutine[Any, Any, Any], limit_s: float) -> Any:
        """Run *work* as a task of its own: one that ignores its cancellation is left behind."""
        longest_s = self._timeout_s()
        watched = self._watchdog.watched(bound.plugin.label, bound.hook, work)
        task = asyncio.create_task(watched, name=f"{bound.plugin.name} {bound.hook}")
        try:
            done, _ = await asyncio.wait((task,), timeout=limit_s)
        except (
            asyncio.CancelledError
        ):  # by whoever had waited for the answer; the client leaves before a long step ends
            abandon(task)
            if watched.longest_s > longest_s:
                self.switch_off(bound, _blocked(longest_s))
            raise
        if watched.longest_s > longest_s:
            abandon(task)
            self.switch_off(bound, _blocked(longest_s))
            raise HookFailed(_blocked(longest_s))
        if not done:
            abandon(task)
            raise HookFailed(f"took longer than {limit_s:g} s")
        if task.cancelled():
            raise HookFailed("cancelled itself")
        failure = task.exception()
        if failure is not None:
            raise HookFailed(told(failure)) from failure
        return task.result()

    def _note(self, bound: Bound, failure: HookFailed) -> None:
        bound.failures += 1
        plugin = bound.plugin
        if not bound.off:  # else it was under way when it was switched off, and that is what has to be told
            plugin.troubles[bound.hook] = str(failure)
        level = logging.ERROR if bound.failures == 1 else logging.DEBUG
        _log.log(level, "plugin %s: %s failed: %s", plugin.label, bound.hook, failure)
        if bound.failures >= FAILURES:
            self.switch_off(bound, f"{failure} ({FAILURES} failures in a row)")

    def switch_off(self, bound: Bound, why: str) -> None:
        """Call it no more until `enable`."""
        if bound.off:
            return
        bound.off = why
        bound.plugin.troubles[bound.hook] = f"switched off: {why}"
        _log.error("plugin %s: %s is switched off: %s", bound.plugin.label, bound.hook, why)
        self._degraded(bound)


def _blocked(limit_s: float) -> str:
    return f"blocked the loop for longer than {limit_s:g} s"


def abandon(task: asyncio.Task[Any]) -> None:
    """Cancel a task and forget it, whatever becomes of it."""
    task.cancel()
    task.add_done_callback(_swallow)


def told(error: BaseException) -> str:
    """An error in one line, with the line of code it came from."""
    text = " ".join(str(error).split())
    if isinstance(error, ThrumError):
        return text
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    if isinstance(error, SyntaxError) and error.filename:
        text, place = error.msg, f" ({error.filename}:{error.lineno})"
    return f"{type(error).__name__}{f': {text}' if text else ''}{place}"


def _swallow(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()


def _failed(answer: Any) -> bool:
    if isinstance(answer, BaseException) and not isinstance(answer, HookFailed):
        raise answer
    return isinstance(answer, HookFailed)
