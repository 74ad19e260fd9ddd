"""Where one stands: which worktree, which shared ``.thrum``, and where everything of ours lies.

`find` answers for a command: ``--repo``, else the nearest ``.thrum`` that holds ``config.json`` or ``redirect`` (which
is followed), no higher than the root of the git worktree and never ``~/.thrum``, else the main worktree of a linked
worktree (of a bare repository: the worktree initialised first), else ``THRUM_HOME``. `plan` answers for ``init`` and
``quickstart``, where nothing need be there yet. Both only look; `write_redirect` writes.

A ``.thrum`` that was deleted (``git clean -fdx``) still counts as there while T holds our daemon's record: the next
start writes it back.

Source: spec/decisions.md "The command line, everywhere"; DESIGN.md D1, D3; spec/kernel.md §1.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from thrum_kernel import gitdir, jsonio
from thrum_kernel.errors import FileDamaged, NotARepository, NotInitialized, UsageError
from thrum_kernel.gitdir import SYNC_FOLDER, Place

THRUM_FOLDER = ".thrum"


@dataclass(frozen=True, slots=True)
class Paths:
    """Where everything lies for one worktree; all paths absolute and resolved.

    Attributes:
        worktree: root of the worktree one stands in.
        here: its own ``.thrum`` (identities, context); need not exist.
        thrum: the shared ``.thrum``, the redirect followed; the same as `here` in the main worktree.
        repo: the folder that holds `thrum`.
        sync: T, what must outlive ``git clean -fdx``.
        socket_override: what ``THRUM_SOCKET`` says.
    """

    worktree: Path
    here: Path
    thrum: Path
    repo: Path
    sync: Path
    socket_override: Path | None = None

    @property
    def is_redirected(self) -> bool:
        """Whether the shared ``.thrum`` is another worktree's."""
        return self.here != self.thrum

    @property
    def is_initialized(self) -> bool:
        """Whether there is a configuration, or a record to write it back from."""
        return _is_file(self.config) or _is_file(self.daemon_file)

    # .thrum, shared

    @property
    def config(self) -> Path:
        return self.thrum / "config.json"

    @property
    def role_templates(self) -> Path:
        return self.thrum / "role_templates"

    @property
    def strategies(self) -> Path:
        return self.thrum / "strategies"

    @property
    def var(self) -> Path:
        return self.thrum / "var"

    @property
    def socket(self) -> Path:
        return self.socket_override or self.var / "thrum.sock"

    @property
    def pid_file(self) -> Path:
        return self.var / "thrum.pid"

    @property
    def ws_port(self) -> Path:
        return self.var / "ws.port"

    @property
    def log(self) -> Path:
        return self.var / "daemon.log"

    @property
    def blocked(self) -> Path:
        """There while a plugin keeps the daemon from answering: one line that says which, and where."""
        return self.var / "blocked"

    @property
    def stopped(self) -> Path:
        """There while the daemon is stopped on purpose: commands do not start it."""
        return self.var / "stopped"

    @property
    def cache_db(self) -> Path:
        return self.var / "messages.db"

    @property
    def search_db(self) -> Path:
        return self.var / "search.db"

    # .thrum, of this worktree

    @property
    def redirect(self) -> Path:
        return self.here / "redirect"

    @property
    def identities(self) -> Path:
        return self.here / "identities"

    @property
    def context(self) -> Path:
        return self.here / "context"

    # T

    @property
    def daemon_file(self) -> Path:
        return self.sync / "daemon.json"

    @property
    def local_db(self) -> Path:
        return self.sync / "local.db"

    @property
    def lock(self) -> Path:
        return self.sync / "lock"

    @property
    def journal(self) -> Path:
        return self.sync / "journal"

    @property
    def quarantine(self) -> Path:
        return self.sync / "quarantine"

    @property
    def published(self) -> Path:
        """Work tree of our own repository: the published files."""
        return self.sync / "a-sync"

    @property
    def repository(self) -> Path:
        """Our own git repository."""
        return self.sync / "repo.git"


def find(start: Path, *, repo: Path | str | None = None, env: Mapping[str, str]) -> Paths:
    """Where a command stands that was typed in *start*.

    Args:
        start: an existing folder, absolute.
        repo: what ``--repo`` said, relative to *start*; overrides ``THRUM_HOME``.
        env: the caller's environment; ``HOME``, ``THRUM_HOME`` and ``THRUM_SOCKET`` are read.

    Raises:
        NotInitialized: no ``.thrum`` with a configuration is found.
        FileDamaged: a redirect, or a ``.git`` file, leads nowhere.
        UsageError: *repo* or ``THRUM_HOME`` is no folder.
    """
    origin = _origin(start, repo)
    home = _home(env)
    found = _standing(origin, home)
    pinned = env.get("THRUM_HOME", "").strip()
    if found is None and not repo and pinned:
        found = _standing(_folder(start / pinned, "THRUM_HOME"), home)
    if found is None:
        place = gitdir.locate(origin)
        raise NotInitialized(place.root if place else origin, bare=place is not None and place.bare)
    worktree, shared = found
    if not _has_project(shared):
        raise NotInitialized(shared)
    return _paths(worktree, shared, start, env)


