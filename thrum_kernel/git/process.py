"""Run git so that it only reads: no locks, no network, no prompts, and none of the programs that a configuration can
name (hooks, file system monitors, text converters, external diffs, filters, signature checkers).

Source: DESIGN.md D1 "Git"; git-config(1), git(1) "ENVIRONMENT VARIABLES".
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from thrum_kernel.api import GIT_SETTINGS, quiet_git
from thrum_kernel.errors import GitFailed
from thrum_kernel.gitdir import Place

TIMEOUT_S: Final = 5.0

_HARMLESS: Final[Mapping[str, str]] = {
    **GIT_SETTINGS,
    "core.pager": "cat",
    "diff.ignoreSubmodules": "dirty",
    "diff.noprefix": "false",
    "log.showSignature": "false",
    "log.mailmap": "false",
    "status.submoduleSummary": "false",
    "submodule.recurse": "false",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What git said.

    Attributes:
        status: its exit status; negative when it was killed for taking too long.
        out: standard output, as it came.
        error: standard error, as text.
    """

    status: int
    out: bytes
    error: str

    @property
    def ok(self) -> bool:
        return self.status == 0

    @property
    def text(self) -> str:
        """Standard output as text without its last newline; what is not UTF-8 is replaced."""
        return self.out.decode("utf-8", "replace").removesuffix("\n")

    @property
    def fields(self) -> list[str]:
        """Standard output split at NUL; what is not UTF-8 is replaced."""
        parts = self.out.decode("utf-8", "replace").split("\0")
        return parts[:-1] if parts and not parts[-1] else parts


def run(
    place: Place,
    *words: str,
    settings: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Answer:
    """Run ``git words…`` in *place*.

    Args:
        place: where; its own git folder is used whatever ``GIT_DIR`` says around us.
        words: the command and its arguments, fixed by the caller.
        settings: further configuration for this one process.
        timeout_s: when to kill it.

    Raises:
        GitFailed: git cannot be started.
    """
    environment = _environment(place, {**_HARMLESS, **(settings or {})})
    try:
        client, missing = _client()
    except ImportError as problem:  # GitPython refuses to be imported where there is no git
        raise _no_git(words[0]) from problem
    try:
        status, out, error = client(str(place.root)).execute(
            ["git", *words],
            with_extended_output=True,
            with_exceptions=False,
            stdout_as_string=False,
            strip_newline_in_stdout=False,
            kill_after_timeout=timeout_s,
            env=environment,
        )
    except missing as problem:
        raise GitFailed(
            words[0], "git is not installed or not on PATH", hint="install git 2.31 or later"
        ) from problem
    return Answer(status, out, error)


def failed(command: str, answer: Answer) -> GitFailed:
    """The error for an answer that should have been good."""
    if answer.status < 0:
        return GitFailed(command, f"no answer within {TIMEOUT_S:g} s")
    lines = [line for line in answer.error.splitlines() if line.strip()]
    return GitFailed(command, lines[0].removeprefix("fatal: ") if lines else f"exit status {answer.status}")


def _no_git(command: str) -> GitFailed:
    return GitFailed(command, "git is not installed or not on PATH", hint="install git 2.31 or later")


@functools.cache
def _client() -> tuple[Any, type[Exception]]:
    """GitPython's command class; imported here because importing it looks for git and costs 70 ms."""
    from git.cmd import Git
    from git.exc import GitCommandNotFound

    return Git, GitCommandNotFound


def _environment(place: Place, settings: Mapping[str, str]) -> dict[str, str]:
    environment = {
        "GIT_DIR": str(place.git_dir),
        "GIT_COMMON_DIR": str(place.common_dir),
        "GIT_INDEX_FILE": str(place.git_dir / "index"),
        "GIT_OBJECT_DIRECTORY": str(place.common_dir / "objects"),
        "GIT_NAMESPACE": "",
        "GIT_LITERAL_PATHSPECS": "0",
        "GIT_CONFIG_PARAMETERS": "",
        **quiet_git(settings, only_looks=True),
    }
    if not place.bare:
        environment["GIT_WORK_TREE"] = str(place.root)
    return environment
