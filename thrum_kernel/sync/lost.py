"""What the log lists and nobody can give any more: it keeps the history from beginning anew until somebody gives it up.

An older commit may be all that is left of such a file, so none is let go while one is missed. Giving a file up only ends
that wait. It stays listed, `log verify` goes on naming it, and a clone that still has it brings it back as it is.

Source: DESIGN.md D1; issue "Sync", "Bounded history".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from thrum_kernel.store.scan import Problem, scan
from thrum_kernel.store.tree import Tree


class Lost(NamedTuple):
    """A file that is missed.

    Attributes:
        path: of the published file.
        lines: how many events the lists say that it holds; 0 where no list tells.
        why: one sentence, without the path.
    """

    path: str
    lines: int
    why: str


def missed(tree: Tree, problems: Iterable[Problem], lacking: Iterable[str]) -> list[Lost]:
    """What was not given up yet of the files that could not be taken (*problems*) or are nowhere (*lacking*)."""
    why = {problem.path: "something on the branch could not be taken" for problem in problems}
    why |= dict.fromkeys(lacking, "a file that is listed is neither here nor on the branch")
    if not why:
        return []
    given_up = tree.given_up()
    left = {path: text for path, text in why.items() if path not in given_up}
    lines = _lines(tree) if left else {}
    return [Lost(path, lines.get(path, 0), text) for path, text in left.items()]


def _lines(tree: Tree) -> dict[str, int]:
    """How many events each listed message file holds."""
    return {
        str(unit.shard_path(shard)): shard.lines for unit in scan(tree).units for shard in unit.header.shards
    }
