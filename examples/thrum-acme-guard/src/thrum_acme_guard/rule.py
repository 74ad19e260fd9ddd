"""The rule: who of those that a message is for is outside?"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

EVERYONE = "everyone"


def outside(params: Mapping[str, Any], allowed: Collection[str]) -> list[str]:
    """Whom a message would reach who is not *allowed*, as it names them and without ``@``.

    Args:
        params: of ``message.send``.
        allowed: names of agents, groups and roles.
    """
    return [name for name in dict.fromkeys(_audience(params)) if name not in allowed]


def _audience(params: Mapping[str, Any]) -> list[str]:
    """The names that a message is for; an answer without any is for whoever is answered."""
    to = params.get("to") or []
    named = [to] if isinstance(to, str) else list(to)
    named += params.get("mentions") or []
    if not named and not params.get("reply_to") and not params.get("thread_id"):
        return [EVERYONE]
    return [_name(address) for address in named]


def _name(address: str) -> str:
    """``@bob@laptop`` and ``bob`` are both called bob."""
    return address.removeprefix("@").partition("@")[0]
