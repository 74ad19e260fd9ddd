"""What ``thrum doctor`` looks at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of ``thrum doctor``.

    Attributes:
        subject: what was looked at.
        level: ``ok``, ``warning`` or ``error``.
        text: what was found.
        remedy: the command that mends it; empty when nothing needs mending.
    """

    subject: str
    level: Literal["ok", "warning", "error"]
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Something that ``thrum doctor`` looks at.

    Attributes:
        subject: what, e.g. ``hooks``.
        look: ``(ctx) -> findings``, blocking.
        fix: ``(ctx, finding) -> said``, for findings that can be mended safely; None when none can.
    """

    subject: str
    look: Callable[[Any], Sequence[Finding]]
    fix: Callable[[Any, Finding], str] | None = None
