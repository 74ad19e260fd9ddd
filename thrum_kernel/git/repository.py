"""Small questions to a repository: where it is, which branch, whose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from thrum_kernel import gitdir
from thrum_kernel.git.process import Answer, failed, run
from thrum_kernel.gitdir import Place


@dataclass(frozen=True, slots=True)
class User:
    """Who commits here, as git is configured; empty where it is not."""

    name: str = ""
    email: str = ""


def discover(path: Path) -> Place | None:
    """Where *path* lies in git; None outside git, or when there is no such folder.

    Raises:
        FileDamaged: a ``.git`` file on the way leads nowhere.
    """
    return gitdir.locate(path) if path.is_dir() else None


def worktrees(common_dir: Path) -> list[Path]:
    """Roots of all worktrees of a repository that exist on disk, the main one first."""
    return gitdir.worktrees(common_dir)


def branch(path: Path) -> str:
    """The branch checked out at *path*, also before its first commit; empty when detached or outside git."""
    place = discover(path)
    if place is None:
        return ""
    named = _branch_in_file(place)
    if named is not None:
        return named
    answer = run(place, "symbolic-ref", "--quiet", "--short", "HEAD")
    return answer.text if answer.ok else ""


def head(path: Path) -> str:
    """The commit checked out at *path*; empty before the first one, or outside git."""
    place = discover(path)
    if place is None:
        return ""
    answer = run(place, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    return answer.text if answer.ok else ""


def origin_url(path: Path, *, remote: str = "origin") -> str:
    """The address of a remote as the repository's configuration has it; empty when there is none."""
    place = discover(path)
    if place is None:
        return ""
    answer = run(place, "config", "--get", f"remote.{remote}.url")
    return _value("config", answer)


def user(path: Path) -> User:
    """Who commits at *path*; outside git the user's own configuration is not asked."""
    place = discover(path)
    if place is None:
        return User()
    answer = run(place, "config", "-z", "--get-regexp", r"^user\.(name|email)$")
    _value("config", answer)
    pairs = dict(field.partition("\n")[::2] for field in answer.fields)
    return User(pairs.get("user.name", ""), pairs.get("user.email", ""))


def _value(command: str, answer: Answer) -> str:
    if answer.status not in (0, 1):  # 1: not set
        raise failed(command, answer)
    return answer.text if answer.ok else ""


def _branch_in_file(place: Place) -> str | None:
    """The branch that HEAD names; None when only git can tell (references kept in tables)."""
    try:
        text = (place.git_dir / "HEAD").read_text("utf-8", "replace").strip()
    except OSError:
        return None
    reference = text.removeprefix("ref: ")
    if reference == text:
        return ""
    short = reference.removeprefix("refs/heads/")
    return None if short == reference or short == ".invalid" else short
