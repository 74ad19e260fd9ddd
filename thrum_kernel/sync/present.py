"""Which published files are here, asked for one by one."""

from __future__ import annotations

from collections.abc import Iterable

from thrum_kernel.store.tree import Tree


class Present:
    """Which published files are here, at one moment: each is looked for once, and only those that are asked for.

    A list of all of them costs more than a publish: a thousand folders for fifty agents.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._seen: dict[str, bool] = {}

    def __contains__(self, path: object) -> bool:
        assert isinstance(path, str)
        is_here = self._seen.get(path)
        if is_here is None:
            is_here = self._seen[path] = self._tree.disk.size(self._tree.published / path) is not None
        return is_here

    def update(self, paths: Iterable[str]) -> None:
        """*paths* were written meanwhile."""
        self._seen.update(dict.fromkeys(paths, True))
