"""Blocking work off the loop; what the disk refuses is told like any refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from thrum_kernel.api import PluginContext
from thrum_kernel.errors import Refused

P = ParamSpec("P")
T = TypeVar("T")


async def off_loop(ctx: PluginContext, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of *work*, in a thread.

    Raises:
        Refused: the disk refuses; names the file.
        ThrumError: whatever *work* refuses with.
    """

    def run() -> T:
        try:
            return work(*args, **kwargs)
        except OSError as error:
            raise Refused(f"{error.filename or 'a worktree'}: {error.strerror or error}") from error

    result: T = await ctx.in_thread(run)
    return result
