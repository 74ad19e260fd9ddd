"""A log in a folder of its own whose texts are shared with nobody, or with another such log."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from thrum_kernel.clock import SystemClock
from thrum_kernel.context.folder import ContextFolder
from thrum_kernel.context.sharing import Sharing
from thrum_kernel.errors import UnknownAgent
from thrum_kernel.ids import HybridClock
from thrum_kernel.store.disk import OsDisk
from thrum_kernel.store.purge import Purges
from thrum_kernel.store.shared import SharedTexts, take_copies
from thrum_kernel.store.tree import Tree


class House:
    """The published files of one daemon at *root*, and what shares texts there; `way.why_not` is what sending tells."""

    def __init__(
        self, root: Path, daemon: str = "d_ONE", *, held: Callable[[str], Sequence[str]] = lambda text: ()
    ) -> None:
        self.root = root
        sync = root / "T"
        sync.mkdir(parents=True, exist_ok=True)
        self.tree = Tree(OsDisk(), sync)
        self.tree.prepare()
        self.texts = SharedTexts(self.tree)
        self.daemon = daemon
        self.why_not = "no remote configured"
        self.agents: dict[str, tuple[str, str]] = {}
        self._ids = HybridClock(SystemClock())
        self._lock = asyncio.Lock()
        self.project = ContextFolder(root / ".thrum")
        (root / ".thrum").mkdir(exist_ok=True)
        self.sharing = Sharing(self.texts, self, project=self.project, held=held)

    def new_id(self, above: str) -> str:
        if above:
            self._ids.observe(above)
        return self._ids.next_ulid()

    @contextlib.asynccontextmanager
    async def quiet(self) -> AsyncIterator[None]:
        async with self._lock:
            yield

    async def hear(self) -> None:
        """Nobody else shares."""

    async def send(self) -> str:
        return self.why_not

    def address(self, name: str) -> tuple[str, str]:
        if name not in self.agents:
            raise UnknownAgent(name, ())
        return self.agents[name]

    def published(self) -> dict[str, bytes]:
        """Every copy here, by path."""
        return {copy.path: (self.tree.published / copy.path).read_bytes() for copy in self.texts.copies()}

    def take_from(self, other: House, purges: Purges | None = None) -> list[str]:
        """Take what *other* has, as a merge does; the reasons why some was not taken."""
        theirs = other.published()
        _, refused = take_copies(
            self.texts,
            {path: path for path in theirs},
            purges or Purges(),
            read=theirs.__getitem__,
            is_ahead=lambda ulid: not self._ids.observe(ulid),
        )
        self.sharing.take_state()
        return [why for _, why in refused]
