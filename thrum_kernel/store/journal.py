"""The journal: one file for each daemon start, where an event is durable before anybody is told that it was sent.

The file is `<writer>.jsonl`. Its first line names the writer, its daemon, and the writer before it with the sequence
where that one ended; every further line is an event. `append` writes a batch with one call and syncs once. A short
write, a failed write or a failed sync ends the journal for good: what the system did with those bytes cannot be known
any more, so they are taken out again where that is possible, and in any case the next journal's first line says where
this one ended, which makes `recover` leave them out.

Acknowledged means: `append` returned. Everything acknowledged lies before every byte that was not synced, so cutting
at the first line that is not whole never takes an acknowledged one.

Source: DESIGN.md D1.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Self

import msgspec

from thrum_kernel.errors import FileDamaged, StoreError, StoreFull
from thrum_kernel.jsonlines import decoder
from thrum_kernel.store.disk import Disk, File, Folders
from thrum_kernel.store.files import digest, drop, write_new

_log = logging.getLogger(__name__)

SUFFIX: Final = ".jsonl"
_BLOCK: Final = 1 << 22


class Previous(msgspec.Struct, frozen=True):
    """The journal before: its writer, and the last sequence that was acknowledged in it."""

    writer: str
    last: int


class JournalHeader(msgspec.Struct, frozen=True, tag_field="thrum", tag="journal"):
    """The first line of a journal."""

    writer: str
    daemon: str
    previous: Previous | None = None
    v: int = 1


class Mark(NamedTuple):
    """How far a journal is durable: its last sequence and the bytes up to and including that line."""

    sequence: int
    offset: int


class _Numbered(msgspec.Struct):
    sequence: int


_encode = msgspec.json.Encoder().encode
_decode_header = decoder(JournalHeader)
_decode_number = decoder(_Numbered)


class Journal:
    """The journal that this daemon start appends to. `append` is for one thread at a time; `mark` for any."""

    def __init__(self, disk: Disk, path: Path, file: File, header: JournalHeader, offset: int) -> None:
        self._disk = disk
        self._path = path
        self._file = file
        self._header = header
        self._mark = Mark(0, offset)
        self._is_named = False
        self._failure: StoreError | None = None
        self._is_ended = False

    @classmethod
    def open_new(
        cls, disk: Disk, folder: Path, *, writer: str, daemon: str, previous: Previous | None
    ) -> Self:
        """A new journal in *folder*; nothing is durable before the first `append`, and nothing needs to be.

        Raises:
            StoreError: the file exists or cannot be made.
        """
        Folders(disk, folder.parent).ensure(folder)
        header = JournalHeader(writer=writer, daemon=daemon, previous=previous)
        line = _encode(header) + b"\n"
        path = folder / f"{writer}{SUFFIX}"
        file = disk.create(path)
        try:
            if file.write(line) != len(line):
                raise StoreError(f"cannot begin the journal {path}: short write")
        except StoreError:
            with contextlib.suppress(StoreError):
                file.close()
            with contextlib.suppress(StoreError):  # nothing in it counts; it would be told as damaged
                disk.remove(path)
            raise
        return cls(disk, path, file, header, len(line))

    @property
    def path(self) -> Path:
        return self._path

    @property
    def writer(self) -> str:
        return self._header.writer

    @property
    def previous(self) -> Previous | None:
        return self._header.previous

    @property
    def mark(self) -> Mark:
        """How far it is durable."""
        return self._mark

    @property
    def last(self) -> int:
        """The last acknowledged sequence, 0 when there is none."""
        return self._mark.sequence

    def append(self, lines: Sequence[bytes]) -> None:
        """Make *lines* durable, in order, with one write and one sync; `mark` is then where the journal ends.

        Each line is one event without its newline, numbered on from `last` without gaps.

        Raises:
            ValueError: a line is not what it should be; nothing was written and the journal goes on.
            StoreError: nothing of it counts; the journal is ended.
        """
        if self._is_ended:
            raise self._failure or StoreError(f"the journal {self._path.name} is ended")
        self._check(lines)
        data = b"\n".join(lines) + b"\n"
        try:
            self._store(data)
        except StoreError as error:
            self._fail(error)
            raise
        self._mark = Mark(self._mark.sequence + len(lines), self._mark.offset + len(data))

    def end(self) -> Previous:
        """Close it; what the next journal's first line says about it. Fine when done twice."""
        if not self._is_ended:
            self._is_ended = True
            with contextlib.suppress(StoreError):  # everything acknowledged is synced already
                self._file.close()
        return Previous(self.writer, self.last)

    def _check(self, lines: Sequence[bytes]) -> None:
        if not lines:
            raise ValueError("an append needs at least one line")
        for expected, line in enumerate(lines, self.last + 1):
            if b"\n" in line or _decode_number(line).sequence != expected:
                raise ValueError(f"line {expected} of {self.writer} is not one line numbered {expected}")

    def _store(self, data: bytes) -> None:
        written = self._file.write(data)
        if written != len(data):
            raise StoreError(f"short write to {self._path}: {written} of {len(data)} bytes")
        self._file.sync()
        if not self._is_named:
            self._disk.sync_folder(self._path.parent)
            self._is_named = True

    def _fail(self, error: StoreError) -> None:
        self._failure = error
        self._is_ended = True
        with contextlib.suppress(StoreError):
            self._file.close()
        with contextlib.suppress(StoreError):  # best effort; the next journal's first line is what counts
            self._disk.cut_short(self._path, self._mark.offset)


