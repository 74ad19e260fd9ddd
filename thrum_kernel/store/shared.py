"""Texts that clones share beside the log: an agent's saved context, and the state of the project.

A *copy* is ``context/<daemon>/<agent>/<event_id>.md`` among the published files, written once by the daemon of its path.
Of one owner (daemon and agent) the copy with the highest id holds and lower ones leave; an empty one says that there is
none any more, and keeps an old clone from bringing one back. A purge takes out copies that are older than its cutoff.

Source: spec/decisions.md, "init, prime, roles, context, config, purge, sync".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from thrum_kernel.clock import parse_us
from thrum_kernel.errors import FileMissing
from thrum_kernel.ids import is_ulid, ulid_ms
from thrum_kernel.store.files import drop, write_new
from thrum_kernel.store.names import daemon_folder, folder_name
from thrum_kernel.store.purge import Purges
from thrum_kernel.store.tree import Tree

MAX_BYTES: Final = 256 * 1024
"""Every clone has every copy, and git keeps those that left: notes, not archives."""

PROJECT: Final = "%project"
"""The folder of the project's state; `folder_name` gives it to no agent."""

_FOLDER: Final = r"[0-9A-Za-z_%~-]{1,128}"
_PATH: Final = re.compile(rf"context/({_FOLDER}/{_FOLDER})/evt_([0-9A-Z]{{26}})\.md")


class Copy(NamedTuple):
    """Where one copy lies; *owner* is daemon and agent as folders, *ulid* that of its event id."""

    owner: str
    ulid: str

    @property
    def path(self) -> str:
        return f"context/{self.owner}/evt_{self.ulid}.md"


class Text(NamedTuple):
    """A copy and its bytes, which are not empty."""

    copy: Copy
    data: bytes


def parse_copy(path: str) -> Copy | None:
    """The copy that lies at *path*; None when no copy can lie there."""
    match = _PATH.fullmatch(path)
    return Copy(*match.groups()) if match is not None and is_ulid(match[2]) else None


def owner_of(daemon: str, agent: str) -> str:
    """Whose copies those of *agent* are; `PROJECT` for the project's state."""
    return f"{daemon_folder(daemon)}/{agent if agent == PROJECT else folder_name(agent)}"


def copies_in(paths: Iterable[str]) -> Iterator[Copy]:
    """The copies among *paths*."""
    return (
        found for path in paths if path.startswith("context/") and (found := parse_copy(path)) is not None
    )


def highest(copies: Iterable[Copy]) -> dict[str, Copy]:
    """The copy that holds, by owner."""
    found: dict[str, Copy] = {}
    for each in copies:
        if each.owner not in found or each.ulid > found[each.owner].ulid:
            found[each.owner] = each
    return found


def is_purged(copy: Copy, purges: Purges) -> bool:
    """Whether a purge takes it out: it is older than the cutoff."""
    return bool(purges.cutoff) and ulid_ms(copy.ulid) < parse_us(purges.cutoff) // 1000


class SharedTexts:
    """The copies of one log; blocking. Whoever writes sees to it that nothing is merged meanwhile."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def copies(self, owner: str = "") -> list[Copy]:
        """Those that are here: of *owner*, or all."""
        folder = self._tree.published / "context"
        owners = (
            [owner]
            if owner
            else [f"{a}/{b}" for a in self._folders(folder) for b in self._folders(folder / a)]
        )
        return list(
            copies_in(f"context/{each}/{name}" for each in owners for name in self._files(folder / each))
        )

    def latest(self, owner: str) -> Text | None:
        """What *owner* shared last; None when that is nothing."""
        return self._read(highest(self.copies(owner)).get(owner))

    def latest_state(self) -> Text | None:
        """The state of the project that was shared last, by whichever daemon."""
        found = highest(copy for copy in self.copies() if copy.owner.endswith(f"/{PROJECT}"))
        texts = (
            self._read(copy) for copy in sorted(found.values(), key=lambda copy: copy.ulid, reverse=True)
        )
        return next((text for text in texts if text is not None), None)

    def share(self, copy: Copy, data: bytes) -> bool:
        """Let *copy* hold; False when the owner shared the same before, or has nothing to take back.

        Raises:
            StoreError: the disk refuses.
        """
        before = self.latest(copy.owner)
        if (before.data if before is not None else b"") == data:
            return False
        self.write(copy, data)
        self.drop_lower()
        return True

    def write(self, copy: Copy, data: bytes) -> None:
        """Put it there; whatever has that name already stays as it is."""
        path = self._tree.published / copy.path
        temporary = self._tree.folders.ensure(self._tree.temporary)
        self._tree.folders.ensure(path.parent)
        write_new(self._tree.disk, path, data, temporary=temporary)

    def drop_lower(self, purges: Purges | None = None) -> None:
        """Remove copies that others of their owner are above, and those that *purges* take out."""
        here = self.copies()
        holding = highest(here)
        gone = [each for each in here if each != holding[each.owner] or (purges and is_purged(each, purges))]
        if gone:
            drop(self._tree.disk, [self._tree.published / each.path for each in gone])

    def _read(self, copy: Copy | None) -> Text | None:
        if copy is None:
            return None
        try:
            data = self._tree.disk.read(self._tree.published / copy.path)
        except FileMissing:
            return None
        return Text(copy, data) if data else None

    def _folders(self, folder: Path) -> list[str]:
        return [entry.name for entry in self._tree.disk.entries(folder) if entry.is_folder]

    def _files(self, folder: Path) -> list[str]:
        return [entry.name for entry in self._tree.disk.entries(folder) if not entry.is_folder]


class SharingChanges(NamedTuple):
    """Paths of copies that enter and leave the common tree."""

    add: list[str]
    remove: list[str]


def sharing_changes(here: Iterable[Copy], there: Iterable[Copy], purges: Purges) -> SharingChanges:
    """What a commit on top of *there* changes. A copy that is above ours, and was not taken, is left alone."""
    ours, theirs = highest(here), list(there)
    above = highest(theirs)
    add = [
        copy.path
        for owner, copy in ours.items()
        if not is_purged(copy, purges) and (owner not in above or copy.ulid > above[owner].ulid)
    ]
    remove = [
        copy.path
        for copy in theirs
        if is_purged(copy, purges) or (copy.owner in ours and copy.ulid < ours[copy.owner].ulid)
    ]
    return SharingChanges(sorted(add), sorted(remove))


def take_copies(
    texts: SharedTexts,
    entries: Mapping[str, str],
    purges: Purges,
    *,
    read: Callable[[str], bytes],
    is_ahead: Callable[[str], bool],
) -> tuple[list[Copy], list[tuple[str, str]]]:
    """Take the copies of a tip that are above those here.

    Args:
        entries: the blobs of the tip by path.
        read: the bytes of a blob.
        is_ahead: whether a ULID is too far ahead of our clock to count: it would hold for ever.

    Returns:
        What was taken, and path and reason of what was not.
    """
    here = highest(texts.copies())
    offered = (copy for copy in copies_in(entries) if not is_purged(copy, purges) and not is_ahead(copy.ulid))
    taken, refused = [], []
    for owner, copy in highest(offered).items():
        if owner in here and here[owner].ulid >= copy.ulid:
            continue
        data = read(entries[copy.path])
        if len(data) > MAX_BYTES:
            refused.append((copy.path, f"was not taken from the remote: it is larger than {MAX_BYTES} bytes"))
            continue
        texts.write(copy, data)
        taken.append(copy)
    texts.drop_lower(purges)
    return taken, refused
