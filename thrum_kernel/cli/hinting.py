"""Hints around a command: asked once its words are understood, before it does anything, and after it succeeded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal, Protocol

from thrum_kernel.api import Hint
from thrum_kernel.cli.output import Option, Output
from thrum_kernel.errors import ThrumError

if TYPE_CHECKING:
    from thrum_kernel.cli.command import Outcome

_PLAIN = (str, int, float, bool, type(None))


class Ask(Protocol):
    """Asks for the hints at a moment of a command."""

    def __call__(
        self,
        command: str,
        phase: Literal["before", "after"],
        *,
        params: Mapping[str, Any],
        result: Any,
        force: bool,
    ) -> Sequence[Hint]: ...


class AbortedByHint(ThrumError):
    """A hint before the command stops it; nothing was done.

    Attributes:
        hints: all that were given, the ones that stop it first.
    """

    def __init__(self, hints: Sequence[Hint]) -> None:
        self.hints = tuple(sorted(hints, key=lambda hint: hint.severity != "warn"))
        super().__init__(f"aborted by hint [{self.hints[0].code}]: {self.hints[0].message}")

    @property
    def hint(self) -> str:
        """How to get past it, where one can."""
        stopping = [hint for hint in self.hints if hint.severity == "warn"]
        return "--force gets past it" if all(hint.allow_force for hint in stopping) else ""


def tell_of_ignored_name(out: Output, name: str) -> None:
    """Hint at a ``THRUM_NAME`` that selects nobody: most likely it was meant for another worktree, or mistyped."""
    out.hint(
        "identity.name-ignored",
        f"THRUM_NAME={name} names no identity of this worktree: it is ignored",
        options=[Option("see who is here", "thrum whoami"), Option("forget it", "unset THRUM_NAME")],
    )


class Around:
    """What is asked around one command.

    Args:
        command: its words.
        ask: see `Ask`.
        out: where hints go, and what the command answered.
    """

    def __init__(self, command: str, ask: Ask, out: Output) -> None:
        self._command = command
        self._ask = ask
        self._out = out

    def run(self, function: Callable[..., Outcome], values: Mapping[str, Any]) -> Outcome:
        """Run the command between its hints.

        Raises:
            AbortedByHint: a warning stops it.
        """
        params = {name: _plain(value) for name, value in values.items() if _is_plain(value)}
        force = bool(values.get("force"))
        self._before(params, force=force)
        return self._then(function(**values), params, force=force)

    def _before(self, params: Mapping[str, Any], *, force: bool) -> None:
        hints = self._ask(self._command, "before", params=params, result=None, force=force)
        self._tell(hints)
        stopping = [hint for hint in hints if hint.severity == "warn" and not (hint.allow_force and force)]
        if stopping:
            raise AbortedByHint([*stopping, *(hint for hint in hints if hint not in stopping)])

    def _then(self, outcome: Outcome, params: Mapping[str, Any], *, force: bool) -> Outcome:
        """Ask again when the command succeeded; a long answer is waited for first."""
        if isinstance(outcome, int) or outcome is None:
            if not outcome and self._out.shows_hints:
                result = self._out.answer
                self._tell(self._ask(self._command, "after", params=params, result=result, force=force))
            return outcome
        finish, failed = outcome.finish, outcome.failed
        return replace(
            outcome,
            finish=lambda result: self._then(finish(result), params, force=force),
            failed=None if failed is None else lambda error: self._then(failed(error), params, force=force),
        )

    def _tell(self, hints: Sequence[Hint]) -> None:
        for hint in hints:
            options = [Option(option.label, option.cmd, option.note) for option in hint.options]
            self._out.hint(hint.code, hint.message, severity=hint.severity, options=options)


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, (*_PLAIN, PurePath))


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, str | PurePath):
        # Names of files may hold any bytes; what travels is text.
        return str(value).encode(errors="surrogateescape").decode(errors="replace")
    return value
