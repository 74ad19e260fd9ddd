"""What a daemon holds before it serves: the lock first, then its identity, its journals and its own tables.

Blocking; done before the loop begins. Taken in this order and given back in the reverse one, the lock last, so that
two daemons never overlap.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from thrum_kernel import __version__, git, gitdir
from thrum_kernel.api import Migration
from thrum_kernel.clock import Clock, format_us
from thrum_kernel.daemon.copied import begin_anew
from thrum_kernel.daemon.owned_disk import OwnedDisk
from thrum_kernel.errors import NotInitialized, StoreError
from thrum_kernel.ids import HybridClock
from thrum_kernel.migrate import aside
from thrum_kernel.paths import Paths
from thrum_kernel.projection.local import LocalDb
from thrum_kernel.settings import copies
from thrum_kernel.settings.daemon_identity import Known, load_or_create, this_host
from thrum_kernel.settings.document import Override, SettingsFile, overrides_of
from thrum_kernel.store import journal
from thrum_kernel.store.disk import Disk, OsDisk
from thrum_kernel.store.filesystem import refuse_network
from thrum_kernel.store.journal import Previous, Recovered
from thrum_kernel.store.lock import Lock
from thrum_kernel.store.tree import Tree

_log = logging.getLogger(__name__)

LOCAL_FLAG = Override("daemon.local_only", True, "flag --local")

LOOK_EVERY_S = 0.01
"""How often config.json is looked at while requests come; less than a command takes to come."""


@dataclass(slots=True)
class Opened:
    """Everything that one daemon has open.

    Attributes:
        paths: where the project lies.
        lock: held until `close`.
        settings: its config.json.
        known: which daemon this is.
        tree: the log's files.
        recovered: earlier journals, brought to a clean end.
        local: the tables of this machine, migrated.
        restored: files of ours that were gone and are written back.
        ids: the clock that its events are numbered by.
        moved_aside: where the work tree of an earlier Thrum, found in our place, is now; None when there was none.
    """

    paths: Paths
    lock: Lock
    settings: SettingsFile
    known: Known
    tree: Tree
    recovered: Recovered
    local: LocalDb
    restored: tuple[str, ...]
    ids: HybridClock
    moved_aside: Path | None = None

    @classmethod
    def open(
        cls,
        paths: Paths,
        *,
        clock: Clock,
        env: Mapping[str, str],
        migrations: tuple[Migration, ...],
        local_only: bool = False,
        on_elsewhere: Literal["ask", "adopt", "renew"] = "renew",
        disk: Disk | None = None,
    ) -> Self:
        """Open the project at *paths*.

        Args:
            env: the environment of an explicit ``daemon start``.
            migrations: of all rooms and plugins.
            local_only: ``--local`` was given; kept in the configuration.
            on_elsewhere: what to do when the log was brought from another machine: without a terminal to ask on, a
                new identity is taken, which ``daemon adopt`` can take back.

        Raises:
            StoreLocked: another daemon has it.
            ThrumError: a file of ours cannot be used; nothing was changed.
        """
        if not SettingsFile(paths.config).store.allow_network_fs:
            refuse_network(paths.sync)
        make_folders(paths)
        lock = Lock.take(paths.lock)
        try:
            ids = HybridClock(clock)
            begin_anew(paths)
            local = LocalDb(paths.local_db, version=__version__)
            try:
                local.migrate((*copies.LOCAL_MIGRATIONS, *migrations))
                restored = write_back(paths, local, clock)
                settings = SettingsFile(
                    paths.config,
                    overrides=(*((LOCAL_FLAG,) if local_only else ()), *overrides_of(env)),
                    look_every_s=LOOK_EVERY_S,
                )
                if not paths.is_initialized:
                    raise NotInitialized(paths.repo)
                if local_only:
                    settings.set("daemon.local_only", True)
                known = load_or_create(
                    paths,
                    settings,
                    clock=clock,
                    host=this_host(env),
                    origin_url=_origin(paths.repo),
                    new_id=ids.next_ulid,
                    on_elsewhere=on_elsewhere,
                )
                moved_aside = _move_aside(paths)
                tree = Tree(OwnedDisk(disk or OsDisk(), lambda: check_lock(lock, paths)), paths.sync)
                tree.check_format()
                recovered = journal.recover(tree.disk, tree.journal, tree.quarantine)
            except BaseException:
                local.close()
                raise
        except BaseException:
            lock.release()
            raise
        for torn in recovered.torn:
            _log.warning(
                "journal %s: %d bytes (%d whole lines) at its end were never acknowledged; kept in %s",
                torn.journal.name,
                torn.size,
                torn.lines,
                torn.kept,
            )
        return cls(paths, lock, settings, known, tree, recovered, local, restored, ids, moved_aside)

    @property
    def daemon_id(self) -> str:
        return self.known.identity.daemon_id

    @property
    def previous(self) -> Previous | None:
        """Where the newest earlier journal of this daemon ended."""
        journals = [ended for ended in self.recovered.journals if ended.header.daemon == self.daemon_id]
        return Previous(journals[-1].header.writer, journals[-1].last) if journals else None

    def check_lock(self) -> None:
        """Raise when the lock file is not ours any more: another daemon may already write.

        Raises:
            StoreError: it is not.
        """
        check_lock(self.lock, self.paths)

    def keep_copies(self, clock: Clock) -> None:
        """Note the present configuration and identity files, for a start that finds them gone."""
        write_back(self.paths, self.local, clock, restoring=False)

    def close(self) -> None:
        """Give everything back, the lock last."""
        try:
            self.local.close()
        finally:
            self.lock.release()


def _move_aside(paths: Paths) -> Path | None:
    """Make way for our published files where the work tree of an earlier Thrum lies in their place."""
    try:
        moved = aside.move_aside(paths)
    except OSError as error:
        raise StoreError(f"the work tree of an earlier Thrum is in the way: {error}") from error
    if moved is not None:
        _log.warning("the work tree of an earlier Thrum was moved to %s; see: thrum migrate", moved)
    return moved


def check_lock(lock: Lock, paths: Paths) -> None:
    """Raise StoreError when the lock file is not the one that is held."""
    if not lock.still_ours():
        raise StoreError(
            f"{paths.lock} was taken away under this daemon; it takes nothing any more",
            hint="thrum daemon start",
        )


def make_folders(paths: Paths) -> None:
    """The folders that a daemon writes to.

    Raises:
        StoreError: one cannot be made.
    """
    try:
        for folder in (paths.thrum, paths.var, paths.sync):
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        if not os.access(paths.var, os.W_OK):
            raise PermissionError(f"{paths.var} is not writable")
    except OSError as error:
        raise StoreError(f"cannot write below {paths.thrum}: {error}") from error


def write_back(paths: Paths, local: LocalDb, clock: Clock, *, restoring: bool = True) -> tuple[str, ...]:
    """Bring files of ours and their copies in ``local.db`` together; the paths of those that were written back.

    Identity files have their own keeper, who knows which agents are gone; here it is config.json and redirects.
    """
    kept = tuple(
        copies.FileCopy(path, root, content)
        for path, root, content in local.read("SELECT path, root, content FROM file_copies")
    )
    compared = copies.compare((copy for copy in copies.present(_roots(paths)) if _is_small(copy)), kept)
    restored = tuple(copy.path for copy in compared.restore if restoring and copies.restore(copy))
    if compared.store:
        at = format_us(clock.now_us())
        rows = [(copy.path, copy.root, copy.content, at) for copy in compared.store]
        local.write_later(
            lambda db: db.executemany(
                "INSERT OR REPLACE INTO file_copies (path, root, content, copied_at) VALUES (?, ?, ?, ?)",
                rows,
            )
        )
    return restored


def _is_small(copy: copies.FileCopy) -> bool:
    return Path(copy.path).parent.name != "identities"


def _roots(paths: Paths) -> list[Path]:
    place = gitdir.locate(paths.repo)
    return list(dict.fromkeys([paths.repo, *(gitdir.worktrees(place.common_dir) if place else ())]))


def _origin(repo: Path) -> str:
    return git.origin_url(repo) or ""
