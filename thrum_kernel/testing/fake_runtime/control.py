"""The orders by which a test steers the program: one JSON object a line, one answer a line."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from typing import Any

from thrum_kernel.testing.fake_runtime.agent import Agent
from thrum_kernel.testing.fake_runtime.dialogs import DIALOGS


class Control:
    """Carries out orders.

    Args:
        draw: draws at once; gives the number of the frame.
    """

    def __init__(self, agent: Agent, draw: Callable[[], int]) -> None:
        self._agent = agent
        self._draw = draw
        self._orders: dict[str, Callable[..., object]] = {
            "state": lambda: None,
            "draft": agent.draft.set,
            "say": agent.say,
            "work": agent.work,
            "rest": agent.rest,
            "compact": agent.compact,
            "dialog": self._dialog,
            "drop": self._drop,
            "drop_next": agent.drops.plan,
            "set": self._set,
            "crash": self._crash,
            "exit": self._exit,
        }

    def answer(self, line: bytes) -> bytes:
        """Carry out one order and tell how things stand then; an order that is wrong is told so."""
        try:
            order = json.loads(line)
            self._orders[order.pop("do")](**order)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return json.dumps({"error": f"{type(error).__name__}: {error}"}).encode() + b"\n"
        return json.dumps(self._state(self._draw()), ensure_ascii=False).encode() + b"\n"

    def _state(self, frame: int) -> dict[str, Any]:
        agent = self._agent
        return {
            "pid": os.getpid(),
            "frame": frame,
            "owner": agent.seen().owner,
            "draft": agent.draft.text,
            "is_working": agent.is_working,
            "submitted": agent.submitted,
            "answered": agent.answered,
            "taken": agent.taken,
            "transcript": str(agent.transcript.path),
        }

    def _dialog(self, name: str) -> None:
        if name and name not in DIALOGS:
            raise KeyError(name)
        self._agent.dialog = name

    def _drop(self, rate: float, kinds: list[str]) -> None:
        self._agent.drops.rate, self._agent.drops.kinds = rate, tuple(kinds)

    def _set(self, **fields: Any) -> None:
        """Change how it behaves: ``face``, ``busy_s``, ``queues``, ``paste_s``, ``keeps_transcript``."""
        for name, value in fields.items():
            if name not in ("face", "busy_s", "queues", "paste_s", "keeps_transcript", "tokens"):
                raise KeyError(name)
            setattr(self._agent, name, value)

    def _exit(self, status: int = 0) -> None:
        self._agent.ended = status

    @staticmethod
    def _crash() -> None:
        """End as programs end that crash: at once, with the terminal left as it is."""
        os.kill(os.getpid(), signal.SIGKILL)
