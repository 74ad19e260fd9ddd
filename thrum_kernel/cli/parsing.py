"""Typer's command with its work done once: the parser is kept, and options that were not given are not processed.

A command of twenty options is parsed some thousand times a day with two of them given. The values of the others are
the same each time; they are taken from the first run without any, where they cannot change.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Any, Final

from typer.core import TyperCommand

_NEGATIVE: Final = re.compile(r"-\d+(\.\d*)?([eE][+-]?\d+)?")
_MASK: Final = "\0"
_FIXED: Final = (bool, int, float, str, Enum, type(None))


class LeafCommand(TyperCommand):
    """A command whose parser is made once and shared by all its runs, which may be at the same time."""

    _kept_parser: Any = None
    _kept_values: dict[str, Any]
    _by_name: dict[str, Any]
    _always: list[Any]
    """Parameters that are processed also when they are not given."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Fill ``ctx.params``; as the base class does it, but for what was not given."""
        if ctx.resilient_parsing:
            parsed: list[str] = super().parse_args(ctx, args)
            return parsed
        if self._kept_parser is None:
            self._keep(ctx)
        given, rest, _ = self._kept_parser.parse_args(args=[_masked(word) for word in args])
        if any(map(_NEGATIVE.fullmatch, args)):
            given, rest = {name: _unmasked(value) for name, value in given.items()}, _unmasked(rest)
        kept = self._kept_values
        ctx.params.update(kept)
        found = [self._by_name[name] for name, value in given.items() if value is not None and name in kept]
        for param in sorted([*found, *self._always], key=_eager_first):
            _, rest = param.handle_parse_result(ctx, given, rest)
        if rest and not ctx.allow_extra_args:
            ctx.fail(f"Got unexpected extra argument(s) ({' '.join(map(str, rest))})")
        ctx.args = left = list(rest)
        return left

    def _keep(self, ctx: Any) -> None:
        self._kept_values = self._values_not_given(ctx)
        self._by_name = {param.name: param for param in self.params}
        self._always = [param for param in self.params if param.name not in self._kept_values]
        # An empty context: what the parser says in its errors is told by the caller's path. Set last: threads look.
        self._kept_parser = self.make_parser(self.context_class(self, info_name=self.name))

    def _values_not_given(self, ctx: Any) -> dict[str, Any]:
        """What each parameter is when it is not given, where that is always the same."""
        values: dict[str, Any] = {}
        for param in self.params:
            if param.required or param.envvar or getattr(param, "prompt", None) or callable(param.default):
                continue
            if (
                param.is_eager and param.default is False
            ):  # a flag like --help: its callback is for when it is given
                values[param.name] = False
            elif not param.callback:
                values[param.name] = param.process_value(ctx, () if _takes_many(param) else param.default)
        return {name: () if value == [] else value for name, value in values.items() if _fixed(value)}


def _masked(word: str) -> str:
    """A negative number as the parser takes it for no option: no option of ours is a digit, and no word holds NUL."""
    return f"{_MASK}{word}" if _NEGATIVE.fullmatch(word) else word


def _unmasked(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_unmasked(each) for each in value)
    return value.removeprefix(_MASK) if isinstance(value, str) else value


def _takes_many(param: Any) -> bool:
    return param.default is None and (param.nargs == -1 or getattr(param, "multiple", False))


def _fixed(value: Any) -> bool:
    """Whether every run may be given the same *value*."""
    return isinstance(value, _FIXED) or value in ([], ())


def _eager_first(param: Any) -> bool:
    return not param.is_eager
