"""Changes to files that are taken back byte for byte."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from thrum_kernel.cli.transaction import FileChange, Transaction


class Stop(Exception):
    """Ends a transaction in the middle."""


def tree_of(folder: Path) -> dict[str, tuple[int, bytes | str]]:
    """Everything below *folder*: mode and bytes, or where a link leads."""
    found: dict[str, tuple[int, bytes | str]] = {}
    for path in sorted(folder.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        held: bytes | str = (
            str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else ""
        )
        found[str(path.relative_to(folder))] = (mode, held)
    return found


def test_everything_stays_when_the_block_ends_well(tmp_path: Path) -> None:
    with Transaction() as transaction:
        transaction.folder(tmp_path / "a" / "b", mode=0o700)
        transaction.write(tmp_path / "a" / "b" / "f", b"new", mode=0o640)
    assert (tmp_path / "a" / "b" / "f").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "a" / "b" / "f").stat().st_mode) == 0o640


@pytest.mark.parametrize(("umask", "folder", "file"), [(0o022, 0o755, 0o755), (0o077, 0o700, 0o700)])
def test_what_is_the_project_s_is_as_open_as_the_umask_has_it(
    tmp_path: Path, umask: int, folder: int, file: int
) -> None:
    before = os.umask(umask)
    try:
        with Transaction() as transaction:
            transaction.write(tmp_path / ".claude" / "deep" / "hook.sh", b"x", mode=0o755)
            transaction.folder(tmp_path / "worktrees" / "one")
            transaction.folder(tmp_path / ".thrum" / "var", mode=0o700)
    finally:
        os.umask(before)

    modes = {name: mode for name, (mode, _) in tree_of(tmp_path).items()}
    assert modes == {
        ".claude": folder,
        ".claude/deep": folder,
        ".claude/deep/hook.sh": file,
        "worktrees": folder,
        "worktrees/one": folder,
        ".thrum": 0o700,
        ".thrum/var": 0o700,
    }


def test_a_thrum_folder_is_private_and_a_changed_file_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "open").write_bytes(b"old")
    (tmp_path / "open").chmod(0o666)
    with Transaction() as transaction:
        transaction.write(tmp_path / ".thrum" / "llms.txt", b"x", mode=0o644)
        transaction.write(tmp_path / "open", b"new")
    modes = {name: mode for name, (mode, _) in tree_of(tmp_path).items()}
    assert modes == {"open": 0o666, ".thrum": 0o750, ".thrum/llms.txt": 0o644}


def test_roll_back_restores_bytes_and_modes_and_removes_what_is_new(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"old\r\n\x00")
    (tmp_path / "kept").chmod(0o604)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine").write_bytes(b"mine")
    before = tree_of(tmp_path)
    with pytest.raises(Stop), Transaction() as transaction:
        transaction.write(tmp_path / "kept", b"new")
        transaction.folder(tmp_path / "there")
        transaction.write(tmp_path / "there" / "new", b"x")
        transaction.write(tmp_path / "deep" / "er" / "new", b"x")
        transaction.write(tmp_path / "kept", b"newer")
        assert (tmp_path / "kept").read_bytes() == b"newer"
        raise Stop
    assert tree_of(tmp_path) == before


def test_roll_back_removes_what_others_made_in_a_new_folder_only(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    with pytest.raises(Stop), Transaction() as transaction:
        transaction.claim(tmp_path / "old")
        transaction.claim(tmp_path / "new")
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "x").write_bytes(b"x")
        (tmp_path / "old" / "x").write_bytes(b"x")
        raise Stop
    assert sorted(tree_of(tmp_path)) == ["old", "old/x"]


def test_a_link_is_written_through_and_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    with pytest.raises(Stop), Transaction() as transaction:
        transaction.write(tmp_path / "link", b"new")
        assert (tmp_path / "target").read_bytes() == b"new"
        assert (tmp_path / "link").is_symlink()
        raise Stop
    assert (tmp_path / "target").read_bytes() == b"old"
    assert (tmp_path / "link").is_symlink()


def test_steps_are_taken_back_newest_first_and_all_of_them(tmp_path: Path) -> None:
    said: list[str] = []

    def fail() -> None:
        raise OSError("no")

    with pytest.raises(Stop) as caught, Transaction() as transaction:
        transaction.on_undo(lambda: said.append("first"))
        transaction.on_undo(fail)
        transaction.on_undo(lambda: said.append("last"))
        raise Stop
    assert said == ["last", "first"]
    assert caught.value.__notes__ == ["could not be taken back: no"]


def test_an_interrupt_is_taken_back_too(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Transaction() as transaction:
        transaction.write(tmp_path / "f", b"x")
        raise KeyboardInterrupt
    assert tree_of(tmp_path) == {}


def test_skip_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"old")
    inode = (tmp_path / "f").stat().st_ino
    with Transaction() as transaction:
        transaction.apply(FileChange(tmp_path / "f", b"other", "skip"))
    assert (tmp_path / "f").read_bytes() == b"old"
    assert (tmp_path / "f").stat().st_ino == inode


def test_protect_restores_what_others_change_or_make(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"old")
    with pytest.raises(Stop), Transaction() as transaction:
        transaction.protect(tmp_path / "old")
        transaction.protect(tmp_path / "new")
        (tmp_path / "old").unlink()
        (tmp_path / "new").write_bytes(b"x")
        raise Stop
    assert tree_of(tmp_path) == {"old": (0o644, b"old")}
