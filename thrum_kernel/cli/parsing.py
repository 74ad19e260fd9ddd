"""Typer's command with its work done once: the parser is kept, and options that were not given are not processed.

A command of twenty options is parsed some thousand times a day with two of them given. The values of the others are
the same each time; they are taken from the first run without any, where they cannot change.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

from typer.core import TyperCommand

_FIXED: Final = (bool, int, float, str, Enum, type(None))


class LeafCommand(TyperCommand):
    """A command whose parser is made once and shared by all its runs, which may be at the same time."""

    _kept_parser: Any = None
    _kept_values: dict[str, Any] | None = None

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Fill ``ctx.params``; as the base class does it, but for what was not given."""
        if ctx.resilient_parsing:
            parsed: list[str] = super().parse_args(ctx, args)
            return parsed
        if self._kept_parser is None:
            # An empty context: what the parser says in its errors is told by the caller's path.
            self._kept_parser = self.make_parser(self.context_class(self, info_name=self.name))
        given, rest, _ = self._kept_parser.parse_args(args=args)
        if self._kept_values is None:
            self._kept_values = self._values_not_given(ctx)
        kept = self._kept_values
        for param in sorted(self.params, key=_eager_first):
            if given.get(param.name) is None and param.name in kept:
                ctx.params[param.name] = kept[param.name]
            else:
                _, rest = param.handle_parse_result(ctx, given, rest)
        if rest and not ctx.allow_extra_args:
            ctx.fail(f"Got unexpected extra argument(s) ({' '.join(map(str, rest))})")
        ctx.args = rest
        return rest

    def _values_not_given(self, ctx: Any) -> dict[str, Any]:
        """What each parameter is when it is not given, where that is always the same."""
        values = {}
        for param in self.params:
            default = param.default
            is_fixed = isinstance(default, _FIXED) and not (param.required or param.envvar or param.callback)
            if is_fixed and not getattr(param, "prompt", None):
                values[param.name] = param.process_value(ctx, default)
        return {name: value for name, value in values.items() if isinstance(value, _FIXED)}


def _eager_first(param: Any) -> bool:
    return not param.is_eager
