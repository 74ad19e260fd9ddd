"""What a lost .thrum is written back from."""

from __future__ import annotations

import shutil
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from thrum_kernel.settings import copies
from thrum_kernel.settings.copies import FileCopy


def make(root: Path) -> None:
    (root / ".thrum" / "identities").mkdir(parents=True)
    (root / ".thrum" / "config.json").write_text('{"a": 1}')
    (root / ".thrum" / "redirect").write_text("/somewhere/.thrum\n")
    (root / ".thrum" / "identities" / "ada.json").write_text('{"agent": {"name": "ada"}}')


def test_what_is_lost_comes_back_byte_for_byte(tmp_path: Path) -> None:
    root = tmp_path / "project"
    make(root)
    kept = copies.present([root])
    shutil.rmtree(root / ".thrum")

    lost = copies.compare(copies.present([root]), kept)

    assert lost.store == ()
    assert lost.restore == kept
    assert [copies.restore(copy) for copy in lost.restore] == [True, True, True]
    assert copies.present([root]) == kept
    assert not copies.restore(kept[0])


def test_damaged_files_and_links_are_never_copied_nor_replaced(tmp_path: Path) -> None:
    make(tmp_path)
    kept = copies.present([tmp_path])
    (tmp_path / ".thrum" / "config.json").write_text("{")
    ada = tmp_path / ".thrum" / "identities" / "ada.json"
    ada.rename(tmp_path / "ada")
    ada.symlink_to(tmp_path / "ada")

    assert [Path(copy.path).name for copy in copies.present([tmp_path])] == ["redirect"]
    assert not any(copies.restore(copy) for copy in kept)
    assert (tmp_path / ".thrum" / "config.json").read_text() == "{"


def test_nothing_comes_back_into_a_worktree_that_is_gone(tmp_path: Path) -> None:
    root = tmp_path / "gone"
    make(root)
    kept = copies.present([root])
    shutil.rmtree(root)

    assert not any(copies.restore(copy) for copy in kept)
    assert not root.exists()


found = st.lists(
    st.builds(
        FileCopy, path=st.sampled_from("abcd"), root=st.just("/w"), content=st.sampled_from([b"1", b"2"])
    ),
    unique_by=lambda copy: copy.path,
)


@given(found, found)
def test_after_a_comparison_nothing_is_left_to_do(disk: list[FileCopy], kept: list[FileCopy]) -> None:
    first = copies.compare(disk, kept)

    after = {**{c.path: c for c in kept}, **{c.path: c for c in first.store}}
    on_disk = [*disk, *first.restore]

    assert copies.compare(on_disk, after.values()) == copies.Comparison((), ())
    assert {c.path: c.content for c in disk}.items() <= {c.path: c.content for c in on_disk}.items()
    assert copies.compare(disk[::-1], kept[::-1]) == first
