"""What an exchange needs: of git, commits of our own on one side and one branch of a remote on the other; of the rest, little.

`Repository` and `Remote` do it with git. The simulation has both in memory, so that it drives the real exchange and
merge through thousands of partitions and races in the time that one push takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from thrum_kernel.store.units import Unit


class BlobReader(Protocol):
    """Reads blobs one after another."""

    def expect(self, blobs: Iterable[str]) -> None:
        """These are read next, in this order: they may be made ready meanwhile."""
        ...

    def read(self, blob: str) -> bytes:
        """The bytes of a blob; raises GitFailed when it is not there."""
        ...


class Snapshots(Protocol):
    """What merging needs: what a commit holds."""

    def files(self, commit: str) -> dict[str, str]: ...
    def blobs(self) -> AbstractContextManager[BlobReader]: ...


class Commits(Snapshots, Protocol):
    """Our own repository; blocking. See `Repository`, whose methods these are."""

    @property
    def is_linked(self) -> bool: ...
    def is_sound(self) -> bool: ...
    def is_usable(self) -> bool: ...
    def prepare(self) -> None: ...
    def put_aside(self) -> Path: ...
    def tip(self, ref: str) -> str: ...
    def number(self, commit: str) -> int: ...
    def commit(self, parent: str, add: Sequence[str], remove: Sequence[str], message: str) -> str: ...
    def alone(self, commit: str, message: str) -> str: ...
    def move(self, ref: str, commit: str) -> None: ...
    def collect(self) -> None: ...
    def clear_out(self, *refs: str) -> None: ...
    def forget_damaged(self) -> None: ...


class Branch(Protocol):
    """The branch of a remote; blocking. See `Remote`, whose methods these are."""

    name: str

    @property
    def ref(self) -> str: ...
    def look(self) -> str: ...
    def fetch(self) -> None: ...
    def push(self, commit: str) -> None: ...
    def push_over(self, commit: str, tip: str) -> None: ...
    def begin_anew(self, commit: str, tip: str) -> None: ...


class Abandoning(Protocol):
    """What runs git, as far as it has to be ended."""

    def abandon(self) -> None: ...


class Counting(Protocol):
    """Lets what a merge brought count here; see `Ingest`."""

    async def take(self, units: Sequence[Unit]) -> int: ...


class Watching(Protocol):
    """Looks at what the branch holds under this daemon's id; see `Namesakes`. Blocking."""

    def __call__(self, units: Sequence[Unit], /) -> None: ...


class Pausing(Protocol):
    """Waits; a test does not."""

    async def __call__(self, seconds: float, /) -> None: ...
