"""Where records of earlier layouts lie: in folders, in commits of the user's repository, in databases.

Nothing is changed by looking; git is only asked to read. What is ours is passed over: a branch with a ``FORMAT`` file,
databases with our mark. Source: spec/kernel.md §1.2, §1.3; spec/decisions.md.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

from thrum_kernel import git, gitdir
from thrum_kernel.errors import GitFailed
from thrum_kernel.gitdir import Place
from thrum_kernel.ids import EARLIER_DAEMON
from thrum_kernel.migrate import database, event_lines, snapshots
from thrum_kernel.migrate.aside import ASIDE, REPLACED
from thrum_kernel.migrate.facts import DAMAGED, Kept, Record, name_of
from thrum_kernel.paths import Paths
from thrum_kernel.store.names import daemon_folder

Layout = Literal["monolith", "folder", "branch", "local", "path"]
FOLDER: Final = "migrated"
"""Below T: what a migration keeps."""

REPORT: Final = "report.json"

LAYOUTS: Final[tuple[Layout, ...]] = ("monolith", "folder", "branch", "local")

MONOLITHS: Final = ("messages.jsonl", "messages.jsonl.v6.bak")
BRANCH: Final = "a-sync"
_REPLACED: Final = f"/{REPLACED}"
_MOST_S: Final = 120.0

_CONTEXTS: Final = "context/"
_READERS: Final[Sequence[tuple[str, str, Callable[[bytes, str], Iterator[Record]]]]] = (
    ("messages/", ".jsonl", event_lines.read),
    ("messages-v2/", ".jsonl", snapshots.read_messages),
    ("receipts/", ".jsonl", snapshots.read_receipts),
    ("state/agents/", ".json", snapshots.read_agent),
    ("state/bridge-groups/", ".json", snapshots.read_group),
    (_CONTEXTS, ".md", snapshots.read_context),
)


class Folder(Protocol):
    """Files by their name, wherever they lie."""

    @property
    def label(self) -> str: ...
    def names(self) -> list[str]: ...
    def read(self, name: str) -> bytes: ...


@dataclass(frozen=True, slots=True)
class DiskFolder:
    """A folder on the disk; symbolic links in it are not followed."""

    path: Path

    @property
    def label(self) -> str:
        return str(self.path)

    def names(self) -> list[str]:
        """Files here and in the folders that a layout has, relative and sorted."""
        folders = (
            "",
            "messages",
            "messages-v2",
            "receipts",
            "state/agents",
            "state/bridge-groups",
            "context",
        )
        found = [path for folder in folders for path in _files(self.path / folder)]
        return sorted(str(path.relative_to(self.path)) for path in found)

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()


@dataclass(frozen=True, slots=True)
class GitFolder:
    """A folder of a commit; *ref* and *prefix* (empty, or ending in a slash) say which.

    With *only* nothing but these paths is looked at: a person's tree may be large.
    """

    place: Place
    ref: str
    prefix: str = ""
    only: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return f"{self.ref}:{self.prefix}"

    def names(self) -> list[str]:
        words = ("ls-tree", "-r", "-z", "--full-tree", "--name-only", self.ref, *self.only)
        answer = git.run(self.place, *words, timeout_s=_MOST_S)
        if not answer.ok:
            raise GitFailed("ls-tree", answer.error.strip().partition("\n")[0] or "no answer")
        return sorted(
            name.removeprefix(self.prefix) for name in answer.fields if name.startswith(self.prefix)
        )

    def read(self, name: str) -> bytes:
        words = ("cat-file", "blob", f"{self.ref}:{self.prefix}{name}")
        answer = git.run(self.place, *words, timeout_s=_MOST_S)
        if not answer.ok:
            raise GitFailed("cat-file", answer.error.strip().partition("\n")[0] or "no answer")
        return answer.out


@dataclass(frozen=True, slots=True)
class Source:
    """One file that holds records.

    Attributes:
        layout: which of the earlier layouts it belongs to.
        label: what it is called when it is told of.
        load: its bytes; None for a database, which is read from *path*.
        parse: the records in its bytes.
        path: the database.
    """

    layout: Layout
    label: str
    load: Callable[[], bytes] | None = None
    parse: Callable[[bytes, str], Iterator[Record]] | None = None
    path: Path | None = None

    @property
    def name(self) -> str:
        """Of the file, without where it lies."""
        return name_of(self.label)

    def records(self, data: bytes) -> Iterator[Record]:
        """The records of the file, whose bytes are *data*; of a database those in it."""
        if self.parse is not None:
            yield from self.parse(data, self.label)
            return
        assert self.path is not None
        try:
            yield from database.read(self.path)
        except sqlite3.DatabaseError as error:
            yield Kept(DAMAGED, self.label, 0, b"", f"the database cannot be read: {error}")


def find(paths: Paths) -> list[Source]:
    """Every file of an earlier layout in and around the project at *paths*.

    Raises:
        GitFailed: git cannot be asked.
    """
    return [source for folder, layout in _folders(paths) for source in sources_in(folder, layout)] + [
        Source("local", str(path), path=path) for path in _databases(paths)
    ]


def find_at(path: Path) -> list[Source]:
    """Every file of an earlier layout at a place that somebody names: a file, a repository, a backup, a `.thrum`."""
    if path.is_file():
        if database.is_reference(path):
            return [Source("path", str(path), path=path)]
        return [Source("path", str(path), load=path.read_bytes, parse=event_lines.read)]
    folders = [path, path / "sync", path / ".thrum", path / ".thrum" / "sync"]
    found = [source for folder in folders for source in sources_in(DiskFolder(folder), "path")]
    bases = [folder for base in (path, path / ".thrum") for folder in (base / "var", base)]
    databases = [file for folder in bases for file in _files(folder) if database.is_reference(file)]
    return found + [Source("path", str(file), path=file) for file in databases]


def sources_in(folder: Folder, layout: Layout) -> Iterator[Source]:
    """The files in *folder* that hold records."""
    parsers = {name: parse for name in folder.names() if (parse := _parser(name, layout)) is not None}
    if all(name.startswith(_CONTEXTS) for name in parsers):
        return  # contexts alone tell nothing: any project may have a folder of that name
    for name, parse in parsers.items():
        load = _loader(folder, name)
        if layout != "monolith" or event_lines.begins_with_event(load()):
            yield Source(layout, _joined(folder.label, name), load=load, parse=parse)


def _parser(name: str, layout: Layout) -> Callable[[bytes, str], Iterator[Record]] | None:
    if name in MONOLITHS:
        return event_lines.read
    if layout == "monolith":  # in the user's own tree nothing else is ours
        return None
    if name == "events.jsonl":
        return event_lines.read
    for prefix, suffix, parse in _READERS:
        if layout != "local" and name.startswith(prefix) and name.endswith(suffix):
            return parse if "/" not in name.removeprefix(prefix) else None
    return None


def _loader(folder: Folder, name: str) -> Callable[[], bytes]:
    return lambda: folder.read(name)


def _joined(label: str, name: str) -> str:
    return f"{label}{name}" if label.endswith((":", "/")) else f"{label}/{name}"


def _folders(paths: Paths) -> Iterator[tuple[Folder, Layout]]:
    yield DiskFolder(paths.repo), "monolith"
    yield DiskFolder(paths.thrum), "local"
    yield DiskFolder(paths.thrum / "sync"), "folder"
    yield DiskFolder(paths.published), "branch"
    for folder in sorted(paths.sync.glob(f"{ASIDE}*")):
        yield DiskFolder(folder), "branch"
    place = gitdir.locate(paths.repo)
    if place is not None:
        yield from _committed(place)
    if (paths.repository / "HEAD").is_file():
        ours = Place(paths.published, paths.repository, paths.repository, bare=True, main_worktree=None)
        yield from _branches(ours)


def _committed(place: Place) -> Iterator[tuple[Folder, Layout]]:
    """What the user's own branch holds, and the branches of logs."""
    seen = {""}
    for ref in ("HEAD", "refs/heads/main", "refs/heads/master", "refs/remotes/origin/main"):
        commit = git.run(place, "rev-parse", "-q", "--verify", f"{ref}^{{commit}}").text
        if commit not in seen:
            seen.add(commit)
            yield GitFolder(place, ref, only=MONOLITHS), "monolith"
            yield GitFolder(place, ref, ".thrum/", only=(".thrum/",)), "local"
            yield GitFolder(place, ref, ".thrum/sync/", only=(".thrum/sync/",)), "folder"
    yield from _branches(place)


