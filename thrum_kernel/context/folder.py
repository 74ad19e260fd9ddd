"""A `.thrum/context` folder, read and written by directory descriptor, following no symlink below the worktree.

The daemon writes here for agents of other worktrees, so a symlink laid there must not lead it elsewhere. A write is a
temporary file, synced and renamed: a reader sees the old bytes or the new.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from thrum_kernel.errors import FileDamaged

MAX_BYTES = 8 * 1024 * 1024
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Content:
    """A file's bytes and when they were written, microseconds since 1970."""

    data: bytes
    updated_us: int


class ContextFolder:
    """The folder ``context`` of one ``.thrum``. All methods block; names are file names without a slash.

    Args:
        thrum: the ``.thrum`` it lies in; its parent is trusted, nothing below is.
    """

    def __init__(self, thrum: Path) -> None:
        self.thrum = thrum

    def read(self, name: str) -> Content | None:
        """The content of a file, None when there is none.

        Raises:
            FileDamaged: it is no regular file, too large, or cannot be read.
        """
        path = self.thrum / "context" / name
        try:
            with self._opened(make=False) as folder:
                if folder is None:
                    return None
                descriptor = os.open(
                    name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder
                )
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _damaged(path, error) from error
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise FileDamaged(path, "is no regular file")
            if status.st_size > MAX_BYTES:
                raise FileDamaged(path, f"is larger than {MAX_BYTES} bytes")
            try:
                return Content(file.read(MAX_BYTES), status.st_mtime_ns // 1000)
            except OSError as error:
                raise _damaged(path, error) from error

    def write(self, name: str, data: bytes) -> None:
        """Replace a file by *data*, durably and in one step, making the folder when it is missing.

        Raises:
            FileDamaged: the folder is not one of ours (a symlink, a file) or cannot be written.
        """
        temporary = f".{name}.{secrets.token_hex(4)}.tmp"
        try:
            with self._opened(make=True) as folder:
                assert folder is not None
                try:
                    self._fill(temporary, data, folder)
                    os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
                except BaseException:
                    with contextlib.suppress(OSError):
                        os.unlink(temporary, dir_fd=folder)
                    raise
                os.fsync(folder)
        except OSError as error:
            raise _damaged(self.thrum / "context" / name, error) from error

    def remove(self, name: str) -> bool:
        """Remove a file; whether there was one."""
        try:
            with self._opened(make=False) as folder:
                if folder is None:
                    return False
                os.unlink(name, dir_fd=folder)
                return True
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _damaged(self.thrum / "context" / name, error) from error

    @contextlib.contextmanager
    def _opened(self, *, make: bool) -> Iterator[int | None]:
        """A descriptor of the folder; None when it is missing and not to be made."""
        with contextlib.ExitStack() as stack:
            folder = os.open(self.thrum.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, folder)
            for name in (self.thrum.name, "context"):
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(name, 0o750, dir_fd=folder)
                try:
                    folder = os.open(name, _OPEN_FOLDER, dir_fd=folder)
                except FileNotFoundError:
                    yield None
                    return
                stack.callback(os.close, folder)
            yield folder

    def _fill(self, name: str, data: bytes, folder: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=folder)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def _damaged(path: Path, error: OSError) -> FileDamaged:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return FileDamaged(path, "is behind a symbolic link or no folder: thrum does not follow it")
    return FileDamaged(path, f"cannot be used: {error.strerror}", hint="check its permissions")
