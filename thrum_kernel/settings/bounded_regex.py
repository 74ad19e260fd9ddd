"""Regular expressions whose work at each place of a text is bounded, whatever the text.

Python's engine goes back and tries again, which takes for ever for some pairs of pattern and text. A pattern is taken
here only when the steps it can need from one place of a text are few: repeats need an upper bound, and what follows a
repeat is counted once for every length that the repeat may have. Possessive repeats (``{1,64}+``) and atomic groups
(``(?>…)``), which never go back, cost only their length.

The engine lets no other thread run while one call of it lasts. So a long text is searched in pieces, in calls whose work
is bounded, too (`found_in`): a match is no longer than the steps it needs, so pieces that overlap by so much miss none.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

MOST_STEPS: Final = 4096
"""Steps that a pattern may need from one place of a text."""

MOST_WORK: Final = 2_000_000
"""Steps of one call of the engine at most, some hundredths of a second."""

_SHORTEST_PIECE: Final = 64

_ONE_CHARACTER: Final = frozenset({"LITERAL", "NOT_LITERAL", "ANY", "IN", "RANGE", "CATEGORY"})
_REFUSED: Final = {
    "GROUPREF": "refers back to a group",
    "GROUPREF_IGNORE": "refers back to a group",
    "GROUPREF_EXISTS": "depends on a group",
}


class _Cost(NamedTuple):
    """Steps needed at most, and how many ways there are to go on behind."""

    steps: int
    ways: int


def compile_bounded(text: str) -> re.Pattern[str]:
    """The pattern *text*, for ASCII classes.

    Raises:
        ValueError: it is no pattern, matches nothing but places, or may need too long; the text says which.
    """
    if not text:
        raise ValueError("is empty")
    try:
        pattern = re.compile(text, re.ASCII)
        tree = importlib.import_module("re._parser").parse(text, re.ASCII)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"is no regular expression: {error}") from error
    if _sequence(tree).steps > MOST_STEPS:
        raise ValueError(
            f"may need more than {MOST_STEPS} steps at each place of a text:"
            " give repeats smaller bounds, or make them possessive, e.g. {1,64}+"
        )
    if tree.getwidth()[0] == 0:
        raise ValueError("matches the empty text")
    return pattern


@lru_cache(maxsize=256)
def steps_of(text: str) -> int:
    """Steps that a pattern of `compile_bounded` may need from one place of a text; no match of it is longer."""
    return max(1, _sequence(importlib.import_module("re._parser").parse(text, re.ASCII)).steps)


def found_in(pattern: re.Pattern[str], text: str, *, work: int = MOST_WORK) -> Iterator[re.Match[str]]:
    """The matches of a pattern of `compile_bounded`, as ``finditer`` gives them, in calls of at most *work* steps."""
    steps = steps_of(pattern.pattern)
    piece = max(_SHORTEST_PIECE, work // steps)
    start, size = 0, len(text)
    while start < size:
        end = start + piece
        for match in pattern.finditer(text, start, min(size, end + steps + 1)):
            if match.start() >= end:
                break  # the next piece has it whole
            yield match
            start = match.end()
        start = max(start, end)


def _sequence(nodes: Any) -> _Cost:
    steps, ways = 0, 1
    for operation, argument in nodes:
        cost = _cost(str(operation), argument)
        steps = _capped(steps + ways * cost.steps)
        ways = _capped(ways * cost.ways)
    return _Cost(steps, ways)


def _cost(operation: str, argument: Any) -> _Cost:
    if operation in _ONE_CHARACTER:
        return _Cost(1, 1)
    if operation == "AT":
        return _Cost(0, 1)
    if operation == "SUBPATTERN":
        return _sequence(argument[3])
    if operation == "BRANCH":
        branches = [_sequence(branch) for branch in argument[1]]
        return _Cost(_capped(sum(b.steps for b in branches)), _capped(sum(b.ways for b in branches)))
    if operation in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        return _repeat(operation, *argument)
    if operation in ("ASSERT", "ASSERT_NOT"):
        return _Cost(_sequence(argument[1]).steps, 1)
    if operation == "ATOMIC_GROUP":
        return _Cost(_sequence(argument).steps, 1)
    raise ValueError(_REFUSED.get(operation, f"uses {operation}, which is not known here"))


def _repeat(operation: str, least: int, most: int, item: Any) -> _Cost:
    if most > MOST_STEPS:
        raise ValueError(
            f"repeats without a bound, or more than {MOST_STEPS} times: write e.g. {{1,64}} for + and {{0,64}} for *"
        )
    once = _sequence(item)
    if operation == "POSSESSIVE_REPEAT":
        return _Cost(_capped(most * max(once.steps, 1)), 1)
    steps = ways = 0
    reached = 1  # in how many ways the item can have been matched so often
    for count in range(most + 1):
        ways = _capped(ways + (reached if count >= least else 0))
        if count < most:
            steps = _capped(steps + reached * max(once.steps, 1))
            reached = _capped(reached * once.ways)
    return _Cost(steps, ways)


def _capped(number: int) -> int:
    return min(number, 1 << 40)