class Ended(NamedTuple):
    """A journal that nobody appends to any more.

    Attributes:
        path: its file.
        header: its first line.
        last: its last sequence, 0 when it holds no event.
        offset: the bytes up to there.
        is_clean: nothing follows; false when the disk was too full to keep what does. The file must stay then, the
            next start tries again.
    """

    path: Path
    header: JournalHeader
    last: int
    offset: int
    is_clean: bool = True


class Torn(NamedTuple):
    """Bytes that were cut from the end of a journal and kept in quarantine.

    Attributes:
        journal: the file they came from.
        kept: where they are now.
        size: how many bytes.
        lines: how many whole lines are among them: refused to their sender, or damaged in front.
    """

    journal: Path
    kept: Path
    size: int
    lines: int


class Recovered(NamedTuple):
    """What `recover` found: journals in the order of their writers' chain, and what was cut from them."""

    journals: list[Ended]
    torn: list[Torn]


def recover(disk: Disk, folder: Path, quarantine: Path, *, current: str = "") -> Recovered:
    """Bring every journal in *folder* but *current*'s to a clean end.

    What follows the last whole, gap-free line, or the place where a later journal says that this one ended, is copied
    into *quarantine* (synced) and then cut off. A journal without a whole first line never acknowledged anything; it
    goes to quarantine altogether. Done again, it finds nothing. On a full disk what follows stays where it is.

    Raises:
        StoreError: the disk refuses; nothing was lost, and it can be done again.
    """
    paths = [folder / entry.name for entry in disk.entries(folder) if entry.name.endswith(SUFFIX)]
    headers = {path: read_header(disk, path) for path in paths}
    ends = ends_of(headers.values())
    recovered = Recovered([], [])
    for path, header in headers.items():
        if header is not None and header.writer == current:
            continue
        limit = ends.get(header.writer) if header else None
        ended, torn = _recover_one(disk, path, header, limit, quarantine)
        if ended is not None:
            recovered.journals.append(ended)
        if torn is not None:
            recovered.torn.append(torn)
    return recovered._replace(journals=_in_chain_order(recovered.journals))


def read_header(disk: Disk, path: Path) -> JournalHeader | None:
    """The first line of a journal; None when it is not whole or not of this file."""
    line, newline, _ = disk.read(path, length=4096).partition(b"\n")
    try:
        header = _decode_header(line)
    except msgspec.MsgspecError:
        return None
    return header if newline and path.name == f"{header.writer}{SUFFIX}" else None