def plan(
    start: Path, *, repo: Path | str | None = None, env: Mapping[str, str], without_git: bool = False
) -> Paths:
    """Where ``init`` in *start* would put things, whether or not anything is there yet.

    In a linked worktree the shared ``.thrum`` is the main worktree's (of a bare repository: the worktree
    initialised first, else this one), so the caller redirects when `Paths.is_redirected`. ``THRUM_HOME`` is ignored.

    Args:
        start: an existing folder, absolute.
        repo: what ``--repo`` said, relative to *start*.
        env: the caller's environment; ``HOME`` and ``THRUM_SOCKET`` are read.
        without_git: ``--force``: outside git, *start* itself becomes the worktree and T lies in its ``.thrum``.

    Raises:
        NotARepository: *start* is in no git repository (and not *without_git*), or in a bare one.
        FileDamaged: an existing redirect, or a ``.git`` file, leads nowhere.
        UsageError: *repo* is no folder, or the place is the home folder, whose ``.thrum`` belongs to the user, or its
            path is not UTF-8, so that no file could tell it.
    """
    origin = _origin(start, repo)
    place = gitdir.locate(origin)
    if place is not None and place.bare:
        raise NotARepository(place.root, bare=True)
    if place is None and not without_git:
        raise NotARepository(origin)
    worktree = place.root if place else origin
    shared = _redirected(worktree)
    if shared is None:
        own = place is None or _is_file(worktree / THRUM_FOLDER / "config.json")
        shared = worktree if own or place is None else _shared_of(place) or worktree
    if _home(env) in (worktree, shared):
        raise UsageError(
            f"{shared / THRUM_FOLDER} belongs to all your projects: the home folder cannot be one itself",
            hint="run thrum init in a project's folder",
        )
    for folder in (worktree, shared):
        _check_text(folder)
    return _paths(worktree, shared, start, env)


def write_redirect(paths: Paths) -> bool:
    """Point the worktree's ``.thrum`` at the shared one; False when it already does.

    Raises:
        UsageError: the worktree has a configuration of its own, or is the one to share.
    """
    if not paths.is_redirected:
        raise UsageError(f"{paths.here} cannot redirect to itself")
    if _is_file(paths.here / "config.json"):
        raise UsageError(
            f"{paths.here} has a configuration of its own",
            hint=f"move {paths.here / 'config.json'} away to share {paths.thrum}",
        )
    text = f"{paths.thrum}\n".encode(errors="surrogateescape")
    paths.identities.mkdir(parents=True, exist_ok=True, mode=0o750)
    if _is_file(paths.redirect) and paths.redirect.read_bytes() == text:
        return False
    jsonio.write_atomic(paths.redirect, text, mode=0o644)
    return True


def sync_folder(repo: Path) -> Path:
    """T of the project whose ``.thrum`` lies in *repo*.

    Outside git it is ``.thrum/thrum-sync``, and stays there when the folder becomes a repository later.
    """
    inside = repo / THRUM_FOLDER / SYNC_FOLDER
    place = gitdir.locate(repo)
    if place is None:
        return inside
    usual = place.common_dir / SYNC_FOLDER
    if _is_file(inside / "daemon.json") and not _is_file(usual / "daemon.json"):
        return inside
    return usual


# --- looking ---------------------------------------------------------------------------------------------------------


def _standing(origin: Path, home: Path | None) -> tuple[Path, Path] | None:
    """The worktree and the folder of the shared ``.thrum`` that *origin* belongs to."""
    place = gitdir.locate(origin)
    for folder in _upwards(origin, place):
        if folder == home or not _holds(folder):
            continue
        return folder, _redirected(folder) or folder
    shared = _shared_of(place) if place else None
    if place is None or shared is None or shared == home or not _has_project(shared):
        return None
    return (shared if place.bare else place.root), shared


def _upwards(origin: Path, place: Place | None) -> Iterator[Path]:
    for folder in (origin, *origin.parents):
        if place is not None and not folder.is_relative_to(place.root):
            return
        yield folder


