"""``init`` under way: what its steps may do, and what became of it.

Implements `api.InitPlan`. Everything that is written goes through here, so that ``--dry-run`` lists it and a failure or
Ctrl-C takes it back, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thrum_kernel.cli.setup import describe, excluding, line_of
from thrum_kernel.cli.transaction import PRIVATE, Action, FileChange, Transaction
from thrum_kernel.errors import FileDamaged
from thrum_kernel.paths import Paths
from thrum_kernel.settings.document import SettingsFile


class Undertaking:
    """One ``init``.

    Args:
        where: what is set up.
        settings: its config.json; need not exist yet.
        env: the environment of whoever runs it.
        options: every option given, by name; answers are added to it.
        transaction: takes everything back unless it ends well.

    Attributes:
        result: the JSON result, as far as it has come.
    """

    def __init__(
        self,
        where: Paths,
        *,
        settings: SettingsFile,
        env: Mapping[str, str],
        options: dict[str, Any],
        transaction: Transaction,
        dry_run: bool = False,
        force: bool = False,
    ) -> None:
        self.where = where
        self.transaction = transaction
        self.result: dict[str, Any] = {"runtime": "", "detected": False, "files": [], "dry_run": dry_run}
        self._settings = settings
        self._env = env
        self._options = options
        self._dry_run = dry_run
        self._force = force
        self._said: list[str] = []
        self._changes: list[FileChange] = []

    @property
    def repo(self) -> Path:
        return self.where.repo

    @property
    def worktree(self) -> Path:
        return self.where.worktree

    @property
    def thrum(self) -> Path:
        return self.where.thrum

    @property
    def env(self) -> Mapping[str, str]:
        return self._env

    @property
    def dry_run(self) -> bool:
        return self._dry_run

    @property
    def force(self) -> bool:
        return self._force

    @property
    def options(self) -> Mapping[str, Any]:
        return self._options

    def answer(self, answers: Mapping[str, str]) -> None:
        """Add what a person answered to the options."""
        self._options.update(answers)

    def write(self, path: Path, data: bytes, *, mode: int = 0o644) -> None:
        """Have *path* hold *data*; one that is there keeps its mode, one that holds it already is left alone.

        Raises:
            FileDamaged: what is there cannot be read.
            OSError: the disk refuses.
        """
        self.apply(FileChange(path, data, _action(path, data), mode=mode))

    def apply(self, change: FileChange) -> None:
        """The same for a change that was thought out before."""
        self._changes.append(change)
        if not self._dry_run:
            self.transaction.apply(change)

    def note(self, change: FileChange) -> None:
        """List a file that somebody else writes."""
        self._changes.append(change)

    def make_folder(self, path: Path, *, mode: int | None = None) -> None:
        """Have a folder *path*, with those above it; below ``.thrum`` it is private, elsewhere as the umask has it."""
        if self._dry_run:
            return
        is_ours = path.is_relative_to(self.where.thrum) or path.is_relative_to(self.where.here)
        self.transaction.folder(path, mode=mode or (PRIVATE if is_ours else 0o777))

    def configure(self, key: str, value: Any) -> None:
        """Set a key of config.json, e.g. ``runtime.primary``.

        Raises:
            UsageError: nobody knows the key, or the value does not fit.
        """
        path = self.where.config
        if not any(change.path == path for change in self._changes):
            self._changes.append(FileChange(path, b"", "overwrite" if path.exists() else "create"))
        if not self._dry_run:
            self.transaction.change(path, lambda: self._settings.set(key, value))

    def hide_created(self, is_wanted: bool) -> None:
        """Have git ignore the files that were made here, too, where ours are kept from it without ``.gitignore``."""
        created = [change.path for change in self._changes if change.action == "create"]
        change = excluding(self.where, created, is_wanted=is_wanted)
        if change is not None and not (self._dry_run and change.path in [one.path for one in self._changes]):
            self.apply(change)

    def say(self, line: str) -> None:
        """A line for people, shown when everything went well."""
        self._said.append(line)

    def report(self, key: str, value: Any) -> None:
        """Add to the JSON result; files are listed beside those that the kernel names."""
        if key == "files":
            self.result["files"] = [*self.result["files"], *value]
        else:
            self.result[key] = value

    def finished(self) -> dict[str, Any]:
        """The JSON result: each file once, as whoever knows most about it tells it."""
        reported = {str(entry.get("path")): entry for entry in self.result["files"]}
        own = {str(change.path): describe(change) for change in self._changes}
        return {**self.result, "files": list({**own, **reported}.values())}

    def lines(self, *, with_files: bool) -> list[str]:
        """What people read; *with_files*: also every file that changes, or would."""
        said = "\n".join(self._said)
        shown = [
            line_of(change, dry_run=self._dry_run)
            for change in self._changes
            if (self._dry_run or change.action != "skip") and f" {change.path}" not in said
        ]
        return [*shown, *self._said] if with_files else list(self._said)


def _action(path: Path, data: bytes) -> Action:
    try:
        before = path.read_bytes()
    except FileNotFoundError:
        return "create"
    except OSError as error:
        raise FileDamaged(path, f"cannot be read: {error.strerror}") from error
    return "skip" if before == data else "overwrite"
