"""The project's files: where they lie, who may touch them, whether the configuration holds."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from shlex import quote
from typing import Final

from thrum_kernel import gitdir, jsonio
from thrum_kernel.api import Check, Finding
from thrum_kernel.briefing.doctor import Ground
from thrum_kernel.identity.files import file_name as identity_file
from thrum_kernel.paths import THRUM_FOLDER, Paths
from thrum_kernel.settings import copies

OTHERS_WRITE: Final = 0o022
OTHERS: Final = 0o077


def places(ground: Ground) -> Sequence[Finding]:
    """Where the project lies, and that it is all there."""
    where = ground.paths
    if where is None:
        return [Finding("paths", "error", ground.missing, "thrum init")]
    shared = f", shared by {where.worktree}" if where.is_redirected else ""
    found = [Finding("paths", "ok", f"{where.thrum}{shared}")]
    gone = _missing(where)
    if gone:
        text = f"gone: {', '.join(copy.path for copy in gone)}; what they held is kept in {where.local_db}"
        found.append(Finding("paths", "error", text, "thrum doctor --fix"))
    elif not where.config.exists():
        found.append(Finding("paths", "error", f"{where.config} is gone", "thrum init --force"))
    for name in ("identities", "context"):
        folder = where.here / name
        if folder.is_symlink():
            found.append(
                Finding("paths", "error", f"{folder} is a symbolic link", f"rm {quote(str(folder))}")
            )
    return found


def write_back(ground: Ground, finding: Finding) -> str:
    """Write files of ours that are gone back from the copies that the daemon keeps."""
    if ground.paths is None:
        return ""
    written = [copy.path for copy in _missing(ground.paths) if copies.restore(copy)]
    return f"wrote back {', '.join(written)}" if written else ""


def _missing(where: Paths) -> list[copies.FileCopy]:
    """Copies of files that are not there, in worktrees that are."""
    if not where.local_db.is_file():
        return []
    with closing(sqlite3.connect(f"{where.local_db.as_uri()}?mode=ro", uri=True)) as db:
        kept = [*_files(db), *_identities(db)]
    return [copy for copy in kept if Path(copy.root).is_dir() and not os.path.lexists(copy.path)]


def _files(db: sqlite3.Connection) -> list[copies.FileCopy]:
    try:
        rows = db.execute("SELECT path, root, content FROM file_copies ORDER BY path").fetchall()
    except sqlite3.OperationalError:  # no daemon has made the table yet
        return []
    return [copies.FileCopy(path, root, bytes(content)) for path, root, content in rows]


def _identities(db: sqlite3.Connection) -> list[copies.FileCopy]:
    try:
        rows = db.execute("SELECT worktree, name, body FROM agent_identity_files ORDER BY worktree, name")
        found = rows.fetchall()
    except sqlite3.OperationalError:
        return []
    return [
        copies.FileCopy(
            str(Path(worktree) / THRUM_FOLDER / "identities" / identity_file(name)),
            worktree,
            jsonio.dump(json.loads(body)),
        )
        for worktree, name, body in found
    ]


def permissions(ground: Ground) -> Sequence[Finding]:
    """Nobody but us may write here, or look into what is private; and we may."""
    if ground.paths is None:
        return []
    found = [_permission(path, mode) for path, mode in _guarded(ground.paths)]
    wrong = [finding for finding in found if finding is not None]
    return wrong or [Finding("permissions", "ok", "only you may write, and look into what is private")]


def _guarded(where: Paths) -> Iterator[tuple[Path, int]]:
    """Files and folders of ours with the bits of others that are too much."""
    yield where.thrum, OTHERS_WRITE
    yield where.sync, OTHERS_WRITE
    yield where.var, OTHERS
    for path in (where.config, where.local_db, where.cache_db, where.daemon_file):
        yield path, OTHERS_WRITE
    for folder in (where.identities, where.context):
        yield folder, OTHERS_WRITE
        if folder.is_dir() and not folder.is_symlink():
            yield from ((path, OTHERS_WRITE) for path in sorted(folder.iterdir()))


def _permission(path: Path, too_much: int) -> Finding | None:
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        return Finding(
            "permissions", "error", f"{path} cannot be looked at", f"chmod u+rwx {quote(str(path.parent))}"
        )
    if stat.S_ISLNK(status.st_mode):
        return None
    if status.st_uid != os.geteuid() and os.geteuid() != 0:
        return Finding(
            "permissions",
            "error",
            f"{path} belongs to another user",
            f"sudo chown -R $USER {quote(str(path))}",
        )
    mode = stat.S_IMODE(status.st_mode)
    if mode & too_much:
        text = f"{path} is open to others ({mode:04o})"
        return Finding("permissions", "warning", text, f"chmod {mode & ~too_much:04o} {quote(str(path))}")
    needed = os.R_OK | os.W_OK | (os.X_OK if stat.S_ISDIR(status.st_mode) else 0)
    if not os.access(path, needed):
        return Finding(
            "permissions",
            "error",
            f"{path} cannot be written ({mode:04o})",
            f"chmod u+rwX {quote(str(path))}",
        )
    return None


def tighten(ground: Ground, finding: Finding) -> str:
    """Take from others what is too much, and give ourselves what we need."""
    assert ground.paths is not None
    for path, too_much in _guarded(ground.paths):
        if finding == _permission(path, too_much):
            mode = stat.S_IMODE(path.lstat().st_mode)
            wanted = mode & ~too_much | (0o700 if path.is_dir() else 0o600)
            path.chmod(wanted)
            return f"{path} is {wanted:04o} now"
    return ""


def configuration(ground: Ground) -> Sequence[Finding]:
    """Every mistake in config.json, with its key."""
    if ground.settings is None or not ground.settings.path.exists():
        return []
    problems = ground.settings.problems()
    if not problems:
        return [Finding("config", "ok", str(ground.settings.path))]
    edit = f"edit {ground.settings.path}"
    return [
        Finding("config", problem.level, f"{problem.subject}: {problem.text}", problem.remedy or edit)
        for problem in problems
    ]


def worktrees(ground: Ground) -> Sequence[Finding]:
    """Every worktree of the repository shares this project, or says why not."""
    if ground.paths is None:
        return []
    place = gitdir.locate(ground.paths.repo)
    if place is None:
        return [Finding("worktrees", "ok", "no git repository: this folder alone")]
    roots = gitdir.worktrees(place.common_dir)
    found = [finding for root in roots if (finding := _worktree(root, ground.paths)) is not None]
    return found or [Finding("worktrees", "ok", f"{len(roots)} in this repository")]


def _worktree(root: Path, where: Paths) -> Finding | None:
    redirect = root / ".thrum" / "redirect"
    if root == where.repo or not redirect.exists():
        return None
    target = Path(redirect.read_text("utf-8", "surrogateescape").strip())
    if target == where.thrum or (target.exists() and target.samefile(where.thrum)):
        return None
    text = f"{redirect} leads to {target}, not to {where.thrum}"
    return Finding("worktrees", "error", text, f"rm {quote(str(redirect))} && thrum setup {quote(str(root))}")


CHECKS: Final = (
    Check(subject="paths", look=places, fix=write_back),
    Check(subject="permissions", look=permissions, fix=tighten),
    Check(subject="config", look=configuration),
    Check(subject="worktrees", look=worktrees),
)
