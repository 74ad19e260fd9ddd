"""The file FORMAT of a branch: whose it is, and which version of the reader it needs.

Source: DESIGN.md D1, "FORMAT": merged by maximum; a branch without it is another program's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from thrum_kernel.errors import FormatTooNew, ThrumError
from thrum_kernel.jsonlines import decoder
from thrum_kernel.store.tree import READER, Tree
from thrum_kernel.sync.seams import BlobReader

FORMAT: Final = "FORMAT"


class ForeignBranch(ThrumError):
    """The remote's branch of our name holds another program's data; nothing was changed there or here."""

    def __init__(self, remote: str) -> None:
        super().__init__(
            f"the branch a-sync of {remote} was not written by this program",
            hint="messages stay on this machine until then: thrum migrate --replace-remote",
        )


class _Format(msgspec.Struct):
    reader: int
    format: str = ""


_decode = decoder(_Format)


class BranchFormat:
    """Judges the FORMAT files of tips for one log; each blob is read once."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._last = ("", 0)  # a blob and what it asks for

    def check(self, entries: Mapping[str, str], blobs: BlobReader, remote: str) -> None:
        """See whether the tip with these *entries* may be merged; ask for a newer reader here where it does.

        Raises:
            ForeignBranch: the branch is not ours.
            FormatTooNew: it needs a later version.
        """
        if FORMAT not in entries:
            raise ForeignBranch(remote)
        needed = self._needed(entries[FORMAT], blobs)
        if needed == 0:
            raise ForeignBranch(remote)
        if needed > READER:
            raise FormatTooNew(f"the branch a-sync of {remote}", needed, READER)
        if needed > self._tree.format():
            self._tree.raise_format(needed)

    def is_older(self, entries: Mapping[str, str], blobs: BlobReader) -> bool:
        """Whether the tip asks for an older reader than the files here."""
        return FORMAT in entries and self._needed(entries[FORMAT], blobs) < self._tree.format()

    def _needed(self, blob: str, blobs: BlobReader) -> int:
        """The version of the reader that a FORMAT file asks for; 0 when it is not one of ours."""
        if self._last[0] != blob:
            self._last = blob, _reader(blobs.read(blob))
        return self._last[1]


def _reader(data: bytes) -> int:
    try:
        found = _decode(data)
    except msgspec.MsgspecError:
        return 0
    return found.reader if found.format == "thrum" else 0
