"""Run git for our own repository: scrubbed environment, nothing that asks, nothing that outlives its time.

Everything in the environment that could turn git towards the user's repository, its hooks, signing or prompts is taken
away; what it needs to reach a remote (ssh agent, proxies, certificates) stays. Output goes to files and not to pipes,
for a helper that goes on in the background (a shared ssh connection) would keep a pipe open for ever.

Source: DESIGN.md D1 "Git"; git(1) "ENVIRONMENT VARIABLES"; git-config(1).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from thrum_kernel.errors import GitFailed
from thrum_kernel.git.process import Answer

LOCAL_S: Final = 60.0
"""How long git may work on our own files."""

Settings = Sequence[tuple[str, str]]
"""Git configuration as pairs, for one process; a key may come more than once."""

_NEUTRAL: Final[Settings] = (
    ("core.hooksPath", os.devnull),
    ("core.fsmonitor", "false"),
    ("core.attributesFile", os.devnull),
    ("core.excludesFile", os.devnull),
    ("core.autocrlf", "false"),
    ("core.eol", "lf"),
    ("core.logAllRefUpdates", "false"),
    ("core.quotePath", "false"),
    ("core.pager", "cat"),
    ("core.askPass", ""),
    ("commit.gpgSign", "false"),
    ("tag.gpgSign", "false"),
    ("push.gpgSign", "false"),
    ("push.followTags", "false"),
    ("push.recurseSubmodules", "no"),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("fetch.prune", "false"),
    ("fetch.writeCommitGraph", "false"),
    ("gc.writeCommitGraph", "false"),
    (
        "core.commitGraph",
        "false",
    ),  # one that names commits which a shallow fetch let go makes fsck find damage
    ("core.multiPackIndex", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("credential.interactive", "false"),
    ("advice.detachedHead", "false"),
    ("color.ui", "false"),
    ("i18n.commitEncoding", "utf-8"),
)

_KEPT: Final = frozenset(
    {
        "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_NOSYSTEM",
        "GIT_CONFIG_SYSTEM",
        "GIT_EXEC_PATH",
        "GIT_PROXY_COMMAND",
        "GIT_SSH",
        "GIT_SSH_COMMAND",
        "GIT_SSH_VARIANT",
        "GIT_SSL_CAINFO",
        "GIT_SSL_CAPATH",
        "GIT_SSL_CERT",
        "GIT_SSL_KEY",
        "GIT_SSL_NO_VERIFY",
    }
)
"""Of all variables of git only these are passed on: they say how to reach a remote."""

_NEVER_ASK: Final = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
    "SSH_ASKPASS": "true",
    "SSH_ASKPASS_REQUIRE": "never",
    "GCM_INTERACTIVE": "never",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_PAGER": "cat",
    "GIT_EDITOR": "true",
    "LC_ALL": "C",
}

_IDENTITY: Final = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Thrum"), ("EMAIL", "thrum@local"))
}


class Runner:
    """Runs git on one repository; may be asked from several threads.

    Args:
        git_dir, work_tree: of the repository; need not exist yet.
        environ: the daemon's environment.

    Attributes:
        has_ssh: whether the environment says how to run ssh.
    """

    def __init__(self, git_dir: Path, work_tree: Path, *, environ: Mapping[str, str]) -> None:
        self._environment = {
            **{name: value for name, value in environ.items() if _is_kept(name)},
            **_NEVER_ASK,
            **_IDENTITY,
            "GIT_DIR": str(git_dir),
            "GIT_WORK_TREE": str(work_tree),
        }
        self.has_ssh = not {"GIT_SSH", "GIT_SSH_COMMAND"}.isdisjoint(environ)
        self._lock = threading.Lock()
        self._running: set[int] = set()
        self._is_abandoned = False

    def run(
        self,
        *words: str,
        cwd: Path,
        stdin: bytes = b"",
        settings: Settings = (),
        env: Mapping[str, str] | None = None,
        timeout_s: float = LOCAL_S,
    ) -> Answer:
        """Run ``git words…`` and wait for its end.

        Args:
            cwd: where; relative addresses of remotes count from here.
            stdin: what it reads.
            settings: configuration for this process; ours, which neutralises, wins.
            env: further variables; an empty value takes one away.
            timeout_s: when it is killed with all that it started.

        Raises:
            GitFailed: it cannot be started, took too long, or we are stopping.
        """
        with (
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as error,
        ):
            given.write(stdin)
            given.seek(0)
            process = self._start(
                words, cwd, self._env(settings, env), (given.fileno(), out.fileno(), error.fileno())
            )
            status = self._wait(process, words[0], timeout_s)
            out.seek(0)
            error.seek(0)
            return Answer(status, out.read(), error.read().decode("utf-8", "replace"))

    def ask(self, *words: str, cwd: Path, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
        """What git prints on a question or a piece of work that must succeed.

        Raises:
            GitFailed: it ended with an error.
        """
        answer = self.run(*words, cwd=cwd, stdin=stdin, env=env)
        if not answer.ok:
            raise GitFailed(words[0], first_line(answer.error) or f"exit status {answer.status}")
        return answer.out

    @contextlib.contextmanager
    def conversation(self, *words: str, cwd: Path) -> Iterator[subprocess.Popen[bytes]]:
        """A git that answers on its standard output what it is asked on its standard input."""
        process = self._start(
            words, cwd, self._env((), None), (subprocess.PIPE, subprocess.PIPE, subprocess.DEVNULL)
        )
        try:
            yield process
        finally:
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
            self._wait(process, words[0], LOCAL_S)

    def abandon(self) -> None:
        """Kill what runs, with all that it started, and run nothing any more."""
        with self._lock:
            self._is_abandoned = True
            for group in self._running:
                _kill(group)

    def _start(
        self, words: Sequence[str], cwd: Path, env: Mapping[str, str], streams: tuple[int, int, int]
    ) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._is_abandoned:
                raise GitFailed(words[0], "the daemon is stopping")
            try:
                process = subprocess.Popen(
                    ["git", *words],
                    cwd=cwd,
                    env=dict(env),
                    stdin=streams[0],
                    stdout=streams[1],
                    stderr=streams[2],
                    start_new_session=True,  # no terminal to ask on, and a group of its own to end
                )
            except FileNotFoundError as error:
                raise GitFailed(
                    words[0], "git is not installed or not on PATH", hint="install git 2.31 or later"
                ) from error
            except OSError as error:
                raise GitFailed(words[0], str(error)) from error
            self._running.add(process.pid)
            return process

    def _wait(self, process: subprocess.Popen[bytes], command: str, timeout_s: float) -> int:
        try:
            status = _status_of(process, timeout_s)
        except subprocess.TimeoutExpired:
            _kill(process.pid)
            process.wait()
            raise GitFailed(
                command, f"no answer within {timeout_s:g} s", hint="thrum tries again by itself"
            ) from None
        finally:
            with self._lock:
                self._running.discard(process.pid)
        if self._is_abandoned and status < 0:
            raise GitFailed(command, "the daemon is stopping")
        return status

    def _env(self, settings: Settings, further: Mapping[str, str] | None) -> dict[str, str]:
        pairs = [*settings, *_NEUTRAL]
        environment = {**self._environment, "GIT_CONFIG_COUNT": str(len(pairs))}
        for number, (key, value) in enumerate(pairs):
            environment[f"GIT_CONFIG_KEY_{number}"] = key
            environment[f"GIT_CONFIG_VALUE_{number}"] = value
        environment.update(further or {})
        return {name: value for name, value in environment.items() if value or name not in (further or {})}


def first_line(text: str) -> str:
    """The line of git's complaint that tells most: the first that is marked as one, else the first."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    marked = (line for line in lines if line.startswith(("fatal: ", "error: ", "remote: error: ", "ERROR: ")))
    return next(marked, lines[0] if lines else "").removeprefix("fatal: ").removeprefix("error: ")


def _status_of(process: subprocess.Popen[bytes], timeout_s: float) -> int:
    """The exit status of a process, as soon as it ends; raises TimeoutExpired.

    `Popen.wait` with a timeout looks again after pauses that grow to 50 ms: a third of an exchange was spent in them.
    """
    if sys.platform != "linux" or process.returncode is not None:
        return process.wait(timeout_s)
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:  # an old kernel, or no descriptor left
        return process.wait(timeout_s)
    try:
        ends = select.poll()
        ends.register(descriptor, select.POLLIN)
        if not ends.poll(timeout_s * 1000):
            raise subprocess.TimeoutExpired(process.args, timeout_s)
    finally:
        os.close(descriptor)
    return process.wait()


def _is_kept(name: str) -> bool:
    return name in _KEPT or not name.startswith(("GIT_", "SSH_ASKPASS", "THRUM_"))


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
