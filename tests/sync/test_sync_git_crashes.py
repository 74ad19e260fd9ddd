"""An exchange that ends at any git process, before it or after it, loses nothing and is made good by the next one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from sync_sides import Side, Watched, remote_files

from thrum_kernel.git.process import Answer
from thrum_kernel.settings.core import Sync
from thrum_kernel.testing.harness import Repo

ONE = "d_01JABCDEFGHJKMNPQRSTVWXYZ1"
TWO = "d_01JABCDEFGHJKMNPQRSTVWXYZ2"


class PowerCut(BaseException):
    """Nothing of ours may catch this."""


class Dying(Watched):
    """Ends at the n-th process: `dies_at` counts down; when *after*, what that process did is done."""

    dies_at = -1
    after = False

    def run(self, *words: str, **rest: Any) -> Answer:
        is_last = self._is_last()
        if is_last and not self.after:
            raise PowerCut
        answer = super().run(*words, **rest)
        if is_last:
            raise PowerCut
        return answer

    @contextlib.contextmanager
    def conversation(self, *words: str, cwd: Path) -> Iterator[Popen[bytes]]:
        is_last = self._is_last()
        if is_last and not self.after:
            raise PowerCut
        with super().conversation(*words, cwd=cwd) as process:
            yield process
        if is_last:
            raise PowerCut

    def _is_last(self) -> bool:
        self.dies_at -= 1
        return self.dies_at == -1


@pytest.fixture
def origin(tmp_path: Path, isolated_home: dict[str, str]) -> Repo:
    path = tmp_path / "origin.git"
    repo = Repo(tmp_path, tmp_path, isolated_home)
    repo.git("init", "-q", "--bare", str(path))
    return Repo(path, path, isolated_home)


def user(origin: Repo, name: str) -> Repo:
    path = origin.path.parent / name
    path.mkdir()
    repo = Repo(path, path, origin.env)
    repo.git("init", "-q")
    repo.git("remote", "add", "origin", str(origin.path))
    return repo


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("most", [0, 2], ids=["growing", "begun anew"])
def test_a_power_cut_at_every_git_process(origin: Repo, after: bool, most: int) -> None:
    settings = Sync(reroot_commits=most)
    first, second = user(origin, "one"), user(origin, "two")

    async def main() -> None:
        two = Side(second, TWO, settings=settings)
        deaths = 0
        for at in range(40):
            one = Side(first, ONE, runner=Dying, settings=settings)
            if at % 4 == 0:  # so that there is something to merge, or a push that was outrun
                await two.house.committer.send(f"two {at}", agent="bob")
                await two.sync()
            await one.house.committer.send(f"one {at}")
            assert isinstance(one.runner, Dying)
            one.runner.dies_at, one.runner.after = at, after
            try:
                await one.sync()
            except PowerCut:
                deaths += 1
            else:
                break
            await one.house.committer.rotate()
        assert deaths >= 5
        await two.sync()
        last = Side(first, ONE, settings=settings)
        await last.sync()
        await two.sync()
        expected = {f"one {at}" for at in range(deaths + 1)} | {f"two {at}" for at in range(0, deaths + 1, 4)}
        for side in (last, two):
            texts = b"\n".join(side.lines())
            assert all(f'"{text}"'.encode() in texts for text in expected)
            assert len(side.lines()) == len(expected)
        assert last.files() == two.files() == remote_files(origin) - {"FORMAT"}
        assert not most or int(origin.git("rev-list", "--count", "a-sync")) <= most

    asyncio.run(main())