def _shared_of(place: Place) -> Path | None:
    """The folder whose ``.thrum`` a worktree shares when its own says nothing."""
    if not place.is_linked and not place.bare:
        return place.root
    if place.main_worktree is None:
        return _initialized_first(place.common_dir)
    return _redirected(place.main_worktree) or place.main_worktree


def _initialized_first(common_dir: Path) -> Path | None:
    """Of a repository without main worktree: the worktree that the daemon's record names, else the oldest."""
    record = _object(common_dir / SYNC_FOLDER / "daemon.json")
    recorded = Path(str(record.get("repo_path") or ""))
    if recorded.is_absolute() and recorded.is_dir():
        return recorded.resolve()
    holders = [root for root in gitdir.worktrees(common_dir) if _is_file(root / THRUM_FOLDER / "config.json")]
    return min(holders, key=_age, default=None)


def _age(root: Path) -> tuple[str, int]:
    config = root / THRUM_FOLDER / "config.json"
    identity = _object(config).get("identity")
    init_at = identity.get("init_at") if isinstance(identity, dict) else None
    return str(init_at or "9999"), config.stat().st_mtime_ns


def _redirected(folder: Path) -> Path | None:
    """The folder whose ``.thrum`` that of *folder* redirects to; None without a redirect.

    Raises:
        FileDamaged: the redirect is empty, relative, leads nowhere or to another redirect.
    """
    redirect = folder / THRUM_FOLDER / "redirect"
    try:
        text = redirect.read_text("utf-8", "surrogateescape").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _bad_redirect(redirect, f"cannot be read: {error.strerror}") from error
    if not text:
        raise _bad_redirect(redirect, "is empty")
    target = Path(text)
    if not target.is_absolute():
        raise _bad_redirect(redirect, f"names {text}, which is not an absolute path")
    target = target.parent.resolve() / target.name
    if target.name != THRUM_FOLDER:
        raise _bad_redirect(redirect, f"leads to {target}, which is no .thrum folder")
    if not target.is_dir() and (target.exists() or not _has_project(target.parent)):
        what = "is not a folder" if target.exists() else "does not exist"
        raise _bad_redirect(redirect, f"leads to {target}, which {what}")
    if target == redirect.parent.resolve():
        raise _bad_redirect(redirect, "leads to itself")
    if (target / "redirect").exists():
        raise _bad_redirect(redirect, f"leads to {target}, which is itself redirected")
    return target.parent


def _bad_redirect(redirect: Path, reason: str) -> FileDamaged:
    return FileDamaged(
        redirect, reason, hint=f"write the absolute path of the shared .thrum into it, or: rm {redirect}"
    )


def _holds(folder: Path) -> bool:
    """Whether the ``.thrum`` of *folder* leads somewhere.

    Raises:
        FileDamaged: it is there but may not be looked into.
    """
    thrum = folder / THRUM_FOLDER
    try:
        return (
            (thrum / "config.json").is_file()
            or (thrum / "redirect").is_file()
            or (thrum / SYNC_FOLDER / "daemon.json").is_file()
        )
    except PermissionError as error:
        raise FileDamaged(
            thrum, f"cannot be read: {error.strerror}", hint="check its owner and mode"
        ) from error


def _has_project(folder: Path) -> bool:
    return _is_file(folder / THRUM_FOLDER / "config.json") or (
        folder.is_dir() and _is_file(sync_folder(folder) / "daemon.json")
    )


def _paths(worktree: Path, shared: Path, start: Path, env: Mapping[str, str]) -> Paths:
    socket = env.get("THRUM_SOCKET", "").strip()
    return Paths(
        worktree=worktree,
        here=(worktree / THRUM_FOLDER).resolve(),
        thrum=(shared / THRUM_FOLDER).resolve(),
        repo=shared,
        sync=sync_folder(shared),
        socket_override=start / socket if socket else None,
    )


def _origin(start: Path, repo: Path | str | None) -> Path:
    return _folder(start / repo, "--repo") if repo else start.resolve()


def _check_text(folder: Path) -> None:
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        shown = str(folder).encode(errors="surrogateescape").decode(errors="backslashreplace")
        raise UsageError(
            f"the path {shown} is not valid UTF-8: configuration and identities could not name it",
            hint="rename the folder",
        ) from None


def _folder(path: Path, what: str) -> Path:
    resolved = path.resolve()
    if not resolved.is_dir():
        raise UsageError(f"{what} {path} is not a folder")
    return resolved


def _home(env: Mapping[str, str]) -> Path | None:
    home = env.get("HOME", "")
    return Path(home).resolve() if home else None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _object(path: Path) -> dict[str, object]:
    try:
        return jsonio.read_object(path)
    except (OSError, FileDamaged):
        return {}
