"""A log is not kept on a file system of another machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from thrum_kernel.store.filesystem import NetworkFileSystem, kind_of, refuse_network

MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:30 / /home rw - nfs4 host:/home rw
31 30 254:1 / /home/me/local\\040disk rw - xfs /dev/vdb rw
32 22 0:31 / /mnt/c rw - 9p C: rw
33 22 0:32 / /over rw - cifs //host/share rw
34 33 0:33 / /over rw - tmpfs tmpfs rw
broken line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/project", "ext4"),
        ("/home/me/project/.git/thrum-sync", "nfs4"),
        ("/homes/me", "ext4"),
        ("/home/me/local disk/project", "xfs"),
        ("/mnt/c/project", "9p"),
        ("/over/project", "tmpfs"),
    ],
)
def test_the_innermost_mount_counts(path: str, kind: str) -> None:
    assert kind_of(Path(path), MOUNTS) == kind


def test_a_network_file_system_is_refused_with_the_reason(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 0:1 / / rw - ext4 x rw\n2 1 0:2 / {tmp_path} rw - cifs y rw\n")
    with pytest.raises(NetworkFileSystem, match=r"network file system \(cifs\)") as refused:
        refuse_network(tmp_path / "project", mounts=mounts)
    assert "store.allow_network_fs" in refused.value.hint and refused.value.kind == "cifs"
    refuse_network(tmp_path.parent, mounts=mounts)


def test_a_system_that_does_not_tell_is_trusted(tmp_path: Path) -> None:
    refuse_network(tmp_path, mounts=tmp_path / "nothing")
