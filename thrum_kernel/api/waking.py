"""Waking a recipient, and what proves that it noticed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Wake:
    """Messages that their recipient has not seen yet.

    Attributes:
        agent_id: the recipient, resident on this daemon.
        message_ids: what waits, oldest first.
        senders: their authors, in the same order.
        priority: the highest among them.
    """

    agent_id: str
    message_ids: tuple[str, ...]
    senders: tuple[str, ...]
    priority: Literal["low", "normal", "high"] = "normal"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Proof that something happened to a delivery.

    Attributes:
        fact: ``injected``, ``seen``, ``read``, ``answered`` or ``failed``.
        means: what showed it, e.g. ``inbox``, ``hook:claude``, ``tmux``.
        message_ids: the messages it proves it for, no others.
        reason: why it failed; empty otherwise.
        retry_s: of a failed wake: seconds after which to try again when no other rung helps; None: when the ladder is
            climbed anew anyway.
    """

    fact: Literal["injected", "seen", "read", "answered", "failed"]
    means: str
    message_ids: tuple[str, ...]
    reason: str = ""
    retry_s: float | None = None
