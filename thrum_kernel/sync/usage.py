"""What the log takes up on the disk of this machine, and whether that is more than it should."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from thrum_kernel.paths import Paths


class Part(msgspec.Struct, kw_only=True, frozen=True):
    """Bytes and number of all files of one folder."""

    bytes: int = 0
    files: int = 0


class Usage(msgspec.Struct, kw_only=True, frozen=True):
    """What the log takes up here.

    ``journal`` is what is not published yet, ``published`` the files of the branch, ``repository`` our own git
    repository with its history; ``bytes`` and ``files`` are all three. ``commits`` of the branch since its history
    began, 0 while that is not known. ``budget_bytes`` is what ``daemon.sync.budget_mb`` allows, 0 without limit.
    """

    bytes: int
    files: int
    commits: int
    budget_bytes: int
    journal: Part
    published: Part
    repository: Part

    @property
    def is_past_budget(self) -> bool:
        """Whether it is more than is allowed."""
        return 0 < self.budget_bytes < self.bytes


def usage_of(where: Paths, *, commits: int = 0, budget_bytes: int = 0) -> Usage:
    """What the log at *where* takes up now; blocking."""
    journal, published, repository = map(part_of, (where.journal, where.published, where.repository))
    parts = (journal, published, repository)
    return Usage(
        bytes=sum(part.bytes for part in parts),
        files=sum(part.files for part in parts),
        commits=commits,
        budget_bytes=budget_bytes,
        journal=journal,
        published=published,
        repository=repository,
    )


def part_of(folder: Path) -> Part:
    """Bytes and files below *folder*; what goes away meanwhile does not count."""
    size = files = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.lstat(f"{root}/{name}").st_size
            except FileNotFoundError:
                continue
            files += 1
    return Part(bytes=size, files=files)


def mib(size: int) -> str:
    """*size* in bytes, as it is told to people."""
    return f"{size / (1 << 20):.1f} MiB"
