"""Branches of the repository: whether they are there, what only they hold, and how one is taken away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from thrum_kernel.errors import InvalidName, NotFound, Refused
from thrum_worktrees.git import Git, Writer, failed

ELSEWHERE: Final = ("--branches", "--tags", "--remotes")
"""Where a commit is safe."""


@dataclass(frozen=True, slots=True)
class Commits:
    """Commits that nothing else leads to.

    Attributes:
        count: how many.
        newest: the newest of them, abbreviated, with its first line; empty when there are none.
    """

    count: int
    newest: str = ""


def check_branch(git: Git, branch: str) -> str:
    """*branch*, when git can have one of that name.

    Raises:
        InvalidName: it cannot.
    """
    is_option = branch.startswith("-")
    if is_option or branch == "HEAD" or not git.look("check-ref-format", reference(branch)).ok:
        raise InvalidName(f'invalid branch name "{branch}"', hint="see git help check-ref-format")
    return branch


def reference(branch: str) -> str:
    """A branch in full, so that nothing else of that name can be meant."""
    return f"refs/heads/{branch}"


def tip_of(git: Git, branch: str) -> str:
    """The commit of a branch; empty when there is none of that name."""
    answer = git.look("rev-parse", "-q", "--verify", f"{reference(branch)}^{{commit}}")
    return answer.text if answer.ok else ""


def commit_of(git: Git, base: str) -> str:
    """The commit that *base* names: a branch, a tag, a commit.

    Raises:
        NotFound: it names none.
    """
    answer = git.look("rev-parse", "-q", "--verify", "--end-of-options", f"{base}^{{commit}}")
    if not answer.ok or not answer.text:
        raise NotFound("commit", base, hint="name a branch, a tag or a commit with --base")
    return answer.text


def only_in(git: Git, tips: list[str], *, without: str = "") -> Commits:
    """The commits that *tips* lead to and no branch, tag or remote branch does.

    Args:
        without: a branch that does not count.

    Raises:
        GitFailed: git does not tell.
    """
    if not tips:
        return Commits(0)
    excluded = [f"--exclude={without}"] if without else []
    words = ["rev-list", "--abbrev-commit", "--pretty=format:%h %s", *tips, "--not", *excluded, *ELSEWHERE]
    answer = git.look(*words)
    if not answer.ok:
        raise failed("rev-list", answer)
    lines = [line for line in answer.text.splitlines() if not line.startswith("commit ")]
    return Commits(len(lines), lines[0] if lines else "")


def make_branch(writer: Writer, branch: str, commit: str) -> None:
    """A new branch at *commit* that follows none.

    Raises:
        GitFailed: git refuses.
    """
    answer = writer.run("branch", "--no-track", branch, commit)
    if not answer.ok:
        raise failed("branch", answer)


def delete_branch(writer: Writer, branch: str, *, tip: str) -> None:
    """Take a branch away that is still at *tip*.

    Raises:
        Refused: it moved meanwhile; it stays.
        GitFailed: git refuses.
    """
    now = tip_of(writer.git, branch)
    if not now:
        return
    if now != tip:
        raise Refused(f"branch {branch} has moved meanwhile and stays", hint=f"look at it: git log {branch}")
    answer = writer.run("branch", "-D", "--end-of-options", branch)
    if not answer.ok:
        raise failed("branch", answer)