def read(
    disk: Disk, path: Path, after: int = 0, *, last: int | None = None
) -> Iterator[tuple[str, int, bytes]]:
    """Lines of a journal as (writer, sequence, line), from the one after *after* to *last* or the end.

    It stops before the first line that is not whole or not next in sequence.

    Raises:
        FileDamaged: the first line is not that of a journal.
        StoreError: the file cannot be read.
    """
    header = read_header(disk, path)
    if header is None:
        raise FileDamaged(path, "is not a journal: its first line is damaged")
    for mark, line in read_on(disk, path, Mark(0, 0), last=last):
        if mark.sequence > after:
            yield header.writer, mark.sequence, line


def read_on(disk: Disk, path: Path, start: Mark, *, last: int | None = None) -> Iterator[tuple[Mark, bytes]]:
    """Lines of a journal that come after *start*, each with the mark that reading on from there takes.

    `Mark(0, 0)` is the beginning; otherwise as `read`, but the first line of the file is taken on trust.
    """
    expected = start.sequence + 1 if start.offset else 0
    for line, offset in _lines(disk, path, start.offset):
        if expected > 0:
            if (last is not None and expected > last) or not _is_numbered(line, expected):
                return
            yield Mark(expected, offset), line
        expected += 1


def ends_of(headers: Iterable[JournalHeader | None]) -> dict[str, int]:
    """Where each writer ended, as the journals after it say."""
    ends: dict[str, int] = {}
    for header in headers:
        if header is not None and header.previous is not None:
            writer, last = header.previous.writer, header.previous.last
            ends[writer] = min(last, ends.get(writer, last))
    return ends


def _in_chain_order(journals: list[Ended]) -> list[Ended]:
    """Each journal behind the one that its first line names."""
    waiting = {journal.header.writer: journal for journal in journals}
    ordered: list[Ended] = []
    for journal in journals:
        chain: list[Ended] = []
        step: Ended | None = journal
        while step is not None and waiting.pop(step.header.writer, None) is not None:
            chain.append(step)
            step = waiting.get(step.header.previous.writer) if step.header.previous else None
        ordered += reversed(chain)
    return ordered


def _recover_one(
    disk: Disk, path: Path, header: JournalHeader | None, limit: int | None, quarantine: Path
) -> tuple[Ended | None, Torn | None]:
    last, offset = _whole(disk, path, limit) if header else (0, 0)
    rest = disk.read(path, offset=offset)
    try:
        torn = _keep(disk, path, rest, quarantine) if rest else None
    except StoreFull as error:
        _log.error("%s: %d bytes behind event %d stay there: %s", path, len(rest), last, error)
        return (Ended(path, header, last, offset, is_clean=False) if header else None), None
    if header is None:
        drop(disk, [path])
        return None, torn
    if rest:
        disk.cut_short(path, offset)
    return Ended(path, header, last, offset), torn


def _whole(disk: Disk, path: Path, limit: int | None) -> tuple[int, int]:
    """The last sequence that counts, and the bytes up to there."""
    last, end = -1, 0
    for line, after in _lines(disk, path, 0):
        if last + 1 and (not _is_numbered(line, last + 1) or (limit is not None and last >= limit)):
            break
        last, end = last + 1, after
    return max(last, 0), end


def _keep(disk: Disk, path: Path, rest: bytes, quarantine: Path) -> Torn:
    kept = quarantine / f"{path.stem}.{len(rest)}.{digest(rest)}.torn"
    Folders(disk, quarantine.parent).ensure(quarantine)
    write_new(disk, kept, rest, temporary=quarantine)
    return Torn(path, kept, len(rest), sum(_is_event(line) for line in rest.split(b"\n")))


def _lines(disk: Disk, path: Path, offset: int) -> Iterator[tuple[bytes, int]]:
    """Whole lines from *offset*, each with the offset behind its newline."""
    carried = b""
    while block := disk.read(path, offset=offset + len(carried), length=_BLOCK):
        *lines, carried = (carried + block).split(b"\n")
        for line in lines:
            offset += len(line) + 1
            yield line, offset


def _is_numbered(line: bytes, expected: int) -> bool:
    try:
        return _decode_number(line).sequence == expected
    except msgspec.MsgspecError:
        return False


def _is_event(line: bytes) -> bool:
    try:
        return _decode_number(line).sequence > 0
    except msgspec.MsgspecError:
        return False
