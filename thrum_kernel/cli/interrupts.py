"""Ctrl-C where it must not fall between two things that belong together, and other signals that mean the same."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Hold an interrupt back until the block has ended; outside the main thread there are none to hold."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        held.append(number)

    before = {number: signal.signal(number, hold) for number in SIGNALS if signal.getsignal(number)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for late in dict.fromkeys(held):
            signal.raise_signal(late)


@contextlib.contextmanager
def all_alike() -> Iterator[None]:
    """Let a closed terminal and a plain kill end the block as Ctrl-C does: what was begun is taken back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    others = (signal.SIGTERM, signal.SIGHUP)
    ignored = [number for number in others if signal.getsignal(number) is signal.SIG_IGN]  # nohup
    wanted = [number for number in others if number not in ignored and signal.getsignal(number)]
    before = {number: signal.signal(number, _interrupt) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
