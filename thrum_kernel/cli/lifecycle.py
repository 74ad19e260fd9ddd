"""Start, stop and restart of a repository's daemon, as a person asks for it: `daemon start`, `init`, `quickstart`.

What is done to processes is `process`; here is what the pid file, the socket and the mark of a deliberate stop mean.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from thrum_kernel.bus.remote import blocker
from thrum_kernel.cli import interrupts, process
from thrum_kernel.cli.process import Running
from thrum_kernel.errors import DaemonError, DaemonNotRunning, NotInitialized, StoreError, disk_full
from thrum_kernel.jsonio import read_object, write_atomic
from thrum_kernel.paths import Paths

_START_BYTES: Final = 256 * 1024
"""More than a start writes before it answers: pid file, journal, the databases' logs."""


def _try_write(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(_START_BYTES))
        file.flush()
        os.fsync(file.fileno())


@dataclass(frozen=True, slots=True)
class Started:
    """A daemon that answers. ``was_running``: it did before, nothing was started."""

    pid: int
    was_running: bool = False


class Lifecycle:
    """The daemon of one repository.

    Args:
        paths: where the repository's files are.
        env: the environment of the one who asks.
        words: ``(repo, local=, force=)`` → the words that run a daemon in the foreground.
        grace_s: how long a daemon that is to end may take.
        try_write: writes what a start may need into a folder, and takes it away again.
    """

    def __init__(
        self,
        paths: Paths,
        env: Mapping[str, str],
        *,
        words: Callable[..., Sequence[str]] = process.command,
        grace_s: float = process.STOP_TIMEOUT_S,
        try_write: Callable[[Path], None] = _try_write,
    ) -> None:
        self._paths = paths
        self._env = env
        self._words = words
        self._grace_s = grace_s
        self._try_write = try_write

    def running(self) -> Running | None:
        """The daemon, if its process is alive.

        Raises:
            FileDamaged: the pid file names nobody.
        """
        return process.running(self._paths.pid_file)

    def start(self, *, local: bool = False, force: bool = False) -> Started:
        """Have a daemon that answers: the one that is there, else a new one. A deliberate stop is over then.

        Raises:
            NotInitialized: there is nothing to serve.
            DaemonError: it did not come up.
        """
        if not self._paths.is_initialized:
            raise NotInitialized(self._paths.repo)
        self._paths.stopped.unlink(missing_ok=True)
        found = self.running()
        if found is not None:
            self._await(found.pid, self._log_size())
            return Started(found.pid, was_running=True)
        before = self._log_size()
        env = process.environment(self._env, explicit=True)
        words = self._words(self._paths.repo, local=local, force=force)
        pid = 0
        try:
            with interrupts.deferred():
                pid = process.spawn(words, env=env, log=self._paths.log)
            self._await(pid, before)
        except BaseException:
            if pid:
                process.end(pid)
            raise
        now = self.running()
        return Started(now.pid if now else pid)

    def stop(self, *, force: bool = False) -> Running:
        """End the daemon, and keep commands from starting it again until somebody does on purpose.

        Args:
            force: kill one that does not end.

        Raises:
            DaemonNotRunning: there is none.
            DaemonError: it does not end.
        """
        if self.running() is None:
            raise DaemonNotRunning()
        write_atomic(self._paths.stopped, b"")
        try:
            found = self._end(force=force)
        except BaseException:
            with contextlib.suppress(OSError):
                self._paths.stopped.unlink()
            raise
        if found is None:
            raise DaemonNotRunning(stopped=True)
        return found

    def end_quietly(self) -> None:
        """End the daemon, if there is one, leaving no mark: what it was started for is taken back."""
        with contextlib.suppress(DaemonError):
            process.stop(self._paths.pid_file)

    def restart(self, *, local: bool = False, force: bool = False) -> Started:
        """End the daemon, if there is one, and start another when its process is gone.

        Raises:
            FileDamaged: the configuration cannot be read, so no other would start; the one that runs goes on.
            StoreError: there is no space for what a start writes; the one that runs goes on.
            DaemonError: the old one does not end, or the new one does not come up.
        """
        if self.running() is not None:
            self._try_disk()
        with contextlib.suppress(FileNotFoundError):
            read_object(self._paths.config)
        self._end(force=False)
        return self.start(local=local, force=force)

    def _try_disk(self) -> None:
        """See that a start could write: its pid file below ``.thrum``, journal and tables in T."""
        for folder in (self._paths.var, self._paths.sync):
            try:
                self._try_write(folder)
            except OSError as error:
                if disk_full(error) is not None:
                    raise StoreError(
                        f"no space left on the disk of {folder}: the daemon goes on as it was",
                        hint="free some space and retry; reading still works",
                    ) from error

    def _end(self, *, force: bool) -> Running | None:
        """End the daemon; of one that had to be killed nothing is left that looks as if it ran."""
        where = self._paths
        found = process.stop(
            where.pid_file, timeout_s=self._grace_s, kill=force, why=lambda: blocker(where.socket)
        )
        if found is not None and found.killed and self.running() is None:
            for path in (where.socket, where.pid_file, where.blocked):
                path.unlink(missing_ok=True)
        return found

    def _await(self, pid: int, log_size_before: int) -> None:
        process.wait_until_up(
            pid,
            is_up=lambda: process.is_answering(self._paths.socket),
            log=self._paths.log,
            log_size_before=log_size_before,
        )

    def _log_size(self) -> int:
        try:
            return self._paths.log.stat().st_size
        except FileNotFoundError:
            return 0
