"""What `thrum migrate` and `thrum init` do with messages of earlier layouts: nobody else may be at work meanwhile."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from thrum_kernel import gitdir
from thrum_kernel.errors import Refused, ThrumError, UsageError
from thrum_kernel.migrate import places
from thrum_kernel.migrate.aside import move_aside
from thrum_kernel.migrate.places import LAYOUTS, Source
from thrum_kernel.migrate.report import Report
from thrum_kernel.paths import THRUM_FOLDER, Paths
from thrum_kernel.store.disk import OsDisk
from thrum_kernel.store.lock import Lock
from thrum_kernel.store.tree import Tree
from thrum_kernel.sync.known import purges_of

if TYPE_CHECKING:
    from thrum_kernel.migrate.run import Migration

Say: TypeAlias = Callable[[str], None]

MANY: Final = 20_000
"""From so many new records on the cache is made anew at the next start, which is faster."""


def offered(where: Paths) -> bool:
    """Whether there are messages of an earlier layout that nobody brought over here yet, as far as can be told."""
    try:
        return places.is_offered(where)
    except (ThrumError, OSError):
        return False


def chosen(where: Paths, wanted: str, cwd: Path) -> list[Source]:
    """The files to read: all, those of one layout, or those at a path.

    Raises:
        UsageError: neither a layout nor a path, or nothing is there.
        GitFailed: git cannot be asked.
    """
    if not wanted:
        return places.find(where)
    if wanted in LAYOUTS:
        return [source for source in places.find(where) if source.layout == wanted]
    path = cwd / wanted
    if not path.exists():
        raise UsageError(
            f"--from {wanted} is neither a layout nor a path", hint=f"layouts: {', '.join(LAYOUTS)}"
        )
    found = places.find_at(path)
    if not found:
        raise UsageError(f"{path} holds no messages of an earlier layout")
    return found


def preview(where: Paths, sources: list[Source], *, snapshots: bool, say: Callable[[str], None]) -> Report:
    """What bringing them over would do; writes nothing."""
    return _migration(where, snapshots=snapshots, say=say).run(sources, dry_run=True)


def bring(
    where: Paths,
    choose: Callable[[], list[Source]],
    *,
    snapshots: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Report:
    """Bring over what *choose* finds; no daemon may run.

    Raises:
        Refused: the daemon of the other program is running.
        StoreLocked: ours is.
        StoreError, OSError: the disk refuses; doing it again goes on.
    """
    where.sync.mkdir(mode=0o750, parents=True, exist_ok=True)
    lock = Lock.take(where.lock)
    try:
        with _alone(where.var / "thrum.lock"):
            moved = move_aside(where)
            report = _migration(where, snapshots=snapshots, say=say).run(choose(), dry_run=False)
            report.moved = str(moved or "")
            report.contexts = _take_over_contexts(where)
            if report.new >= MANY:
                from thrum_kernel.projection import db  # as in `_migration`

                db.make_way(where.cache_db, wanted="")
            return report
    finally:
        lock.release()


def _migration(where: Paths, *, snapshots: bool, say: Say) -> Migration:
    # The projection comes with it, which `init` and all other commands in process do without.
    from thrum_kernel.migrate.run import Migration
    from thrum_kernel.migrate.travelled import texts_on
    from thrum_kernel.settings.document import SettingsFile
    from thrum_kernel.sync.remote import choose
    from thrum_kernel.sync.secret_scan import SecretScan

    tree = Tree(OsDisk(), where.sync)
    tree.check_format()
    secrets = SecretScan(lambda: SettingsFile(where.config).daemon.sync)
    place = gitdir.locate(where.repo)
    remote = choose(place, SettingsFile(where.config).daemon.sync.remote).name
    return Migration(
        tree,
        where.sync,
        purges=purges_of(tree),
        with_snapshots=snapshots,
        say=say,
        scan=secrets.matched,
        remote=remote,
        on_remote=lambda: texts_on(place, remote) if place is not None and remote else frozenset(),
    )


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold the lock of the other program's daemon, where it left one, so that it cannot start meanwhile."""
    try:
        file = lock.open("rb")
    except FileNotFoundError:
        yield
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(
                "the daemon of the earlier thrum is running here",
                hint="stop it with that program, then retry",
            ) from None
        yield


def _take_over_contexts(where: Paths) -> list[str]:
    """Saved contexts lie in ``<agent>_session.md`` now; the old file stays, it is the agent's overlay."""
    taken = []
    place = gitdir.locate(where.repo)
    for root in [where.repo, *(gitdir.worktrees(place.common_dir) if place else [])]:
        folder = root / THRUM_FOLDER / "context"
        for old in sorted(folder.glob("*.md")):
            new = folder / f"{old.stem}_session.md"
            is_saved = not old.stem.endswith(("_session", "_preamble")) and old.stem != "project_state"
            if is_saved and not old.is_symlink() and old.read_bytes().strip() and not new.exists():
                with new.open("xb") as file:
                    file.write(old.read_bytes())
                taken.append(str(new))
    return taken
