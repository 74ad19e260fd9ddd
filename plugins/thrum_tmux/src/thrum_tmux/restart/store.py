"""The snapshots of a worktree: ``.thrum/restart/<agent>.md`` (0600 in a folder of 0700), by folder descriptor.

No symlink below ``.thrum`` is followed, so nobody can have another file shown to an agent or written over. A write is
a temporary file, synced and renamed. Beside a snapshot lies ``<agent>.json``: which session of the runtime it was
saved in, and which one it is shown to. All of it blocks.

A snapshot belongs to the first session of the runtime after it: every briefing there shows it; for the next one it is
*consumed*, renamed to ``<agent>.md.consumed``. A look by nobody's runtime shows it, and changes nothing.

Source: spec/features.md §5; spec/decisions.md "init, prime…".
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from thrum_kernel.errors import FileDamaged, InvalidName

FOLDER: Final = "restart"
MAX_BYTES: Final = 4 << 20
"""What is read of a snapshot at most; one that thrum wrote is far smaller."""
_AGENT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,127}")
_OPEN_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class Kept:
    """A snapshot that waits.

    Attributes:
        text: the file's.
        path: the file.
        saved_in: the session of the runtime in which it was saved, as `Snapshots.save` was told; empty when unknown.
        shown_to: the session that it is shown to; empty while none began.
        saved_us: when, in microseconds since 1970.
    """

    text: str
    path: Path
    saved_in: str = ""
    shown_to: str = ""
    saved_us: int = 0


class Snapshots:
    """The snapshots below one worktree's own ``.thrum``, which must exist.

    Args:
        thrum: that folder; it is trusted, what lies in it is not.
    """

    def __init__(self, thrum: Path) -> None:
        self._thrum = thrum

    def path(self, agent: str) -> Path:
        """Where an agent's snapshot lies.

        Raises:
            InvalidName: no file can be called so.
        """
        if not _AGENT.fullmatch(agent):
            raise InvalidName(f"no snapshot can be called {agent[:40]!r}")
        return self._thrum / FOLDER / f"{agent}.md"

    def find(self, agent: str) -> Kept | None:
        """The snapshot that waits for an agent; None when none does.

        Raises:
            FileDamaged: it is there and cannot be read.
        """
        with self._opened(agent, make=False) as folder:
            return None if folder is None else self._kept(folder, agent)

    def save(self, agent: str, text: str, *, saved_in: str = "") -> Path:
        """Put *text* in the place of what is there, which is kept as consumed; gives the file.

        Raises:
            FileDamaged: it cannot be written; what was there still is.
        """
        with self._opened(agent, make=True) as folder:
            assert folder is not None
            name = self.path(agent).name
            new = self._written(folder, name, text.encode())
            with contextlib.suppress(FileNotFoundError):
                self._keep_aside(folder, name)
            os.replace(new, name, src_dir_fd=folder, dst_dir_fd=folder)
            self._note(folder, agent, text, saved_in=saved_in)
            os.fsync(folder)
        return self.path(agent)

    def show_to(self, agent: str, session: str) -> Kept | None:
        """The snapshot for a briefing in a session of the agent's runtime; empty: in nobody's.

        The first session other than the one it was saved in has it from then on; for the next one it is consumed, and
        there is none.

        Raises:
            FileDamaged: it cannot be read.
        """
        with self._opened(agent, make=False) as folder:
            kept = None if folder is None else self._kept(folder, agent)
            if folder is None or kept is None or not session or session in (kept.saved_in, kept.shown_to):
                return kept
            if kept.shown_to:
                self._consume(folder, agent)
                return None
            self._note(folder, agent, kept.text, saved_in=kept.saved_in, shown_to=session)
            return kept

    def forget_shown(self, agent: str, session: str) -> bool:
        """Take back that a session has been shown the snapshot, for it ended before it did anything; False when it
        was not shown there.

        Raises:
            FileDamaged: it cannot be read.
        """
        with self._opened(agent, make=False) as folder:
            kept = None if folder is None else self._kept(folder, agent)
            if folder is None or kept is None or not session or kept.shown_to != session:
                return False
            self._note(folder, agent, kept.text, saved_in=kept.saved_in)
            return True

    def consume(self, agent: str) -> Kept | None:
        """Take the snapshot away, kept as ``<agent>.md.consumed``; what it was, None when there was none.

        Raises:
            FileDamaged: it cannot be read or taken away.
        """
        with self._opened(agent, make=False) as folder:
            kept = None if folder is None else self._kept(folder, agent)
            if folder is not None and kept is not None:
                self._consume(folder, agent)
            return kept

    # --- with the folder open ----------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _opened(self, agent: str, *, make: bool) -> Iterator[int | None]:
        """The folder, locked against other writers; None when it is not there and not to be made."""
        path = self.path(agent)
        try:
            with contextlib.ExitStack() as stack:
                thrum = os.open(self._thrum, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                stack.callback(os.close, thrum)
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(FOLDER, 0o700, dir_fd=thrum)
                try:
                    folder = os.open(FOLDER, _OPEN_FOLDER, dir_fd=thrum)
                except FileNotFoundError:
                    yield None
                    return
                stack.callback(os.close, folder)
                if make:
                    os.fchmod(folder, 0o700)
                fcntl.flock(folder, fcntl.LOCK_EX)
                yield folder
        except OSError as error:
            raise FileDamaged(path, _reason(error)) from error

    def _kept(self, folder: int, agent: str) -> Kept | None:
        path = self.path(agent)
        try:
            data, changed_us = _read(folder, path.name)
        except FileNotFoundError:
            return None
        text = data.decode(errors="replace")
        noted = self._noted(folder, agent, text)
        return Kept(text, path, noted.get("saved_in", ""), noted.get("shown_to", ""), changed_us)

    def _consume(self, folder: int, agent: str) -> None:
        name = self.path(agent).name
        os.replace(name, f"{name}.consumed", src_dir_fd=folder, dst_dir_fd=folder)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{agent}.json", dir_fd=folder)
        os.fsync(folder)

    def _keep_aside(self, folder: int, name: str) -> None:
        """The snapshot that a newer one takes the place of, as consumed; it stays where it is, too."""
        aside = f".{name}.{secrets.token_hex(6)}"
        os.link(name, aside, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        os.replace(aside, f"{name}.consumed", src_dir_fd=folder, dst_dir_fd=folder)

    def _noted(self, folder: int, agent: str, text: str) -> dict[str, str]:
        """What is noted of this very text; nothing when the note is of another one, or unreadable."""
        try:
            noted = json.loads(_read(folder, f"{agent}.json")[0])
        except (OSError, ValueError):
            return {}
        if not isinstance(noted, dict) or noted.get("of") != _digest(text):
            return {}
        return {key: value for key, value in noted.items() if isinstance(value, str)}

    def _note(self, folder: int, agent: str, text: str, **facts: str) -> None:
        data = json.dumps({"of": _digest(text), **facts}, indent=2).encode() + b"\n"
        name = f"{agent}.json"
        os.replace(self._written(folder, name, data), name, src_dir_fd=folder, dst_dir_fd=folder)

    def _written(self, folder: int, name: str, data: bytes) -> str:
        """A new file beside *name*, synced; gives what it is called."""
        new = f".{name}.{secrets.token_hex(6)}"
        handle = os.open(
            new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder
        )
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            os.unlink(new, dir_fd=folder)
            raise
        return new


def _read(folder: int, name: str) -> tuple[bytes, int]:
    """A regular file's bytes, and when it last changed in microseconds."""
    handle = os.open(name, _OPEN_FILE, dir_fd=folder)
    with os.fdopen(handle, "rb") as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise OSError(errno.EINVAL, "is no regular file")
        return file.read(MAX_BYTES), state.st_mtime_ns // 1000


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _reason(error: OSError) -> str:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return "is, or lies behind, a symbolic link"
    return error.strerror or str(error)
