"""What kind of file system the log lies on: on one of another machine neither locks nor syncs can be relied on.

Source: issue "Sync", "network file systems"; proc(5), "mountinfo".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from thrum_kernel.errors import StoreError

MOUNTS: Final = Path("/proc/self/mountinfo")

NETWORK: Final = frozenset(
    {
        "9p", "afpfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse.ceph", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs",
        "fuse.sshfs", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs", "webdav",
    }
)  # fmt: skip


class NetworkFileSystem(StoreError):
    """The log lies on a file system of another machine.

    Attributes:
        kind: of the file system, as the system calls it.
    """

    def __init__(self, path: Path, kind: str) -> None:
        super().__init__(
            f"{path} lies on a network file system ({kind}), where locks and syncs may not hold",
            hint="move the repository to a local disk, or take the risk: thrum config set store.allow_network_fs true",
        )
        self.kind = kind


def refuse_network(path: Path, *, mounts: Path = MOUNTS) -> None:
    """Refuse a place on a file system of another machine; where the system does not tell, none is.

    Args:
        path: absolute; it need not exist.
        mounts: the list of mounts, as Linux writes it.

    Raises:
        NetworkFileSystem: it is one.
    """
    kind = kind_at(path, mounts=mounts)
    if kind in NETWORK:
        raise NetworkFileSystem(path, kind)


def kind_at(path: Path, *, mounts: Path = MOUNTS) -> str:
    """The kind of file system at *path*; empty where the system does not tell."""
    try:
        text = mounts.read_text("utf-8", "surrogateescape")
    except OSError:
        return ""
    return kind_of(path.resolve(), text)


def kind_of(path: Path, mounts: str) -> str:
    """The kind of file system that *path* lies on: the innermost mount, of several at one place the last one."""
    found, depth = "", -1
    for point, kind in _mounts(mounts):
        if path.is_relative_to(point) and len(point.parts) >= depth:
            found, depth = kind, len(point.parts)
    return found


def _mounts(text: str) -> Iterator[tuple[Path, str]]:
    """Mount points and kinds; blanks in names are written as ``\\040``."""
    for line in text.splitlines():
        head, separator, tail = line.partition(" - ")
        fields = head.split(" ")
        if separator and len(fields) > 4:
            point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4])
            yield Path(point), tail.split(" ")[0]
