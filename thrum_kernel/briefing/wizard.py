"""The questions of ``thrum init`` on a terminal. Enter takes the default; an option that was given is not asked for.

All questions come before anything is written, so Ctrl-C at one of them has nothing to take back.
Source: spec/features.md §12.4; spec/decisions.md "init, prime…".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from thrum_kernel.api import InitPlan, InitStep, Question
from thrum_kernel.errors import UsageError


class Terminal(Protocol):
    """Where questions are asked."""

    def tell(self, text: str) -> None:
        """Show *text* now."""
        ...

    def ask(self, prompt: str) -> str:
        """The line typed after *prompt*; raises EOFError and KeyboardInterrupt."""
        ...


class Wizard:
    """Asks what no option answered.

    Args:
        terminal: where.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def ask(self, steps: Iterable[InitStep], plan: InitPlan) -> dict[str, str]:
        """The answers by key, asked step by step; a later step's questions see the answers before them.

        Args:
            plan: its options grow by every answer.

        Raises:
            KeyboardInterrupt: Ctrl-C or Ctrl-D.
        """
        answers: dict[str, str] = {}
        for step in steps:
            for question in step.questions(plan) if step.questions is not None else ():
                if plan.options.get(question.key) is None:
                    answers[question.key] = self._one(question)
        return answers

    def _one(self, question: Question) -> str:
        while True:
            try:
                typed = self._terminal.ask(self._prompt(question)).strip()
            except EOFError:
                raise KeyboardInterrupt from None
            try:
                return _answer(question, typed)
            except UsageError as error:
                hint = f" ({error.hint})" if error.hint else ""
                self._terminal.tell(f"  {error}{hint}\n")

    def _prompt(self, question: Question) -> str:
        if not question.choices:
            return f"{question.prompt} [{question.default}]: " if question.default else f"{question.prompt}: "
        lines = [question.prompt]
        lines += [f"  {number}) {label}" for number, (_, label) in enumerate(question.choices, start=1)]
        return "\n".join([*lines, f"Choose [{_number_of(question)}]: "])


def _answer(question: Question, typed: str) -> str:
    """What a typed line means.

    Raises:
        UsageError: nothing that can be taken.
    """
    answer = _chosen(question, typed) if question.choices else typed or question.default
    return question.check(answer) if question.check is not None else answer


def _chosen(question: Question, typed: str) -> str:
    values = [value for value, _ in question.choices]
    if not typed:
        return values[_number_of(question) - 1]
    if typed.isdecimal() and 1 <= int(typed) <= len(values):
        return values[int(typed) - 1]
    if typed in values:
        return typed
    raise UsageError(f"choose a number from 1 to {len(values)}")


def _number_of(question: Question) -> int:
    """The number of the default; the first when it is none of the choices."""
    values = [value for value, _ in question.choices]
    return values.index(question.default) + 1 if question.default in values else 1
