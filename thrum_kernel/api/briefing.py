"""Hints around commands, and sections of the briefing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from thrum_kernel.api.callers import Caller


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When hints are asked for.

    Attributes:
        command: words of the command, e.g. ``send`` or ``tmux create``.
        phase: ``before`` it does anything, or ``after`` it succeeded.
        caller: who runs it.
        params: its arguments and what else is known, plain values.
        result: what it gave, after.
        force: ``--force`` was given.
    """

    command: str
    phase: Literal["before", "after"]
    caller: Caller
    params: Mapping[str, Any] = field(default_factory=dict)
    result: Any = None
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HintOption:
    """Something one may do: shown as ``label: cmd  (note)``."""

    label: str
    cmd: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """A hint with a stable code.

    Attributes:
        code: e.g. ``send.recipient-stale``.
        severity: ``warn`` before a command stops it unless it is allowed to be forced and is; ``info`` only tells.
        message: one sentence.
        options: what one may do.
        allow_force: ``--force`` gets past it.
    """

    code: str
    severity: Literal["warn", "info"]
    message: str
    options: tuple[HintOption, ...] = ()
    allow_force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PrimeSection:
    """A section of the briefing.

    Attributes:
        key: its key in ``prime --json``.
        order: sections are shown by ascending order; the kernel's are 100, 200, … 1100 (see `briefing.prime`).
        text: Markdown; empty leaves it out of the text.
        data: its value in JSON.
    """

    key: str
    order: int
    text: str
    data: Any = None
