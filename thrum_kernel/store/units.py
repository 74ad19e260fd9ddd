"""A unit: one published events file together with the message files that its first line lists.

The events file is written last, so it is what makes its windows exist: its first line (`UnitHeader`) names the daemon,
the windows, and every message file of the same cut with the number of its lines and the digest of its bytes. All
units together are the version vector of the log. A message file with one window is plain JSONL; one with several
(`ended.…`) begins with a `ShardHeader`, its lines following window by window.

Source: DESIGN.md D1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec

from thrum_kernel.errors import FileDamaged
from thrum_kernel.jsonlines import decoder
from thrum_kernel.store.names import (
    Window,
    daemon_folder,
    fan_of,
    is_writer,
    parse_name,
    range_name,
)


class Slice(msgspec.Struct, frozen=True, array_like=True):
    """A window and how many of a file's lines belong to it: ``[writer, first, last, lines]``."""

    writer: str
    first: int
    last: int
    lines: int

    @property
    def window(self) -> Window:
        return Window(self.writer, self.first, self.last)


class ShardEntry(msgspec.Struct, frozen=True):
    """A message file as its unit lists it; *size* in bytes."""

    agent: str
    lines: int
    size: int
    digest: str


class UnitHeader(msgspec.Struct, frozen=True, tag_field="thrum", tag="events"):
    """The first line of an events file.

    ``start`` and ``end`` are the lowest and highest timestamp of the cut's events, of all files; a purge leaves them.
    ``held`` tells how many lines of the windows were held back when they were cut; absent for none.
    """

    daemon: str
    windows: tuple[Slice, ...]
    start: str
    end: str
    shards: tuple[ShardEntry, ...]
    v: int = 1
    held: int | msgspec.UnsetType = msgspec.UNSET


class ShardHeader(msgspec.Struct, frozen=True, tag_field="thrum", tag="messages"):
    """The first line of a message file with several windows; windows without a line are left out."""

    daemon: str
    agent: str
    windows: tuple[Slice, ...]
    v: int = 1


_encode = msgspec.json.Encoder().encode
_decode_unit = decoder(UnitHeader)
_decode_shard = decoder(ShardHeader)


@dataclass(frozen=True)
class Unit:
    """One events file and what it lists.

    Attributes:
        path: the events file, relative to the published folder.
        header: its first line.
        digest: of its bytes, as its name says.
    """

    path: Path
    header: UnitHeader
    digest: str

    @property
    def daemon(self) -> str:
        return self.header.daemon

    @property
    def windows(self) -> tuple[Window, ...]:
        return tuple(piece.window for piece in self.header.windows)

    @property
    def key(self) -> tuple[str, str, tuple[Window, ...]]:
        """Sorts units by when they began; what does not change in a purge."""
        return self.header.start, self.daemon, self.windows

    @property
    def lines(self) -> int:
        """Events in all its files."""
        return sum(piece.lines for piece in self.header.windows) + sum(
            shard.lines for shard in self.header.shards
        )

    @property
    def held(self) -> int:
        """How many lines of its windows were held back when they were cut."""
        return self.header.held or 0

    def shard_path(self, shard: ShardEntry) -> Path:
        """Where a message file lies, relative to the published folder."""
        return shard_path(self.daemon, shard.agent, self.windows, shard.digest)

    @property
    def paths(self) -> list[Path]:
        """Its files, the events file last."""
        return [Path(name) for name in self.names]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """`paths` as git writes them; kept, since every exchange asks for all of them."""
        return (*(str(self.shard_path(shard)) for shard in self.header.shards), str(self.path))


def events_path(daemon: str, windows: tuple[Window, ...], digest: str) -> Path:
    """Where an events file lies, relative to the published folder."""
    return Path("events", daemon_folder(daemon), fan_of(windows), range_name(windows, digest))


def shard_path(daemon: str, agent: str, windows: tuple[Window, ...], digest: str) -> Path:
    """Where a message file lies, relative to the published folder."""
    name = range_name(windows, digest, agent=agent)
    return Path("messages", daemon_folder(daemon), fan_of(windows, depth=2), name)


def encode_header(header: UnitHeader | ShardHeader) -> bytes:
    """The first line, without its newline."""
    return _encode(header)


def decode_unit(path: Path, line: bytes) -> Unit:
    """The unit whose events file lies at *path* (relative) and begins with *line*.

    Raises:
        FileDamaged: the line is not such a header, or tells other than the path.
    """
    name = parse_name(path.name)
    try:
        header = _decode_unit(line)
    except msgspec.MsgspecError as error:
        raise FileDamaged(path, f"its first line is not that of an events file: {error}") from error
    windows = tuple(piece.window for piece in header.windows)
    if (
        name is None
        or name.agent
        or not _is_sound(windows)
        or events_path(header.daemon, windows, name.digest) != path
    ):
        raise FileDamaged(path, "its first line tells of another place than its name")
    return Unit(path, header, name.digest)


def decode_shard(path: Path, line: bytes) -> ShardHeader:
    """The first line of a message file with several windows.

    Raises:
        FileDamaged: it is not one.
    """
    try:
        return _decode_shard(line)
    except msgspec.MsgspecError as error:
        raise FileDamaged(path, f"its first line is not that of a message file: {error}") from error


def _is_sound(windows: tuple[Window, ...]) -> bool:
    return bool(windows) and all(is_writer(w.writer) and 0 < w.first <= w.last for w in windows)
