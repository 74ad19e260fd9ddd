"""The templates of a repository: ``.thrum/role_templates/<role>.md``, read and written by folder descriptor.

No symlink below ``.thrum`` is followed, so nobody can have another file read out to an agent or written over. A write
is a temporary file, synced and renamed. All of it blocks.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from thrum_kernel.errors import FileDamaged
from thrum_roles import front_matter
from thrum_roles.front_matter import Source
from thrum_roles.template import Template, TemplateInvalid, parse

FOLDER: Final = "role_templates"
MAX_BYTES: Final = 256 * 1024
_FILE: Final = re.compile(r"([a-z0-9][a-z0-9_-]{0,63})\.md")
_OPEN_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class RepositoryTemplates:
    """The templates below one shared ``.thrum``.

    Args:
        thrum: the shared ``.thrum``; it is trusted, what lies in it is not.
    """

    def __init__(self, thrum: Path) -> None:
        self._thrum = thrum

    def path(self, role: str) -> Path:
        """Where a role's template lies."""
        return self._thrum / FOLDER / f"{role}.md"

    def roles(self) -> list[str]:
        """The roles that have one, sorted.

        Raises:
            FileDamaged: the folder cannot be read.
        """
        with self._opened(make=False) as folder:
            names = [] if folder is None else os.listdir(folder)  # noqa: PTH208 - a descriptor
        return sorted(found[1] for name in names if (found := _FILE.fullmatch(name)))

    def source(self, role: str) -> Source | None:
        """A role's template, taken apart; None when it has none.

        Raises:
            FileDamaged: it cannot be read, or is not closed somewhere.
        """
        data = self._read(f"{role}.md") if _FILE.fullmatch(f"{role}.md") else None
        if data is None:
            return None
        try:
            return front_matter.split(data.decode())
        except UnicodeDecodeError as error:
            raise FileDamaged(self.path(role), f"is not UTF-8 text (byte {error.start})") from error
        except TemplateInvalid as error:
            raise FileDamaged(self.path(role), str(error)) from error

    def template(self, role: str) -> Template | None:
        """A role's template, understood; None when it has none.

        Raises:
            FileDamaged: as `source`, or it says something that the language does not have; names the line.
        """
        source = self.source(role)
        if source is None:
            return None
        try:
            return parse(source.body, first_line=source.body_line)
        except TemplateInvalid as error:
            raise FileDamaged(self.path(role), str(error), hint=error.hint) from error

    def write(self, role: str, text: str) -> None:
        """Replace a role's template, in one step.

        Raises:
            FileDamaged: the folder is none of ours (a symlink, a file), or cannot be written.
        """
        name, temporary = f"{role}.md", f".{role}.{secrets.token_hex(4)}.tmp"
        with self._opened(make=True) as folder:
            assert folder is not None
            try:
                _fill(temporary, text.encode(), folder)
                os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary, dir_fd=folder)
                raise
            os.fsync(folder)

    def set_aside(self, role: str) -> Path:
        """Move a role's template to a name that is free, where nothing takes it for a template; gives that.

        Raises:
            FileDamaged: the folder cannot be written.
        """
        with self._opened(make=False) as folder:
            assert folder is not None
            taken = set(os.listdir(folder))  # noqa: PTH208 - a descriptor
            number = next(
                number for number in range(1, len(taken) + 2) if f"{role}.md.old{number}" not in taken
            )
            name = f"{role}.md.old{number}"
            os.rename(f"{role}.md", name, src_dir_fd=folder, dst_dir_fd=folder)
        return self._thrum / FOLDER / name

    def _read(self, name: str) -> bytes | None:
        path = self._thrum / FOLDER / name
        with self._opened(make=False, about=path) as folder:
            if folder is None:
                return None
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            try:
                descriptor = os.open(name, flags, dir_fd=folder)
            except FileNotFoundError:
                return None
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise FileDamaged(path, "is no regular file")
            if status.st_size > MAX_BYTES:
                raise FileDamaged(path, f"is larger than {MAX_BYTES} bytes")
            return file.read(MAX_BYTES)

    @contextlib.contextmanager
    def _opened(self, *, make: bool, about: Path | None = None) -> Iterator[int | None]:
        """A descriptor of the folder; None when it is missing and not to be made.

        Args:
            about: what is looked at there, for the error; None is the folder itself.

        Raises:
            FileDamaged: anything that goes wrong with what lies there.
        """
        path = about or self._thrum / FOLDER
        try:
            with contextlib.ExitStack() as stack:
                try:
                    above = os.open(self._thrum, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                    stack.callback(os.close, above)
                    if make:
                        with contextlib.suppress(FileExistsError):
                            os.mkdir(FOLDER, 0o750, dir_fd=above)
                    folder = os.open(FOLDER, _OPEN_FOLDER, dir_fd=above)
                except FileNotFoundError:
                    if make:
                        raise
                    yield None
                    return
                stack.callback(os.close, folder)
                yield folder
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                reason = "is behind a symbolic link or no folder: thrum does not follow it"
                raise FileDamaged(path, reason) from error
            raise FileDamaged(
                path, f"cannot be used: {error.strerror}", hint="check its permissions"
            ) from error


def _fill(name: str, data: bytes, folder: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o644, dir_fd=folder)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
