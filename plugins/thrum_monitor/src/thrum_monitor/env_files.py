"""Values of ``--env``: a file a monitor that nobody else can read, and nowhere else. Blocking."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

import msgspec

from thrum_kernel.errors import FileDamaged

FOLDER: Final = "env"


class EnvFiles:
    """The files, by the id of the monitor; *folder* is the plugin's durable one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER

    def path(self, monitor: str) -> Path:
        """Where the values of a monitor lie."""
        return self._folder / f"{monitor}.json"

    def save(self, monitor: str, values: Mapping[str, str]) -> None:
        """Keep them, durable; nothing is written for none.

        Raises:
            FileDamaged: they cannot be written.
        """
        if not values:
            return
        path = self.path(monitor)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            aside = path.with_suffix(".new")
            aside.unlink(missing_ok=True)
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.encode(dict(values)))
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        except OSError as error:
            raise FileDamaged(path, error.strerror or str(error)) from error

    def load(self, monitor: str, names: Collection[str]) -> dict[str, str]:
        """The values of these variables.

        Raises:
            FileDamaged: the file is gone or damaged, or lacks one of them.
        """
        if not names:
            return {}
        path = self.path(monitor)
        try:
            values = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
        except OSError as error:
            raise FileDamaged(path, error.strerror or str(error), hint=START_ANEW) from error
        except msgspec.MsgspecError as error:
            raise FileDamaged(path, str(error), hint=START_ANEW) from error
        if missing := sorted(set(names) - set(values)):
            raise FileDamaged(path, f"it lacks {', '.join(missing)}", hint=START_ANEW)
        return values

    def remove(self, monitor: str) -> None:
        """Forget them."""
        self.path(monitor).unlink(missing_ok=True)

    def remove_others(self, monitors: Collection[str]) -> None:
        """Forget what belongs to none of *monitors*: a start that did not come to its end left it."""
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                if path.name.partition(".")[0] not in monitors:
                    path.unlink(missing_ok=True)

    def open_to_others(self) -> list[Path]:
        """Files and folders that somebody else might read."""
        places = [self._folder, *self._folder.iterdir()] if self._folder.is_dir() else []
        return [path for path in places if path.stat().st_mode & 0o077]


START_ANEW: Final = "delete the monitor and start it anew: thrum monitor delete NAME"
