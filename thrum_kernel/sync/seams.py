"""What an exchange needs of git: commits of our own on one side, one branch of a remote on the other.

`Repository` and `Remote` do it with git. The simulation has both in memory, so that it drives the real exchange and
merge through thousands of partitions and races in the time that one push takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol


class BlobReader(Protocol):
    """Reads blobs one after another."""

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
    def prepare(self) -> None: ...
    def put_aside(self) -> Path: ...
    def tip(self, ref: str) -> str: ...
    def commit(self, parent: str, add: Sequence[str], remove: Sequence[str], message: str) -> str: ...
    def move(self, ref: str, commit: str) -> None: ...
    def collect(self) -> None: ...


class Branch(Protocol):
    """The branch of a remote; blocking. See `Remote`, whose methods these are."""

    name: str

    @property
    def ref(self) -> str: ...
    def look(self) -> str: ...
    def fetch(self) -> None: ...
    def push(self, commit: str) -> None: ...


class Abandoning(Protocol):
    """What runs git, as far as it has to be ended."""

    def abandon(self) -> None: ...
