"""The thin client finds the same place as the kernel does (`paths.find`), or leaves it to the kernel."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from thrum_kernel import paths
from thrum_kernel.cli import client
from thrum_kernel.errors import ThrumError


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder with a ``.thrum`` that belongs to the person."""
    folder = tmp_path / "home"
    (folder / ".thrum").mkdir(parents=True)
    (folder / ".thrum" / "config.json").write_text("{}")
    return folder


@pytest.fixture
def main(home: Path) -> Path:
    """A repository in the home folder, initialised."""
    folder = home / "main"
    folder.mkdir()
    _git(folder, "init", "-q", "-b", "main")
    _git(
        folder,
        "-c",
        "user.name=T",
        "-c",
        "user.email=t@example.org",
        "commit",
        "-q",
        "--allow-empty",
        "-m",
        "one",
    )
    (folder / ".thrum").mkdir()
    (folder / ".thrum" / "config.json").write_text("{}")
    return folder


def _git(folder: Path, *words: str) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", *words], cwd=folder, env=env, check=True)


def both(start: Path, home: Path, *argv: str, **env: str) -> tuple[bytes, bytes]:
    """Where the client and the kernel look for the socket; nothing where the kernel finds no place."""
    environ = {"HOME": str(home), **env}
    octets = {os.fsencode(name): os.fsencode(value) for name, value in environ.items()}
    words = [os.fsencode(word) for word in argv]
    before = Path.cwd()
    os.chdir(start)
    try:
        seen = client.socket_path(words, os.fsencode(start), octets)
        repo = os.fsdecode(client.repo_of(words)) or None
        try:
            known = os.fsencode(paths.find(start, repo=repo, env=environ).socket)
        except ThrumError:
            known = b""
    finally:
        os.chdir(before)
    return seen, known


def test_in_the_root_and_below(main: Path, home: Path) -> None:
    deep = main / "a" / "b"
    deep.mkdir(parents=True)

    for start in (main, deep):
        assert both(start, home) == (os.fsencode(main / ".thrum/var/thrum.sock"),) * 2


def test_in_a_linked_worktree_without_and_with_a_redirect(main: Path, home: Path) -> None:
    linked = home / "linked"
    _git(main, "worktree", "add", "-q", "-b", "two", str(linked))
    (linked / "deep").mkdir()
    expected = os.fsencode(main / ".thrum/var/thrum.sock")

    assert both(linked, home) == (expected, expected)
    assert both(linked / "deep", home) == (expected, expected)
    (linked / ".thrum").mkdir()
    (linked / ".thrum" / "redirect").write_text(f"{main / '.thrum'}\n")
    assert both(linked / "deep", home) == (expected, expected)


def test_never_the_home_folders_own(home: Path) -> None:
    folder = home / "plain"
    folder.mkdir()

    assert both(folder, home) == (b"", b"")


def test_no_higher_than_the_root_of_the_worktree(main: Path, home: Path) -> None:
    inner = main / "inner"
    inner.mkdir()
    _git(inner, "init", "-q")

    assert both(inner, home) == (b"", b"")


def test_with_repo_and_the_environment(main: Path, home: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    expected = os.fsencode(main / ".thrum/var/thrum.sock")

    assert both(elsewhere, home, "inbox", "--repo", str(main)) == (expected, expected)
    assert both(elsewhere, home, f"--repo={main}", "inbox") == (expected, expected)
    assert both(elsewhere, home, "inbox", "--repo", "../home/main") == (expected, expected)
    assert both(elsewhere, home, THRUM_HOME=str(main)) == (expected, expected)
    assert both(elsewhere, home) == (b"", b"")
    assert both(main, home, THRUM_SOCKET="/run/other.sock") == (b"/run/other.sock",) * 2


def test_repo_after_dashes_is_a_word_like_others() -> None:
    assert client.repo_of([b"send", b"--", b"--repo", b"x"]) == b""


def test_through_a_symbolic_link(main: Path, home: Path, tmp_path: Path) -> None:
    (main / "sub").mkdir()
    (tmp_path / "link").symlink_to(main / "sub")

    seen, known = both(tmp_path, home, "--repo", "link")

    assert seen == known == os.fsencode(main / ".thrum/var/thrum.sock")


def test_outside_git_the_nearest_one_counts(home: Path) -> None:
    folder = home / "nogit"
    (folder / "below").mkdir(parents=True)
    (folder / ".thrum").mkdir()
    (folder / ".thrum" / "config.json").write_text("{}")

    seen, known = both(folder / "below", home)

    assert seen == known == os.fsencode(folder / ".thrum/var/thrum.sock")
