"""What a runtime's kit does to the files of a worktree: compared with what is there, then written through init's plan.

Nothing is written before every file was looked at, so a file that cannot be used leaves all others as they are.
Source: spec/features.md §11.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from thrum_kernel.api import KitFile, RuntimePreset
from thrum_kernel.errors import FileDamaged, UsageError
from thrum_runtimes import hook_merge
from thrum_runtimes.registry import files_of
from thrum_runtimes.rendering import Fields, render

Action = Literal["create", "overwrite", "merge", "skip", "noop"]
BACKUP = ".before-thrum"
"""What is added to the name of a project's own file that was replaced by force."""


@dataclass(frozen=True, slots=True)
class FilePlan:
    """What becomes of one file.

    Attributes:
        path: where it is.
        action: ``noop`` when it is as it should be, ``skip`` when it is the project's own and stays.
        runtime: name of the runtime that needs it.
        template: name of what it is made from.
        data: all of its bytes afterwards; empty when nothing is written.
        mode: its permissions when it is new.
        reason: why it is skipped.
    """

    path: Path
    action: Action
    runtime: str
    template: str
    data: bytes = b""
    mode: int = 0o644
    reason: str = ""

    @property
    def writes(self) -> bool:
        """Whether anything changes."""
        return self.action in ("create", "overwrite", "merge")

    def as_json(self) -> dict[str, Any]:
        """As the result of ``init`` shows it."""
        shown: dict[str, Any] = {
            "path": str(self.path),
            "action": self.action,
            "runtime": self.runtime,
            "template": self.template,
        }
        return shown | ({"skipped": True, "skip_reason": self.reason} if self.action == "skip" else {})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a kit goes.

    Attributes:
        worktree: root of the worktree.
        home: the person's home folder.
    """

    worktree: Path
    home: Path

    def of(self, path: str) -> Path:
        """Where a kit's path lies.

        Raises:
            UsageError: it leaves the worktree, or the home folder.
        """
        root, relative = (self.home, path[2:]) if path.startswith("~/") else (self.worktree, path)
        pure = PurePosixPath(relative)
        if pure.is_absolute() or ".." in pure.parts or not pure.parts or ".git" in pure.parts[:1]:
            raise UsageError(f"a runtime's kit names a file outside the worktree: {path}")
        return root / pure

    def check(self, path: Path) -> None:
        """Whether what is written at *path* stays where the kit goes, also through links on the way there.

        Raises:
            UsageError: a link leads out of the worktree, or the home folder; or into ``.git``.
        """
        try:
            target = path.resolve()
        except (OSError, RuntimeError):  # links that lead to each other
            target = Path("/")
        is_home = not path.is_relative_to(self.worktree)
        root = (self.home if is_home else self.worktree).resolve()
        if not target.is_relative_to(root) or ".git" in target.relative_to(root).parts[:1]:
            raise UsageError(
                f"{path} is behind a link to {target}, outside {root}: thrum writes nothing there",
                hint="put a file of its own in the place of the link, then retry",
            )


def plan_kits(
    presets: Sequence[RuntimePreset], place: Place, *, fields: Fields, force: bool
) -> list[FilePlan]:
    """What the kits of *presets* do; a file that several need is the first one's. Only looks.

    Raises:
        FileDamaged: a file that must be merged or compared cannot be read or understood.
        UsageError: a kit names a path that is a folder, or leaves the worktree.
    """
    planned: dict[Path, list[FilePlan]] = {}
    for preset in presets:
        for file in files_of(preset):
            path = place.of(file.path)
            if path not in planned:
                planned[path] = list(_plan(file, path, preset.name, fields=fields, force=force))
    return [each for group in planned.values() for each in group]


def _plan(file: KitFile, path: Path, runtime: str, *, fields: Fields, force: bool) -> Iterable[FilePlan]:
    template = f"{runtime}/{file.path}"
    text = render(file.content, fields)
    wanted, mode = text.encode(), 0o755 if file.executable else 0o644
    present = read(path)
    if present is None:
        return [FilePlan(path, "create", runtime, template, wanted, mode)]
    if present == wanted:
        return [FilePlan(path, "noop", runtime, template)]
    if file.managed:
        return [FilePlan(path, "overwrite", runtime, template, wanted, mode)]
    if force:
        backup = FilePlan(_free(path), "create", runtime, "backup", present, 0o644)
        return [backup, FilePlan(path, "overwrite", runtime, template, wanted, mode)]
    if file.merge == "hooks":
        joined = hook_merge.merged(path, present, text)
        action: Action = "noop" if joined == present else "merge"
        return [FilePlan(path, action, runtime, template, joined if action == "merge" else b"", mode)]
    return [FilePlan(path, "skip", runtime, template, reason="file exists; --force replaces it")]


def read(path: Path) -> bytes | None:
    """The bytes of a file; None when there is none.

    Raises:
        UsageError: it is a folder.
        FileDamaged: it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except IsADirectoryError as error:
        raise UsageError(f"{path} is a folder, a file of that name is needed") from error
    except OSError as error:
        raise FileDamaged(path, f"cannot be read: {error.strerror}") from error


def _free(path: Path) -> Path:
    """A name beside *path* for its old content that nothing has yet."""
    names = (path.with_name(f"{path.name}{BACKUP}{number or ''}") for number in range(1000))
    return next(name for name in names if not name.exists())
