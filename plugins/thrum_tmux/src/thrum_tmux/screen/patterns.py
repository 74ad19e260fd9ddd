"""The patterns by which a runtime's screens are read, as its preset gives them."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from thrum_kernel.api import RuntimePreset

_AT_CURSOR: Final = "at_cursor"


@dataclass(frozen=True, slots=True)
class Patterns:
    """Compiled; see `api.RuntimePreset` for what each is matched with.

    Attributes:
        line: None where no prompt is known: then none is ever found.
        at_cursor: the prompt is the row of the cursor.
    """

    line: re.Pattern[str] | None = None
    more: re.Pattern[str] | None = None
    above: re.Pattern[str] | None = None
    below: re.Pattern[str] | None = None
    footer: re.Pattern[str] | None = None
    placeholder: re.Pattern[str] | None = None
    pasted: re.Pattern[str] | None = None
    at_cursor: bool = False
    busy: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    dialog: Mapping[str, re.Pattern[str]] = field(default_factory=dict)

    @property
    def knows_prompt(self) -> bool:
        return self.line is not None


class PatternBroken(ValueError):
    """A pattern of a preset is no regular expression.

    Attributes:
        runtime, key: whose, and which, e.g. ``prompt.line``.
    """

    def __init__(self, runtime: str, key: str, why: str) -> None:
        super().__init__(f"runtime {runtime}: {key} is no regular expression: {why}")
        self.runtime = runtime
        self.key = key


def of(preset: RuntimePreset) -> Patterns:
    """The patterns of *preset*, compiled once.

    Raises:
        PatternBroken: one of them is none.
    """
    return _compiled(
        preset.name,
        tuple(sorted(preset.prompt.items())),
        tuple(preset.busy.items()),
        tuple(preset.dialog.items()),
    )


Items = tuple[tuple[str, str], ...]


@functools.lru_cache(maxsize=64)
def _compiled(runtime: str, prompt: Items, busy: Items, dialog: Items) -> Patterns:
    def compiled(section: str, items: Items) -> dict[str, re.Pattern[str]]:
        found = {}
        for name, pattern in items:
            try:
                found[name] = re.compile(pattern, re.MULTILINE)
            except re.error as error:
                raise PatternBroken(runtime, f"{section}.{name}", str(error)) from error
        return found

    rows = compiled("prompt", tuple(item for item in prompt if item[0] != _AT_CURSOR))
    known = {
        name: rows[name]
        for name in ("line", "more", "above", "below", "footer", "placeholder", "pasted")
        if name in rows
    }
    return Patterns(
        **known,
        at_cursor=any(name == _AT_CURSOR and value for name, value in prompt),
        busy=compiled("busy", busy),
        dialog=compiled("dialog", dialog),
    )
