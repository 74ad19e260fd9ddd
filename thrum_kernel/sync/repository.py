"""Our own git repository: `T/repo.git`, whose work tree is `T/a-sync`.

The user's repository is not involved: its refs, index, worktrees, hooks, reflogs and objects cannot be touched from
here. Commits are made with plumbing from names and blobs, never from the work tree as a whole, so that what a commit
holds is what the caller says, and paths of a later version of Thrum stay in the tree though nobody here knows them.

Everything in it can be had again, from the work tree and from the remote: a damaged one is put aside and made anew.

Source: DESIGN.md D1 "Git".
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

from thrum_kernel.errors import GitFailed
from thrum_kernel.sync.blobs import Blobs
from thrum_kernel.sync.history import number_in
from thrum_kernel.sync.process import Runner, first_line

BRANCH: Final = "a-sync"
REF: Final = f"refs/heads/{BRANCH}"
_VERSIONS: Final = 16
"""Commits that are looked into for what a path once was."""

GC_AT: Final = 2000
"""Loose objects from which on our own gc packs them."""

_NOBODYS_CONFIG: Final = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
"""What a person wants of fsck (``fsck.*``) says nothing about whether ours is whole."""

COLLECT_S: Final = 900.0
"""How long git may take to pack everything anew."""

_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_DRAFT: Final = b"refs/thrum/draft"
_ENDING: Final = b"\nget-mark :1\nreset " + _DRAFT + b"\nfrom %s\n\ndone\n"
_CONFIG: Final = """\
[core]
\trepositoryformatversion = {version}
\tfilemode = false
\tbare = false
\tworktree = ../{work_tree}
\tlogAllRefUpdates = false
\thooksPath = /dev/null
[gc]
\tauto = 0
[user]
\tname = Thrum
\temail = thrum@local
{extensions}"""


class Repository:
    """The repository; blocking, for one thread at a time.

    Args:
        folder: `T/repo.git`.
        work_tree: `T/a-sync`.
        object_format: ``sha1`` or ``sha256``, that of the remote.
    """

    def __init__(self, folder: Path, work_tree: Path, *, runner: Runner, object_format: str = "sha1") -> None:
        self.folder = folder
        self.work_tree = work_tree
        self._runner = runner
        self._format = object_format
        self._is_ready = False
        self._listed: tuple[str, dict[str, str]] = ("", {})
        self._numbers: dict[str, int] = {"": 0}

    @property
    def is_linked(self) -> bool:
        """Whether `prepare` was called, and neither the repository nor its work tree was taken away since."""
        return self._is_ready and self.is_there

    @property
    def is_there(self) -> bool:
        """Whether there is one, linked to its work tree; `prepare` would make it."""
        return (self.folder / "HEAD").exists() and (self.work_tree / ".git").exists()

    def is_sound(self) -> bool:
        """Whether every object is whole and all that a reference needs are there; one that is not there is sound.

        Reads everything, so that a changed byte in a text shows; nothing else may work in it meanwhile.

        Raises:
            GitFailed: that could not be found out.
        """
        if not (self.folder / "HEAD").exists():
            return True
        answer = self._runner.run(
            "fsck", "--no-dangling", cwd=self.folder, env=_NOBODYS_CONFIG, timeout_s=COLLECT_S
        )
        if answer.status < 0:
            raise GitFailed("fsck", f"was ended by signal {-answer.status}")
        return answer.ok

    def is_usable(self) -> bool:
        """Whether git takes it for a repository at all; cheap, and one that is not there is usable."""
        if not (self.folder / "HEAD").exists():
            return True
        return self._runner.run("rev-parse", "--git-dir", cwd=self.folder).ok

    def abandon(self) -> None:
        """End what git does in it for this object, and ask it nothing any more."""
        self._runner.abandon()

    def prepare(self) -> None:
        """Make the repository where there is none, and mend what a killed git left behind; cheap when done before.

        Raises:
            GitFailed: it cannot be made.
        """
        if self.is_linked:
            return
        if not (self.folder / "HEAD").exists():
            shutil.rmtree(self.folder, ignore_errors=True)
            self._make()
        self._remove_left_over()
        self._link()
        self._is_ready = True

    def put_aside(self) -> Path:
        """Move a damaged repository out of the way, so that `prepare` makes it anew; where it is now."""
        self.forget_damaged()
        if self.folder.exists():
            self.folder.rename(self._aside)
        self._is_ready = False
        self._listed = "", {}
        return self._aside

    def tip(self, ref: str) -> str:
        """The commit that *ref* names; empty when there is none."""
        with contextlib.suppress(OSError):
            commit = (self.folder / ref).read_text("ascii", "replace").strip()
            if _COMMIT.fullmatch(commit):
                return commit
        answer = self._runner.run("rev-parse", "--verify", "--quiet", ref, cwd=self.work_tree)
        return answer.text if answer.ok else ""

    def files(self, commit: str) -> dict[str, str]:
        """Every regular file of a commit: the id of its blob by path; nothing for an empty *commit*. Not to be changed.

        The last answer is kept, and asked for another commit only what differs from it is read.

        Raises:
            GitFailed: the commit is not there, or damaged.
        """
        if not commit:
            return {}
        known, found = self._listed
        if commit != known:
            found = (self._changed(found, known, commit) if known else None) or self._list(commit)
            self._listed = commit, found
        return found

    def versions(self, path: str) -> list[str]:
        """The blobs that *path* has in the commits that are here, those of newer commits first, each once; few.

        A commit that takes the path away is passed over, and so is what cannot be read.
        """
        listed = self._runner.run(
            "rev-list", "--all", f"--max-count={_VERSIONS}", "--", path, cwd=self.work_tree
        )
        tips = self._runner.run("for-each-ref", "--format=%(objectname)", cwd=self.work_tree)
        found: dict[str, None] = {}
        for commit in (*tips.text.split(), *listed.text.split()):
            entry = self._runner.run("ls-tree", "-z", "--full-tree", commit, "--", path, cwd=self.work_tree)
            fields = entry.out.partition(b"\t")[0].split(b" ")
            if entry.ok and len(fields) == 3 and fields[1] == b"blob":
                found.setdefault(fields[2].decode())
        return list(found)

    @contextlib.contextmanager
    def blobs(self) -> Iterator[Blobs]:
        """Reads blobs one after another, with one process for all of them, and none when none is read."""
        with contextlib.ExitStack() as stack:
            words = ("cat-file", "--batch")
            yield Blobs(lambda: stack.enter_context(self._runner.conversation(*words, cwd=self.work_tree)))

    def number(self, commit: str) -> int:
        """How many commits there are up to *commit* since the history began; 0 for an empty one.

        Raises:
            GitFailed: the commit is not there, or damaged.
        """
        if commit not in self._numbers:
            self._numbers[commit] = self._number(commit)
        return self._numbers[commit]

    def commit(self, parent: str, add: Sequence[str], remove: Sequence[str], message: str) -> str:
        """A commit on top of *parent* (empty: a first one); *parent* itself when nothing changes.

        No reference is moved.

        Args:
            add: paths of the work tree that are put into the tree, or replaced there.
            remove: paths that leave the tree.
            message: what it says.

        Raises:
            GitFailed: it cannot be made, for example since a file is not there any more.
        """
        files = dict(self.files(parent))
        for path in remove:
            files.pop(path, None)
        commit = self._imported(parent, add, remove, message, files)
        if parent and files == self.files(parent):
            return parent
        self._keep(commit, message, files)
        return commit

    def alone(self, commit: str, message: str) -> str:
        """A commit without parent that holds what *commit* does; no reference is moved.

        Raises:
            GitFailed: it cannot be made.
        """
        words = ("commit-tree", f"{commit}^{{tree}}")
        made = self._ask(*words, stdin=message.encode()).decode().strip()
        self._keep(made, message, self.files(commit))
        return made

    def move(self, ref: str, commit: str) -> None:
        """Let *ref* name *commit*; nobody else uses this repository, so a file put in place is all it takes."""
        path = self.folder / ref
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        new = path.with_name(f"{path.name}.lock")  # what `prepare` clears away when we die here
        new.write_text(f"{commit}\n")
        new.replace(path)

    def collect(self) -> None:
        """Pack what has become many small objects, and let go of commits that were never pushed.

        Raises:
            GitFailed: it took too long, or we are stopping.
        """
        settings = (("gc.auto", str(GC_AT)), ("gc.autoDetach", "false"), ("gc.pruneExpire", "1.hour.ago"))
        words = [word for key, value in settings for word in ("-c", f"{key}={value}")]
        self._runner.run(*words, "gc", "--auto", "--quiet", cwd=self.work_tree, timeout_s=COLLECT_S)

    def clear_out(self, *refs: str) -> None:
        """Let go of everything that none of *refs* needs, at once: those commits leave the disk.

        What a branch was before it became ours (`refs/thrum/…`) stays: that is another program's, and a person's to remove.

        Raises:
            GitFailed: it could not be done; done again it goes on.
        """
        for ref in self._ask("for-each-ref", "--format=%(refname)").decode().split():
            if ref not in refs and not ref.startswith("refs/thrum/"):
                self._ask("update-ref", "-d", ref)
        self._remove_left_over()
        answer = self._runner.run("gc", "--prune=now", "--quiet", cwd=self.work_tree, timeout_s=COLLECT_S)
        if not answer.ok:
            raise GitFailed("gc", first_line(answer.error) or f"exit status {answer.status}")

    def remove(self) -> None:
        """Remove the repository and what is left of a damaged one: nothing travels, and it can be had again."""
        for folder in (self.folder, self._aside):
            shutil.rmtree(folder, ignore_errors=True)
        (self.work_tree / ".git").unlink(missing_ok=True)
        self._is_ready = False

    def forget_damaged(self) -> None:
        """Remove a damaged repository that was put aside."""
        shutil.rmtree(self._aside, ignore_errors=True)

    def _keep(self, commit: str, message: str, files: dict[str, str]) -> None:
        """Remember what was just made, so that git need not be asked about it."""
        before, _ = self._listed
        kept = {before: self._numbers[before]} if before in self._numbers else {}
        self._listed = commit, files
        self._numbers = {"": 0, **kept, commit: number_in(message) or 1}

    def _number(self, commit: str) -> int:
        _, _, message = self._ask("cat-file", "commit", commit).partition(b"\n\n")
        commits = number_in(message.decode("utf-8", "replace"))
        if commits is None:  # made by an earlier version
            commits = int(self._ask("rev-list", "--count", commit))
        return commits

    def _list(self, commit: str) -> dict[str, str]:
        found = {}
        for entry in self._ask("ls-tree", "-r", "-z", "--full-tree", commit).split(b"\0"):
            head, _, path = entry.partition(b"\t")
            if head.startswith(b"100"):
                found[_text(path)] = head.split(b" ")[2].decode()
        return found

    def _changed(self, files: Mapping[str, str], old: str, new: str) -> dict[str, str] | None:
        """What *new* holds, when *files* is what *old* does; None when git does not have both of them."""
        words = ("diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-renames", old, new)
        answer = self._runner.run(*words, cwd=self.work_tree)
        if not answer.ok:
            return None
        found = dict(files)
        fields = answer.out.split(b"\0")
        for head, path in zip(fields[::2], fields[1::2], strict=False):
            _, mode, _, blob, _ = head.split(b" ")
            if mode.startswith(b"100"):
                found[_text(path)] = blob.decode()
            else:
                found.pop(_text(path), None)
        return found

    def _imported(
        self, parent: str, add: Sequence[str], remove: Sequence[str], message: str, files: dict[str, str]
    ) -> str:
        """Have one ``git fast-import`` make blobs, trees and commit; the ids of the blobs go into *files*."""
        words = ("fast-import", "--quiet", "--force", "--done", "--depth=0", "--date-format=now")
        try:
            with self._runner.conversation(*words, cwd=self.work_tree) as process:
                stdin, stdout = process.stdin, process.stdout
                assert stdin is not None and stdout is not None
                stdin.write(_beginning(parent, message.encode()))
                for path in remove:
                    stdin.write(b"D %s\n" % path.encode())
                for path in add:
                    data = (self.work_tree / path).read_bytes()
                    stdin.write(b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(data), data))
                    files[path] = self._blob_id(data)
                stdin.write(_ENDING % (b"0" * (64 if self._format == "sha256" else 40)))
                stdin.close()
                commit = stdout.read().decode().strip()
        except OSError as error:
            self._clear_reports()
            raise GitFailed("fast-import", str(error)) from error
        if process.returncode != 0 or not _COMMIT.fullmatch(commit):
            self._clear_reports()
            raise GitFailed("fast-import", f"made no commit on {parent or 'nothing'}")
        return commit

    def _blob_id(self, data: bytes) -> str:
        found = hashlib.new(self._format, b"blob %d\0" % len(data), usedforsecurity=False)
        found.update(data)
        return found.hexdigest()

    def _clear_reports(self) -> None:
        """What git leaves behind when its input ends early; nobody else looks for it."""
        for path in self.folder.glob("fast_import_crash_*"):
            path.unlink(missing_ok=True)

    def _make(self) -> None:
        """Lay the repository out and configure it; HEAD is written last, so that half a repository is none."""
        self.work_tree.mkdir(mode=0o750, parents=True, exist_ok=True)
        for name in ("objects/info", "objects/pack", "refs/heads", "info"):
            (self.folder / name).mkdir(mode=0o750, parents=True, exist_ok=True)
        is_sha1 = self._format == "sha1"
        config = _CONFIG.format(
            version=0 if is_sha1 else 1,
            work_tree=self.work_tree.name,
            extensions="" if is_sha1 else f"[extensions]\n\tobjectFormat = {self._format}\n",
        )
        (self.folder / "config").write_text(config)
        (self.folder / "HEAD").write_text(f"ref: {REF}\n")

    def _link(self) -> None:
        """Let git find the repository from within the work tree; relative, so that both may be moved together."""
        self.work_tree.mkdir(mode=0o750, parents=True, exist_ok=True)
        text = f"gitdir: ../{self.folder.name}\n"
        link = self.work_tree / ".git"
        if not link.is_file() or link.read_text("utf-8", "replace") != text:
            link.unlink(missing_ok=True)
            link.write_text(text)

    @property
    def _aside(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.damaged")

    def _remove_left_over(self) -> None:
        """Nobody else uses the repository: locks, half packs and what keeps packs are left of a git that was killed."""
        packs = self.folder / "objects/pack"
        left = (
            self.folder.glob("*.lock"),
            (self.folder / "refs").rglob("*.lock"),
            self.folder.glob("gc.pid"),
            self.folder.glob("fast_import_crash_*"),
            packs.glob("*.keep"),  # a fetch that was killed: what it brought would stay for ever
            packs.glob("tmp_*"),
            packs.glob(".tmp-*"),
        )
        for path in chain.from_iterable(left):
            path.unlink(missing_ok=True)

    def _ask(self, *words: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
        return self._runner.ask(*words, cwd=self.work_tree, stdin=stdin, env=env)


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def _beginning(parent: str, message: bytes) -> bytes:
    """A commit for fast-import; it needs the name of a branch, which `_ENDING` takes away again."""
    head = b"commit %s\nmark :1\ncommitter Thrum <thrum@local> now\ndata %d\n%s\n"
    start = head % (_DRAFT, len(message), message)
    return start + (b"from %s\n" % parent.encode() if parent else b"")
