"""Finds published files that are damaged or gone, and makes them good from our own repository; and the other way round.

Nothing else would notice before somebody needs them: a cache that is made anew, a purge, another clone that asks. All of
them are read a while after a start and once a day, slowly, and whenever a reader met damage. What is whole in a commit
that our own repository has comes back under its name, which tells its bytes; the rest is told, and stays as it is.
Then git checks every object of that repository. Where one is damaged or gone it is put aside, and the next exchange
makes it anew from the files and the remote: before somebody needs what it holds, or a push fails.

Source: issue "Sync", "rebuilt from the log whenever it is missing or damaged".
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final, Protocol

from thrum_kernel.api import Service
from thrum_kernel.errors import GitFailed, StoreError
from thrum_kernel.store.damage import is_named_after, listed, size_of, unsound
from thrum_kernel.store.files import replace
from thrum_kernel.store.tree import Tree
from thrum_kernel.sync.seams import BlobReader

_log = logging.getLogger(__name__)

FIRST_S: Final = 30.0
AGAIN_S: Final = 86_400.0
"""The first look comes so long after the start, and every further one so long after the last."""

PIECE_BYTES: Final = 16 << 20
PAUSE_S: Final = 0.2
"""So much is read at once, and then nothing for so long."""


class Versions(Protocol):
    """What mending needs of our own repository; blocking."""

    @property
    def is_there(self) -> bool: ...
    def is_sound(self) -> bool: ...
    def put_aside(self) -> Path: ...
    def abandon(self) -> None: ...
    def versions(self, path: str) -> Sequence[str]: ...
    def blobs(self) -> contextlib.AbstractContextManager[BlobReader]: ...


class Mender:
    """Looks and mends.

    Args:
        tree: the log.
        repository: of our own.
        still: while it is held, nothing is exchanged, published or purged.
        mended: awaited when files came back: what they hold may count nowhere yet.
        made_way: called when the repository was put aside: an exchange makes it anew.

    Attributes:
        problems: a sentence for each file that is damaged or gone and could not be made good, when it was looked last.
    """

    def __init__(
        self,
        *,
        tree: Tree,
        repository: Versions,
        still: Callable[[], AbstractAsyncContextManager[object]],
        mended: Callable[[], Awaitable[None]],
        made_way: Callable[[], None],
    ) -> None:
        self._made_way = made_way
        self.problems: list[str] = []
        self._tree = tree
        self._repository = repository
        self._still = still
        self._mended = mended
        self._noticed = asyncio.Event()

    def notice(self) -> None:
        """Somebody met damage: look soon."""
        self._noticed.set()

    def services(self) -> Sequence[Service]:
        """The looks, as the supervisor runs them."""
        return (Service(name="kernel.mend", run=self.run),)

    async def run(self, started: Callable[[], None]) -> None:
        """Look until cancelled; then git ends, too."""
        started()
        try:
            await self._look_on()
        finally:
            self._repository.abandon()

    async def _look_on(self) -> None:
        pause_s = FIRST_S
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._noticed.wait()
            self._noticed.clear()
            for look in (self.look, self.is_repository_sound):
                with contextlib.suppress(StoreError, GitFailed):  # the disk refuses now, which others tell
                    await look()
            pause_s = AGAIN_S

    async def look(self) -> list[str]:
        """Read every published file, and make good what can be; names of those that came back.

        Raises:
            StoreError: the disk refuses.
        """
        suspects = await self._suspects()
        if not suspects:
            self.problems = []
            return []
        async with self._still():
            back, lost = await asyncio.to_thread(self._restore, suspects)
        self.problems = [f"{path}: is damaged or gone, and whole in no commit that is here" for path in lost]
        for sentence in self.problems:
            _log.error("published files: %s", sentence)
        if back:
            _log.warning("published files: %d damaged or missing files were made good", len(back))
            await self._mended()
        return back

    async def is_repository_sound(self) -> bool:
        """Whether our own repository is whole; if not, it is put aside.

        Raises:
            GitFailed: that could not be found out.
            StoreError: it cannot be put aside.
        """
        if await asyncio.to_thread(
            self._repository.is_sound
        ):  # an exchange may be changing it: what looks damaged is looked at again in peace
            return True
        async with self._still():
            if await asyncio.to_thread(self._repository.is_sound):
                return True
            try:
                aside = await asyncio.to_thread(self._repository.put_aside)
            except OSError as error:
                raise StoreError(str(error)) from error
        _log.warning("our own repository is damaged and is made anew; it is kept in %s", aside)
        self._made_way()
        return False

    async def _suspects(self) -> list[Path]:
        """What was damaged or gone when it was read; a roll-up that came in between may explain it."""
        paths = await asyncio.to_thread(listed, self._tree)
        found: list[Path] = []
        for piece in await asyncio.to_thread(lambda: list(_pieces(self._tree, paths))):
            found += await asyncio.to_thread(unsound, self._tree, piece)
            if len(piece) < len(paths):
                await asyncio.sleep(PAUSE_S)
        return found

    def _restore(self, suspects: Sequence[Path]) -> tuple[list[str], list[str]]:
        """Names of the files that came back, and of those that did not; in a thread."""
        should = set(listed(self._tree))
        still = unsound(self._tree, [path for path in suspects if path in should])
        back: list[str] = []
        lost: list[str] = []
        with self._repository.blobs() as blobs:
            for path in still:
                (back if self._bring_back(path, blobs) else lost).append(str(path))
        return back, lost

    def _bring_back(self, path: Path, blobs: BlobReader) -> bool:
        if not self._repository.is_there:
            return False
        for blob in self._repository.versions(str(path)):
            with contextlib.suppress(GitFailed):
                data = blobs.read(blob)
                if is_named_after(path, data):
                    target = self._tree.published / path
                    self._tree.folders.ensure(target.parent)
                    temporary = self._tree.folders.ensure(self._tree.temporary)
                    replace(self._tree.disk, target, data, temporary=temporary)
                    return True
        return False


def _pieces(tree: Tree, paths: Sequence[Path]) -> Iterator[list[Path]]:
    """*paths* in lists that are read at once."""
    piece: list[Path] = []
    size = 0
    for path in paths:
        piece.append(path)
        size += size_of(tree, path)
        if size >= PIECE_BYTES:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece
