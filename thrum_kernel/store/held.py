"""Lines that were held back when their window was cut: they are in no published file, and count here all the same.

A file of ``T/held`` holds the lines that one window lacks: a first line (`HeldHeader`) with the place and the reasons,
then the lines as they were journalled. It is durable before the unit of its window exists, so that no crash leaves a
line in neither. A cut that is done again after a crash may hold a line twice, in two files; a line counts once a place.

A released line is journalled again and travels under its new place; the copy here stays, since receipts of this
machine name the old place. A line of an earlier layout has no journal: its file here has a window for it alone, of which
there is no unit until it is released (`is_brought`).

Source: DESIGN.md D1, "Published files".
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from thrum_kernel.errors import FileDamaged
from thrum_kernel.ids import EARLIER_DAEMON
from thrum_kernel.jsonlines import decoder
from thrum_kernel.store.files import digest, drop, replace, write_new
from thrum_kernel.store.names import Window, parse_name, range_name
from thrum_kernel.store.purge import Purges, filtered
from thrum_kernel.store.scan import Problem
from thrum_kernel.store.tree import Line, Tree


class Reason(msgspec.Struct, frozen=True, array_like=True):
    """Why the line with this sequence was held back: names of patterns."""

    sequence: int
    patterns: tuple[str, ...]


class HeldHeader(msgspec.Struct, frozen=True, tag_field="thrum", tag="held"):
    """The first line of a file of held lines."""

    daemon: str
    writer: str
    first: int
    last: int
    reasons: tuple[Reason, ...]
    v: int = 1


class Release(msgspec.Struct, frozen=True):
    """Whose word let a line travel, and when (a timestamp); nobody's where its text was deleted."""

    event_id: str
    by: str
    at: str


@dataclass(frozen=True, slots=True)
class HeldLine:
    """A line that was held back, with its place and the patterns it matched."""

    daemon: str
    writer: str
    sequence: int
    line: bytes
    patterns: tuple[str, ...]

    @property
    def place(self) -> tuple[str, int]:
        return self.writer, self.sequence

    @property
    def is_brought(self) -> bool:
        """Whether a migration held it back: it lies in no unit, and is released by writing its own."""
        return self.daemon == EARLIER_DAEMON

    @property
    def event_id(self) -> str:
        """Of its event; empty where the line is none."""
        with contextlib.suppress(msgspec.MsgspecError):
            return _decode_id(self.line).event_id
        return ""


class _Named(msgspec.Struct):
    event_id: str = ""


_encode = msgspec.json.Encoder().encode
_decode_id = decoder(_Named)
_decode = decoder(HeldHeader)
_decode_release = decoder(Release)


def keep(
    tree: Tree, daemon: str, window: Window, lines: Sequence[Line], reasons: Sequence[tuple[str, ...]]
) -> None:
    """Put *lines*, which the unit of *window* will lack, where they stay; durable on return.

    Doing it again changes nothing.

    Raises:
        StoreError: the disk refuses; the window must not be published.
    """
    told = tuple(Reason(line.sequence, why) for line, why in zip(lines, reasons, strict=True))
    _write(tree, HeldHeader(daemon, *window, told), [line.line for line in lines])


def read_held(tree: Tree, report: Callable[[Problem], None] = lambda problem: None) -> list[HeldLine]:
    """Every line that was held back, released ones too, in order of places.

    Args:
        report: is told of every file that cannot be read; its lines are left out.

    Raises:
        FileMissing: a file went while it was looked for; look again.
        StoreError: the disk refuses.
    """
    found: dict[tuple[str, int], HeldLine] = {}
    for path in _files(tree):
        try:
            header, lines = _read(tree, path)
        except FileDamaged as error:
            report(Problem("damaged", f"held/{path.name}", error.reason))
            continue
        for reason, line in zip(header.reasons, lines, strict=True):
            held = HeldLine(header.daemon, header.writer, reason.sequence, line, reason.patterns)
            found.setdefault(held.place, held)
    return [found[place] for place in sorted(found)]


def filter_held(tree: Tree, purges: Purges) -> list[Problem]:
    """Take *purges* out of what is held back; files that cannot be judged, which stay.

    Raises:
        StoreError: the disk refuses; done again it goes on.
    """
    problems: list[Problem] = []
    for path in _files(tree):
        try:
            header, lines = _read(tree, path)
        except FileDamaged as error:
            problems.append(Problem("damaged", f"held/{path.name}", f"could not be purged: {error}"))
            continue
        after = [filtered(line, purges) for line in lines]
        if after != lines:
            reasons = tuple(why for why, line in zip(header.reasons, after, strict=True) if line is not None)
            left = [line for line in after if line is not None]
            if left:
                _write(tree, msgspec.structs.replace(header, reasons=reasons), left)
            drop(tree.disk, [path])
    return problems


def releases(tree: Tree) -> list[Release]:
    """What was released, oldest first. A damaged line of the note releases nothing."""
    if tree.disk.size(tree.released) is None:
        return []
    found = []
    for line in tree.disk.read(tree.released).split(b"\n"):
        with contextlib.suppress(msgspec.MsgspecError):
            found.append(_decode_release(line))
    return found


def note_released(tree: Tree, new: Iterable[Release]) -> None:
    """Note durably that lines may travel, besides those noted before."""
    known = {release.event_id: release for release in releases(tree)}
    for release in new:
        known.setdefault(release.event_id, release)
    data = b"".join(_encode(release) + b"\n" for release in known.values())
    replace(tree.disk, tree.released, data, temporary=tree.folders.ensure(tree.temporary))


def _files(tree: Tree) -> list[Path]:
    return [tree.held / entry.name for entry in tree.disk.entries(tree.held) if parse_name(entry.name)]


def _read(tree: Tree, path: Path) -> tuple[HeldHeader, list[bytes]]:
    data = tree.disk.read(path)
    name = parse_name(path.name)
    if name is None or name.digest != digest(data):
        raise FileDamaged(path, "its bytes are not those that its name tells")
    first, *lines = data.split(b"\n")[:-1]
    try:
        header = _decode(first)
    except msgspec.MsgspecError as error:
        raise FileDamaged(path, f"its first line is not that of held lines: {error}") from error
    if len(header.reasons) != len(lines):
        raise FileDamaged(path, f"holds {len(lines)} lines, not the {len(header.reasons)} it should")
    return header, lines


def _write(tree: Tree, header: HeldHeader, lines: Sequence[bytes]) -> None:
    data = b"\n".join([_encode(header), *lines]) + b"\n"
    name = range_name((Window(header.writer, header.first, header.last),), digest(data))
    path = tree.folders.ensure(tree.held) / name
    write_new(tree.disk, path, data, temporary=tree.folders.ensure(tree.temporary))
