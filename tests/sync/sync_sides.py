"""One side of an exchange without a daemon: a log with committer and publisher, and our repository in a user's clone."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from subprocess import Popen
from typing import Any

from sync_parts import MESSAGE_TYPES, House

from thrum_kernel import gitdir
from thrum_kernel.clock import SystemClock
from thrum_kernel.errors import FileMissing
from thrum_kernel.git.process import Answer
from thrum_kernel.settings.core import Sync
from thrum_kernel.store.read import read_window
from thrum_kernel.store.units import Unit
from thrum_kernel.sync.exchange import Exchange, Exchanged
from thrum_kernel.sync.history import History
from thrum_kernel.sync.merge import Merger
from thrum_kernel.sync.process import Runner
from thrum_kernel.sync.remote import Choice, Remote, choose
from thrum_kernel.sync.repository import Repository
from thrum_kernel.testing.harness import Repo


class Watched(Runner):
    """Keeps what git was asked for."""

    def __init__(self, git_dir: Path, work_tree: Path, *, environ: Mapping[str, str]) -> None:
        super().__init__(git_dir, work_tree, environ=environ)
        self.words: list[str] = []

    def run(self, *words: str, **rest: Any) -> Answer:
        self.words.append(words[0])
        return super().run(*words, **rest)

    @contextlib.contextmanager
    def conversation(self, *words: str, cwd: Path) -> Iterator[Popen[bytes]]:
        self.words.append(words[0])
        with super().conversation(*words, cwd=cwd) as process:
            yield process


class Heard:
    """Keeps the lines that come from the other side."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self.lines: list[bytes] = []

    async def take(self, units: Sequence[Unit]) -> int:
        found = []
        for unit in units:
            with contextlib.suppress(FileMissing):
                found += [line.line for line in read_window(self._side.house.tree, unit)]
        self.lines += found
        return len(found)


async def at_once(seconds: float) -> None:
    """A pause that takes no time."""
    await asyncio.sleep(0)


class Side:
    """A user's clone with a log in it; `Side(repo)` again is a restart.

    Args:
        daemon: whose log it is; two sides need two.
        env: what the environment has beside that of *repo*.
        runner: what runs git.
        settings: when the history begins anew; without them never by itself.
    """

    def __init__(
        self,
        repo: Repo,
        daemon: str,
        *,
        env: Mapping[str, str] | None = None,
        runner: type[Watched] | None = None,
        settings: Sync | None = None,
    ) -> None:
        self.repo = repo
        self.folder = repo.path / ".git/thrum-sync"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.house = House(self.folder, daemon=daemon)
        self.heard = Heard(self)
        environ = {**os.environ, **repo.env, **(env or {})}
        self.runner = (runner or Watched)(self.folder / "repo.git", self.published, environ=environ)
        self.settings = settings or Sync(reroot_commits=0, reroot_after_purge=False)
        self.history = History(
            self.folder / "history.json",
            settings=lambda: self.settings,
            clock=SystemClock(),
            spread=lambda: 1.0,
        )
        self.choice: Choice = choose(gitdir.locate(repo.path))
        self.repository = Repository(
            self.folder / "repo.git",
            self.published,
            runner=self.runner,
            object_format=self.choice.object_format,
        )
        self.exchange = self.with_remote(Remote(self.choice, runner=self.runner, cwd=repo.path))
        self.house.publisher.on_changed.append(self._changed)

    def with_remote(self, remote: Remote) -> Exchange:
        """An exchange with a remote that the test made."""
        return Exchange(
            remote=remote,
            repository=self.repository,
            runner=self.runner,
            merger=Merger(self.house.tree, self.repository, daemon=self.house.daemon),
            cutter=self.house.cutter,
            publisher=self.house.publisher,
            ingest=self.heard,
            history=self.history,
            clock=SystemClock(),
            name=self.repo.path.name,
            pause=at_once,
        )

    @property
    def published(self) -> Path:
        return self.folder / "a-sync"

    async def sync(self) -> Exchanged:
        """Publish and exchange."""
        await self.house.publisher.cut_now()
        return await self.exchange.run()

    def files(self) -> set[str]:
        """The published files, by path."""
        return {str(path.relative_to(self.published)) for path in self.published.rglob("*.jsonl")}

    def lines(self) -> list[bytes]:
        """Every line of the log here, in no order that counts."""
        return sorted(self.house.lines())

    def _changed(self) -> None:
        self.exchange.has_news = True


def remote_files(origin: Repo) -> set[str]:
    """What the remote's branch holds."""
    return set(origin.git("ls-tree", "-r", "--name-only", "a-sync").split())


def remote_text(origin: Repo) -> str:
    """Every byte that the remote's branch holds now."""
    return "\n".join(
        origin.git("cat-file", "blob", f"a-sync:{path}") for path in sorted(remote_files(origin))
    )


__all__ = ["MESSAGE_TYPES", "Side", "Watched", "at_once", "remote_files", "remote_text"]