def _branches(place: Place) -> Iterator[tuple[Folder, Layout]]:
    answer = git.run(place, "for-each-ref", "--format=%(refname)", "refs/heads", "refs/remotes", "refs/thrum")
    if not answer.ok:
        raise GitFailed("for-each-ref", answer.error)
    for ref in answer.text.splitlines():
        if ref.rpartition("/")[2].startswith(BRANCH):
            folder = GitFolder(place, ref)
            if "FORMAT" not in folder.names():
                yield folder, "branch"


def _databases(paths: Paths) -> list[Path]:
    """The reference's database, also where it was moved aside."""
    found = [paths.cache_db, *sorted(paths.var.glob(f"{paths.cache_db.name}.other-program*"))]
    return [
        path for path in found if not path.name.endswith(("-wal", "-shm")) and database.is_reference(path)
    ]


def _files(folder: Path) -> list[Path]:
    try:
        return [path for path in sorted(folder.iterdir()) if path.is_file() and not path.is_symlink()]
    except OSError:
        return []


def is_offered(paths: Paths) -> bool:
    """Whether there is something to bring over that nobody has brought over here yet.

    Raises:
        GitFailed: git cannot be asked.
    """
    return not is_done(paths) and is_there(paths)


def is_done(paths: Paths) -> bool:
    """Whether it was brought over here once."""
    return (paths.sync / FOLDER / REPORT).is_file()


def is_there(paths: Paths) -> bool:
    """Whether there is anything to bring over; looks no further than the first file that holds something.

    What a remote's branch was before it became ours is not asked for where the log has what was brought over: whoever
    made the branch ours brought that over.
    """
    is_joined = (paths.published / "events" / daemon_folder(EARLIER_DAEMON)).is_dir()
    found = (source for source in find(paths) if not (is_joined and _REPLACED in source.label))
    return any(source.load is None or source.load().strip() for source in found)
