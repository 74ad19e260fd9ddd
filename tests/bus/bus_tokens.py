"""What tests about tokens share: a clock, callers, and the methods over fakes of the rooms above."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from thrum_kernel.api import Caller
from thrum_kernel.bus.token_methods import TokenMethods
from thrum_kernel.bus.tokens import Tokens


class FakeClock:
    def __init__(self) -> None:
        self.us = 1_700_000_000_000_000

    def now_us(self) -> int:
        return self.us

    def monotonic(self) -> float:
        return self.us / 1e6


def person(**more: Any) -> Caller:
    """An anonymous caller of the Unix socket in a worktree, with no runtime above it."""
    facts: dict[str, Any] = {"kind": "anonymous", "pid": 42, "worktree": Path("/repo"), **more}
    return Caller(**facts)


def token_methods(
    tokens: Tokens, clock: FakeClock, *, git_user: Callable[[], tuple[str, str]] = lambda: ("", "")
) -> TokenMethods:
    users: set[str] = set()

    async def register(user_id: str, display: str) -> bool:
        is_new = user_id not in users
        users.add(user_id)
        return is_new

    return TokenMethods(tokens, clock, port=lambda: 4711, git_user=git_user, register_user=register)
