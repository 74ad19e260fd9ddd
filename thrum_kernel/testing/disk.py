"""A disk in memory that forgets what was not synced, and fails where a test tells it to.

It keeps two states of every file and folder: what a running program sees, and what a power cut leaves. `crashed`
gives the disk as it is found when the power is back: names that were not synced are there or not, bytes that were not
synced are there, missing, cut off or zeroed. A rename is never half done to the point of losing the file, as no file
system does that.

    disk = FaultDisk(faults={17: "fail"})      # the 17th call fails
    …
    disk.crashed(random.Random(1))             # the disk after a power cut now

Source: DESIGN.md D11.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from thrum_kernel.errors import FileMissing, StoreError, StoreFull
from thrum_kernel.store.disk import Entry, File

Fault = Literal["fail", "full"]
"""``fail``: the call does part of its work at most and reports an error. ``full``: from this call on there is no space
left, until `free` is called."""

_BLOCK = 512


@dataclass(eq=False)
class _Data:
    """A file: what programs see, and what is synced. Bytes of a failed sync are *lost*: no later sync stores them."""

    seen: bytearray = field(default_factory=bytearray)
    synced: bytes = b""
    is_lost: bool = False


@dataclass(eq=False)
class _Folder:
    seen: dict[str, _Data | _Folder] = field(default_factory=dict)
    synced: dict[str, _Data | _Folder] = field(default_factory=dict)


@dataclass(frozen=True)
class _Move:
    old: _Folder
    old_name: str
    new: _Folder
    new_name: str
    node: _Data | _Folder
    was_synced: bool


class FaultDisk:
    """A `thrum_kernel.store.disk.Disk` for one thread.

    Attributes:
        calls: how many calls were made.
        before_call: called with the disk before each call takes effect, for taking `crashed` images.
        is_honest: whether a sync stores anything; false makes the disk that every durability check must catch.
    """

    def __init__(
        self, root: Path = Path("/T"), *, faults: Mapping[int, Fault] | None = None, is_honest: bool = True
    ) -> None:
        self.calls = 0
        self.before_call: Callable[[FaultDisk, str], None] | None = None
        self.is_honest = is_honest
        self._faults = dict(faults or {})
        self._is_full = False
        self._root = root
        self._prefix = f"{root}/"
        self._top = _Folder()
        self._moves: list[_Move] = []

    def fail(self, call: int) -> None:
        """Let the call with this number fail."""
        self._faults[call] = "fail"

    def fill(self) -> None:
        """There is no space left from now on."""
        self._is_full = True

    def free(self) -> None:
        """There is space again."""
        self._is_full = False

    # the Disk

    def create(self, path: Path) -> File:
        folder = self._folder(path.parent)
        self._call("create", path)
        if path.name in folder.seen:
            raise StoreError(f"cannot create {path}: File exists")
        if self._is_full:
            raise StoreFull(path)
        data = _Data()
        folder.seen[path.name] = data
        return _Open(self, path, data)

    def sync_files(self, files: Sequence[File]) -> None:
        for file in files:
            file.sync()

    def sync_folder(self, folder: Path) -> None:
        node = self._folder(folder)
        self._call("sync folder", folder)
        if self.is_honest:
            node.synced = dict(node.seen)
            self._moves = [move for move in self._moves if move.new is not node]

    def make_folder(self, folder: Path) -> None:
        parent = self._folder(folder.parent)
        self._call("make folder", folder)
        if self._is_full and folder.name not in parent.seen:
            raise StoreFull(folder)
        if not isinstance(parent.seen.setdefault(folder.name, _Folder()), _Folder):
            raise StoreError(f"cannot make {folder}: File exists")

    def move(self, old: Path, new: Path) -> None:
        source, target = self._folder(old.parent), self._folder(new.parent)
        self._call("move", old)
        if old.name not in source.seen:
            raise FileMissing(old)
        node = source.seen.pop(old.name)
        target.seen[new.name] = node
        was_synced = source.synced.get(old.name) is node
        self._moves.append(_Move(source, old.name, target, new.name, node, was_synced))

    def remove(self, path: Path) -> None:
        folder = self._folder(path.parent)
        self._call("remove", path)
        folder.seen.pop(path.name, None)

    def cut_short(self, path: Path, size: int) -> None:
        data = self._data(path)
        self._call("truncate", path)
        del data.seen[size:]
        self.store(data)

    def entries(self, folder: Path) -> list[Entry]:
        self._call("list", folder)
        node = self._find(folder)
        if not isinstance(node, _Folder):
            return []
        return sorted(Entry(name, isinstance(below, _Folder)) for name, below in node.seen.items())

    def read(self, path: Path, *, offset: int = 0, length: int = -1) -> bytes:
        self._call("read", path)
        data = self._data(path).seen
        return bytes(data[offset:] if length < 0 else data[offset : offset + length])

    def size(self, path: Path) -> int | None:
        self._call("size", path)
        node = self._find(path)
        if isinstance(node, _Folder):
            return 0
        return None if node is None else len(node.seen)

    # what tests ask

    def files(self) -> dict[Path, bytes]:
        """Every file as a program sees it now."""
        found: dict[Path, bytes] = {}

        def walk(folder: _Folder, path: Path) -> None:
            for name, node in folder.seen.items():
                if isinstance(node, _Folder):
                    walk(node, path / name)
                else:
                    found[path / name] = bytes(node.seen)

        walk(self._top, self._root)
        return found

    def looks(self) -> int:
        """A number that is the same for two disks on which a program sees the same folders and files."""

        def seen(folder: _Folder) -> int:
            named = (
                (name, seen(node) if isinstance(node, _Folder) else bytes(node.seen))
                for name, node in folder.seen.items()
            )
            return hash(frozenset(named))

        return seen(self._top)

    def crashed(self, rng: random.Random | None = None) -> FaultDisk:
        """The disk after a power cut: with *rng* each unsynced change survives by chance, without it none does."""
        after = FaultDisk(self._root)
        copies: dict[int, _Data | _Folder] = {}
        after._top = _survivor(self._top, rng, copies)
        for move in self._moves:
            source, target = copies.get(id(move.old)), copies.get(id(move.new))
            node = copies.get(id(move.node))
            is_there = (
                isinstance(target, _Folder) and node is not None and target.seen.get(move.new_name) is node
            )
            if move.was_synced and not is_there and isinstance(source, _Folder):
                source.seen[move.old_name] = source.synced[move.old_name] = _copy(move.node, rng, copies)
        return after

    # inside

    def store(self, data: _Data) -> None:
        """What a sync that works does to a file."""
        if self.is_honest and not data.is_lost:
            data.synced = bytes(data.seen)

    def take(self, path: Path, data: _Data, written: bytes) -> int:
        """What a write does to a file."""
        try:
            self._call("write", path)
        except StoreError:
            data.seen += written[: len(written) // 2]
            raise
        if self._is_full:
            data.seen += written[: len(written) // 3]
            return len(written) // 3
        data.seen += written
        return len(written)

    def sync(self, path: Path, data: _Data) -> None:
        """What a sync does to a file; one that fails loses the bytes, though programs go on seeing them."""
        try:
            self._call("sync", path)
        except StoreError:
            data.is_lost = True
            raise
        self.store(data)

    def _call(self, verb: str, path: Path) -> None:
        self.calls += 1
        if self.before_call is not None:
            self.before_call(self, verb)
        fault = self._faults.get(self.calls)
        if fault == "full":
            self._is_full = True
        elif fault == "fail":
            raise StoreError(f"cannot {verb} {path}: Input/output error")

    def _find(self, path: Path) -> _Data | _Folder | None:
        node: _Data | _Folder | None = self._top
        if path == self._root:
            return node
        for part in str(path).removeprefix(self._prefix).split("/"):
            node = node.seen.get(part) if isinstance(node, _Folder) else None
        return node

    def _folder(self, path: Path) -> _Folder:
        node = self._find(path)
        if not isinstance(node, _Folder):
            raise FileMissing(path)
        return node

    def _data(self, path: Path) -> _Data:
        node = self._find(path)
        if not isinstance(node, _Data):
            raise FileMissing(path)
        return node


class _Open:
    """A file open for appending."""

    def __init__(self, disk: FaultDisk, path: Path, data: _Data) -> None:
        self._disk = disk
        self._path = path
        self._data = data

    def write(self, data: bytes) -> int:
        return self._disk.take(self._path, self._data, data)

    def sync(self) -> None:
        self._disk.sync(self._path, self._data)

    def close(self) -> None:
        """Nothing: closing stores nothing."""


def _survivor(folder: _Folder, rng: random.Random | None, copies: dict[int, _Data | _Folder]) -> _Folder:
    kept = dict(folder.synced)
    for name in sorted({*folder.synced, *folder.seen}) if rng is not None else ():
        if folder.synced.get(name) is not folder.seen.get(name) and rng is not None and rng.random() < 0.5:
            kept.pop(name, None)
            if name in folder.seen:
                kept[name] = folder.seen[name]
    copy = _Folder()
    copies[id(folder)] = copy
    copy.seen = {name: _copy(node, rng, copies) for name, node in kept.items()}
    copy.synced = dict(copy.seen)
    return copy


def _copy(
    node: _Data | _Folder, rng: random.Random | None, copies: dict[int, _Data | _Folder]
) -> _Data | _Folder:
    if id(node) in copies:
        return copies[id(node)]
    if isinstance(node, _Folder):
        return _survivor(node, rng, copies)
    content = _torn(node, rng) if rng is not None else node.synced
    copy = _Data(bytearray(content), content)
    copies[id(node)] = copy
    return copy


def _torn(data: _Data, rng: random.Random) -> bytes:
    """The synced bytes and some of the others: cut anywhere, a block of them zeroed at times."""
    seen, synced = bytes(data.seen), data.synced
    if not seen.startswith(synced):  # a truncation that was not synced
        return rng.choice((seen, synced))
    rest = bytearray(seen[len(synced) : rng.randint(len(synced), len(seen))])
    if rest and rng.random() < 0.3:
        at = rng.randrange(len(rest))
        rest[at : at + _BLOCK] = bytes(len(rest[at : at + _BLOCK]))
    return synced + bytes(rest)
