"""Steps of ``thrum init``, with their options and questions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class InitOption:
    """An option that a step adds to ``thrum init``: ``--<name>``."""

    name: str
    help: str
    is_flag: bool = False
    metavar: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the wizard asks.

    Attributes:
        key: the option that answers it, so that no question is asked.
        prompt: the line, without its colon.
        default: taken on Enter.
        choices: numbered; empty for free text.
        check: gives the cleaned answer, or raises UsageError.
    """

    key: str
    prompt: str
    default: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    check: Callable[[str], str] | None = None


class InitPlan(Protocol):
    """What a step of ``init`` may do: every file goes through it, so that it can be listed and rolled back."""

    @property
    def repo(self) -> Path: ...
    @property
    def worktree(self) -> Path: ...
    @property
    def thrum(self) -> Path: ...
    @property
    def env(self) -> Mapping[str, str]:
        """The environment of whoever runs ``init``; ``HOME`` is theirs."""
        ...

    @property
    def dry_run(self) -> bool: ...
    @property
    def force(self) -> bool: ...
    @property
    def options(self) -> Mapping[str, Any]:
        """Every option given, and every answer."""
        ...

    def write(self, path: Path, data: bytes, *, mode: int = 0o644) -> None: ...
    def make_folder(self, path: Path) -> None: ...
    def configure(self, key: str, value: Any) -> None: ...
    def say(self, line: str) -> None: ...
    def report(self, key: str, value: Any) -> None:
        """Add to the JSON result."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class InitStep:
    """A step of ``thrum init``.

    Attributes:
        name: unique.
        order: steps run by ascending order; the kernel's: core 100, identity 200, worktrees 300, roles 400,
            runtime 500, daemon 800, registration 900.
        options: what it adds to the command.
        questions: ``(plan) -> questions`` asked on a terminal for what no option answered.
        run: ``(plan) -> None``, blocking; everything it writes goes through the plan.
    """

    name: str
    order: int
    run: Callable[[InitPlan], None]
    options: tuple[InitOption, ...] = ()
    questions: Callable[[InitPlan], Sequence[Question]] | None = None
