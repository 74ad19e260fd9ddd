"""Run git in the person's repository, as they would, with nothing that could surprise them.

Their hooks, file system monitors, pagers and prompts do not run and the environment is clean; their filters (line ends,
large files) do, for without them the files of a worktree were not those they have. A worktree is named by its record in
the repository, never by the ``.git`` file that lies in it.

What changes something inherits an open file whose lock it holds until it ends: after a crash of the daemon the next one
waits for a git that still runs. Source: DESIGN.md "What matters" 3, D1 "Git"; git(1) "ENVIRONMENT VARIABLES".
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from thrum_kernel.api import GIT_SETTINGS, quiet_git
from thrum_kernel.errors import GitFailed, Timeout

LOOK_S: Final = 120.0
CHANGE_S: Final = 1800.0
"""A checkout of a large repository, or of one whose files are fetched when they are needed, takes its time."""

_KEPT: Final = (
    "HOME", "PATH", "TMPDIR", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM",
    "SSH_AUTH_SOCK",
)  # fmt: skip
_SETTINGS: Final = {**GIT_SETTINGS, "advice.detachedHead": "false", "gc.auto": "0"}
_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Answer:
    """What git said.

    Attributes:
        status: its exit status.
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
        """Standard output without its last newline; bytes that are no UTF-8 survive as surrogates."""
        return os.fsdecode(self.out).removesuffix("\n")

    @property
    def fields(self) -> list[str]:
        """Standard output split at NUL."""
        return [part for part in os.fsdecode(self.out).split("\0") if part]


@dataclass(frozen=True, slots=True)
class Git:
    """Git in one repository. Everything blocks.

    Attributes:
        common: the folder that all its worktrees share (``.git``).
        env: the environment that what is needed is taken from.
        lock: file whose lock everything that changes something holds.
    """

    common: Path
    env: Mapping[str, str] = field(repr=False)
    lock: Path

    @property
    def records(self) -> Path:
        """Where git keeps a folder for each linked worktree."""
        return self.common / "worktrees"

    def look(
        self, *words: str, record: Path | None = None, tree: Path | None = None, stdin: bytes = b""
    ) -> Answer:
        """Run git where it only looks.

        Args:
            record: the worktree it looks at, by its record; None: the repository.
            tree: where that worktree's files are.

        Raises:
            GitFailed: git cannot be started.
            Timeout: it takes too long.
        """
        extra = quiet_git(_SETTINGS, only_looks=True)
        return self.run(words, record, tree, extra, stdin=stdin, limit_s=LOOK_S)

    @contextlib.contextmanager
    def alone(self, *, limit_s: float = LOOK_S) -> Iterator[Writer]:
        """What changes something: nobody else of ours does meanwhile, a git of an earlier daemon included.

        Raises:
            Timeout: one still runs.
        """
        self.lock.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.lock.open("ab") as held:
            deadline = time.monotonic() + limit_s
            while not _taken(held.fileno()):
                if time.monotonic() > deadline:
                    raise Timeout(
                        "git is still at work in a worktree of this repository",
                        hint="wait for it to end, then retry",
                    )
                time.sleep(_POLL_S)
            yield Writer(self, held.fileno())

    def run(
        self,
        words: Sequence[str],
        record: Path | None,
        tree: Path | None,
        extra: Mapping[str, str],
        *,
        limit_s: float,
        stdin: bytes = b"",
        descriptors: tuple[int, ...] = (),
        cwd: Path | None = None,
    ) -> Answer:
        """Run it; what `look` and `Writer.run` stand on. With *cwd* git finds the repository from there."""
        where = {} if cwd else {"GIT_DIR": str(record or self.common)}
        where |= {"GIT_WORK_TREE": str(tree)} if tree is not None else {}
        try:
            process = subprocess.Popen(
                ["git", *words],
                cwd=cwd or tree or self.common,
                env={**environment(self.env), **extra, **where},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                pass_fds=descriptors,
            )
        except OSError as error:
            raise GitFailed(
                words[0], error.strerror or str(error), hint="install git 2.31 or later"
            ) from error
        with process:
            try:
                out, told = process.communicate(stdin, timeout=limit_s)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise Timeout(f"git {words[0]}: no answer within {limit_s:g} s") from None
        return Answer(process.returncode, out, os.fsdecode(told))


@dataclass(frozen=True, slots=True)
class Writer:
    """Git where it changes something; made by `Git.alone`.

    Attributes:
        git: the repository.
        descriptor: the lock that each git inherits.
    """

    git: Git
    descriptor: int

    def run(
        self, *words: str, record: Path | None = None, tree: Path | None = None, stdin: bytes = b""
    ) -> Answer:
        """Run git.

        Raises:
            GitFailed, Timeout: see `Git.look`.
        """
        return self.git.run(
            words, record, tree, {}, stdin=stdin, limit_s=CHANGE_S, descriptors=(self.descriptor,)
        )


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """What of *env* git is given, and what keeps it quiet."""
    kept = {name: env[name] for name in _KEPT if name in env}
    return {**kept, "LC_ALL": "C", **quiet_git(_SETTINGS)}


def shown(text: str) -> str:
    """*text*, e.g. a path, as it can be told: what is no UTF-8 in it is replaced."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def one_line(text: str) -> str:
    """*text*, as it can be printed: a line break, or what steers a terminal, is written as an escape."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def failed(command: str, answer: Answer) -> GitFailed:
    """The error for an answer that should have been good."""
    lines = [line for line in answer.error.splitlines() if line.startswith(("fatal: ", "error: "))]
    lines = lines or [line for line in answer.error.splitlines() if line.strip()]
    reason = (
        lines[0].removeprefix("fatal: ").removeprefix("error: ") if lines else f"exit status {answer.status}"
    )
    return GitFailed(command, shown(reason))


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
