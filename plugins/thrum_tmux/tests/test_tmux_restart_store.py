"""The files of snapshots: private, whole, and shown to exactly one session of the runtime."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest
from thrum_tmux.restart.store import Snapshots

from thrum_kernel.errors import FileDamaged, InvalidName


@pytest.fixture
def thrum(tmp_path: Path) -> Path:
    (tmp_path / ".thrum").mkdir()
    return tmp_path / ".thrum"


def names(thrum: Path) -> list[str]:
    return sorted(path.name for path in (thrum / "restart").iterdir())


def test_a_snapshot_is_private_and_leaves_nothing_else_behind(thrum: Path) -> None:
    path = Snapshots(thrum).save("bob", "text", saved_in="1:1")
    assert path == thrum / "restart" / "bob.md"
    assert path.read_text() == "text"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert names(thrum) == ["bob.json", "bob.md"]


def test_the_first_session_after_it_sees_it_every_time_and_the_next_one_never(thrum: Path) -> None:
    snapshots = Snapshots(thrum)
    snapshots.save("bob", "text", saved_in="1:1")
    for session in ("1:1", "", "2:2", "2:2", "", "1:1", "2:2"):
        kept = snapshots.show_to("bob", session)
        assert kept is not None, session
        assert kept.text == "text"
    assert snapshots.show_to("bob", "3:3") is None
    assert snapshots.show_to("bob", "2:2") is None
    assert names(thrum) == ["bob.md.consumed"]


def test_a_session_that_ended_at_once_has_not_been_shown_it(thrum: Path) -> None:
    snapshots = Snapshots(thrum)
    snapshots.save("bob", "text")
    assert snapshots.show_to("bob", "2:2") is not None
    assert not snapshots.forget_shown("bob", "9:9")
    assert snapshots.forget_shown("bob", "2:2")
    assert snapshots.show_to("bob", "3:3") is not None
    assert snapshots.show_to("bob", "3:3") is not None


def test_a_newer_snapshot_begins_anew_and_the_older_one_is_kept_aside(thrum: Path) -> None:
    snapshots = Snapshots(thrum)
    snapshots.save("bob", "old")
    snapshots.show_to("bob", "2:2")
    snapshots.save("bob", "new", saved_in="2:2")
    kept = snapshots.show_to("bob", "3:3")
    assert kept is not None
    assert (kept.text, kept.saved_in) == ("new", "2:2")
    assert (thrum / "restart" / "bob.md.consumed").read_text() == "old"


def test_a_note_of_another_text_says_nothing_about_this_one(thrum: Path) -> None:
    snapshots = Snapshots(thrum)
    snapshots.save("bob", "old")
    snapshots.show_to("bob", "2:2")
    (thrum / "restart" / "bob.md").write_text("written by hand")
    kept = snapshots.show_to("bob", "3:3")
    assert kept is not None
    assert kept.shown_to == ""
    (thrum / "restart" / "bob.json").write_text("{")
    assert snapshots.show_to("bob", "4:4") is not None


def test_consuming_gives_what_it_was(thrum: Path) -> None:
    snapshots = Snapshots(thrum)
    assert snapshots.consume("bob") is None
    assert not (thrum / "restart").exists()
    snapshots.save("bob", "text")
    kept = snapshots.consume("bob")
    assert kept is not None
    assert kept.text == "text"
    assert snapshots.find("bob") is None


def test_no_symlink_is_followed(thrum: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("mine")
    (thrum / "restart").mkdir()
    (thrum / "restart" / "bob.md").symlink_to(secret)
    with pytest.raises(FileDamaged, match="symbolic link"):
        Snapshots(thrum).show_to("bob", "2:2")
    (thrum / "restart" / "bob.md").unlink()
    (thrum / "restart").rmdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (thrum / "restart").symlink_to(elsewhere)
    with pytest.raises(FileDamaged, match="symbolic link"):
        Snapshots(thrum).save("bob", "text")
    assert (secret.read_text(), list(elsewhere.iterdir())) == ("mine", [])


@pytest.mark.parametrize("agent", ["../bob", "a/b", "", ".", ".hidden"])
def test_a_name_that_leads_elsewhere_is_refused(thrum: Path, agent: str) -> None:
    with pytest.raises(InvalidName):
        Snapshots(thrum).save(agent, "text")


def test_of_many_sessions_at_once_one_has_it(thrum: Path) -> None:
    Snapshots(thrum).save("bob", "text")
    seen: list[str] = []

    def look(session: str) -> None:
        if Snapshots(thrum).show_to("bob", session) is not None:
            seen.append(session)

    threads = [threading.Thread(target=look, args=(f"{number}:1",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 1
