"""Answers of changes by request id: a retry joins the change in flight or gets its first answer.

After a restart the committer still knows which events a request caused; the method makes the answer from them. A
change that failed is forgotten, so that a retry tries again; events that it left all the same are found by *recall*.

Source: DESIGN.md D4 (request id).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

from thrum_kernel.api import Method
from thrum_kernel.bus.call import Call
from thrum_kernel.errors import IdentityError, RequestDone

KEEP_S: Final = 600.0
MAX_KEPT: Final = 10_000

Key = tuple[str, str, str, str]
Recall = Callable[[str], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class _Kept:
    result: Any
    until: float


def key_of(call: Call) -> Key:
    """What makes two requests the same: the caller, the method and the request id.

    Of a caller whom several identities fit the id alone tells: what is done for a place asks no name.
    """
    try:
        caller = call.caller
    except IdentityError:
        return "anonymous", "", call.method, call.request_id
    return caller.kind, caller.agent_id or str(caller.worktree or ""), call.method, call.request_id


class Answers:
    """Remembers for ten minutes, at most *limit* changes; *now* gives seconds that never go back."""

    def __init__(self, recall: Recall, *, now: Callable[[], float], limit: int = MAX_KEPT) -> None:
        self._recall = recall
        self._now = now
        self._limit = limit
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._running: dict[Key, asyncio.Task[Any]] = {}

    def find(self, key: Key) -> _Kept | asyncio.Task[Any] | None:
        """The answer given, the change in flight, or None."""
        kept = self._kept.get(key)
        if kept is not None and kept.until > self._now():
            return kept
        return self._running.get(key)

    def start(self, key: Key, change: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run *change*, remembered as the one of *key*."""
        task = asyncio.get_running_loop().create_task(change)
        self._running[key] = task
        task.add_done_callback(lambda done: self._settle(key, done))
        return task

    def from_log(self, method: Method, call: Call) -> tuple[Any] | None:
        """The answer of a change that an earlier run of the daemon carried out, in a tuple; None when it did not.

        Raises:
            RequestDone: it was carried out, but what it answered is not known any more.
        """
        events = self._recall(call.request_id)
        if not events:
            return None
        if method.recall is None:
            raise RequestDone(call.request_id)
        try:
            return (method.recall(call, events),)
        except LookupError:  # events of another caller or method under the same id
            return None

    def _settle(self, key: Key, task: asyncio.Task[Any]) -> None:
        self._running.pop(key, None)
        if task.cancelled() or task.exception() is not None:
            return
        now = self._now()
        self._kept[key] = _Kept(task.result(), now + KEEP_S)
        self._kept.move_to_end(key)
        while self._kept:
            oldest = next(iter(self._kept.values()))
            if len(self._kept) <= self._limit and oldest.until > now:
                return
            self._kept.popitem(last=False)
