"""Git in memory: a bare remote with one branch, and a daemon's own repository. Content-addressed, as git is.

The remote takes a push only on top of its tip, unless it is told to replace it. On the way to it an exchange can find it
unreachable, lose the answer to a push that was taken, or be overtaken by another daemon.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from thrum_kernel.errors import FileMissing, GitFailed
from thrum_kernel.store.tree import Tree
from thrum_kernel.sync.history import number_in
from thrum_kernel.sync.remote import Raced, RemoteFailed


@dataclass(frozen=True)
class Commit:
    """What a commit holds, what it follows (empty for a first one), and how many there are up to it."""

    files: dict[str, str]
    parent: str
    number: int


@dataclass
class Hub:
    """The bare remote, and every object that anybody ever made.

    Attributes:
        tip: the branch; empty before the first push.
        pushes, beginnings: how many were taken, and how many of them began the history anew.
    """

    tip: str = ""
    pushes: int = 0
    beginnings: int = 0
    commits: dict[str, Commit] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)

    def held(self) -> dict[str, bytes]:
        """Every file of the branch now."""
        found = self.commits[self.tip].files if self.tip else {}
        return {path: self.blobs[blob] for path, blob in found.items()}

    def follows(self, commit: str, tip: str) -> bool:
        """Whether *tip* is behind *commit*, as a push without force demands."""
        while commit and commit != tip:
            commit = self.commits[commit].parent
        return commit == tip


class MemoryRepository:
    """A daemon's own repository; see `sync.seams.Commits`. What it loses in a crash comes back from the remote."""

    def __init__(self, hub: Hub, tree: Tree, refs: dict[str, str]) -> None:
        self._hub = hub
        self._tree = tree
        self._refs = refs
        self._is_ready = False

    @property
    def is_linked(self) -> bool:
        return self._is_ready

    def is_sound(self) -> bool:
        return True

    def is_usable(self) -> bool:
        return True

    def prepare(self) -> None:
        self._is_ready = True

    def put_aside(self) -> Path:
        self._refs.clear()
        self._is_ready = False
        return Path("/T/repo.git.damaged")

    def tip(self, ref: str) -> str:
        return self._refs.get(ref, "")

    def files(self, commit: str) -> dict[str, str]:
        return dict(self._hub.commits[commit].files) if commit else {}

    @contextlib.contextmanager
    def blobs(self) -> Iterator[MemoryRepository]:
        yield self

    def expect(self, blobs: Iterable[str]) -> None:
        """They are here."""

    def read(self, blob: str) -> bytes:
        try:
            return self._hub.blobs[blob]
        except KeyError:
            raise GitFailed("cat-file", f"{blob} is not to be had") from None

    def commit(self, parent: str, add: Sequence[str], remove: Sequence[str], message: str) -> str:
        files = self.files(parent)
        for path in add:
            files[path] = self._blob(path)
        for path in remove:
            files.pop(path, None)
        if parent and files == self._hub.commits[parent].files:
            return parent
        return self._made(files, parent, message)

    def alone(self, commit: str, message: str) -> str:
        return self._made(self.files(commit), "", message)

    def number(self, commit: str) -> int:
        return self._hub.commits[commit].number if commit else 0

    def clear_out(self, *refs: str) -> None:
        """Nothing takes up room."""

    def forget_damaged(self) -> None:
        """Nothing is kept."""

    def move(self, ref: str, commit: str) -> None:
        self._refs[ref] = commit

    def collect(self) -> None:
        """Nothing is packed."""

    def _made(self, files: dict[str, str], parent: str, message: str) -> str:
        named = repr((sorted(files.items()), parent, message)).encode()
        commit = hashlib.sha1(named, usedforsecurity=False).hexdigest()
        self._hub.commits[commit] = Commit(files, parent, number_in(message) or 1)
        return commit

    def _blob(self, path: str) -> str:
        try:
            data = self._tree.disk.read(self._tree.published / path)
        except FileMissing as error:
            raise GitFailed("hash-object", f"{path} is not there") from error
        blob = hashlib.sha1(b"blob" + data, usedforsecurity=False).hexdigest()
        self._hub.blobs[blob] = data
        return blob


class MemoryRemote:
    """The remote as one daemon reaches it; see `sync.seams.Branch`.

    Attributes:
        is_cut: whether it cannot be reached.
        flaw: probability that a call fails although it can.
    """

    name = "origin"
    ref = "refs/remotes/origin/a-sync"

    def __init__(self, hub: Hub, repository: MemoryRepository, rng: random.Random) -> None:
        self.is_cut = False
        self.flaw = 0.0
        self._hub = hub
        self._repository = repository
        self._rng = rng

    def look(self) -> str:
        self._reach()
        return self._hub.tip

    def fetch(self) -> None:
        self._reach()
        self._repository.move(self.ref, self._hub.tip)

    def push(self, commit: str) -> None:
        self._reach()
        if not self._hub.follows(commit, self._hub.tip):
            raise Raced
        self._hub.tip = commit
        self._hub.pushes += 1
        self._reach()  # it was taken, and the answer may be lost

    def push_over(self, commit: str, tip: str) -> None:
        self._reach()
        if self._hub.tip != tip:
            raise Raced
        self._hub.tip = commit
        self._hub.pushes += 1
        self._reach()

    def begin_anew(self, commit: str, tip: str) -> None:
        self._reach()
        if self._hub.tip != tip:
            raise Raced
        self._hub.tip = commit
        self._hub.pushes += 1
        self._hub.beginnings += 1
        self._reach()

    def _reach(self) -> None:
        if self.is_cut or (self.flaw and self._rng.random() < self.flaw):
            raise RemoteFailed(self.name, "offline", "the network is down")


class NoProcesses:
    """There is no git to be ended."""

    def abandon(self) -> None:
        """Nothing runs."""
