"""Setting thrum up in a repository or a linked worktree: what is to be written, and how it is written or taken back.

`Setup.plan` only looks; `Setup.write` carries a plan out within a `Transaction`, so that `init`, `quickstart` and a
wizard can add steps of their own (start the daemon, register somebody) and still have all of it taken back.
Source: spec/kernel.md §1.2, §7.7; spec/decisions.md "init, prime, roles, context, config, purge, sync".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thrum_kernel import gitdir, jsonio, templates
from thrum_kernel.cli.transaction import Action, FileChange, Transaction
from thrum_kernel.errors import FileDamaged, UsageError
from thrum_kernel.gitdir import Place
from thrum_kernel.paths import Paths

IGNORED = (
    ".thrum/",
    ".thrum.*.json",
    *(f"scripts/thrum-{name}.sh" for name in ("startup", "check-inbox", "polling")),
)
_IGNORED_ABOVE = b"# Thrum: messages between agents (https://thrum.team)\n"
_STANDS_FOR = {".thrum/": {".thrum", ".thrum/", "/.thrum", "/.thrum/"}}


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the one who sets up asked for.

    Attributes:
        stealth: ignore our files in ``.git/info/exclude`` and leave ``.gitignore`` alone.
        travels: the remote has a log, so that ours is to be exchanged with it.
    """

    stealth: bool = False
    travels: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What a set-up would do.

    Attributes:
        folders: folders that must be there, with their modes.
        files: every file that it names, in the order they are written; ``skip`` where nothing changes. The
            configuration comes last: a set-up that was cut short does not count as one.
        records: files that another room writes afterwards: named here, not written.
    """

    folders: Sequence[tuple[Path, int]] = ()
    files: Sequence[FileChange] = field(default_factory=tuple)
    records: Sequence[FileChange] = field(default_factory=tuple)

    @property
    def changes(self) -> list[FileChange]:
        """The files that would change."""
        return [change for change in self.files if change.action != "skip"]


class Setup:
    """One set-up.

    Args:
        paths: where things go, as `paths.plan` tells.
        home: the person's home folder.
        branch: the branch that is checked out; empty outside git.
    """

    def __init__(self, paths: Paths, *, home: Path, branch: str) -> None:
        self._paths = paths
        self._home = home
        self._branch = branch

    @property
    def needs_project(self) -> bool:
        """Whether the shared ``.thrum`` is still to be made."""
        return not self._paths.is_initialized

    @property
    def needs_redirect(self) -> bool:
        """Whether the worktree does not share the ``.thrum`` that it should yet."""
        return self._paths.is_redirected and not self._paths.redirect.is_file()

    def plan(self, wishes: Wishes) -> Plan:
        """Everything that a complete set-up holds, compared with what is there.

        Raises:
            FileDamaged: a file that would be changed cannot be read or understood.
            UsageError: a wish cannot be granted.
        """
        worktree = self.plan_worktree()
        files = [*self._texts(), *self._ignores(wishes), *worktree.files]
        config = self._config(wishes)
        return Plan(
            folders=[*self._folders(), *worktree.folders],
            files=[*files, config] if config is not None else files,
            records=[self._record()] if config is not None else [],
        )

    def plan_worktree(self) -> Plan:
        """What a linked worktree of an initialised repository needs: the redirect, and to be ignored by git."""
        if not self._paths.is_redirected:
            return Plan()
        redirect = _change(
            self._paths.redirect, f"{self._paths.thrum}\n".encode(errors="surrogateescape"), mode=0o644
        )
        folders = [(self._paths.here, 0o750), (self._paths.identities, 0o750), (self._paths.context, 0o750)]
        return Plan(folders=folders, files=[*self._ignored_here(), redirect])

    @staticmethod
    def write(plan: Plan, transaction: Transaction) -> None:
        """Carry *plan* out; what was done is taken back with the transaction.

        Raises:
            OSError: something could not be written.
        """
        for folder, mode in plan.folders:
            transaction.folder(folder, mode=mode)
        for change in plan.files:
            transaction.apply(change)

    def _folders(self) -> list[tuple[Path, int]]:
        thrum = self._paths.thrum
        below = [(thrum / name, 0o750) for name in ("identities", "context", "strategies")]
        return [(thrum, 0o750), *below, (self._paths.var, 0o700)]

    def _record(self) -> FileChange:
        """T's record of which daemon this is."""
        action: Action = "skip" if self._paths.daemon_file.exists() else "create"
        return FileChange(self._paths.daemon_file, b"", action)

    def _texts(self) -> list[FileChange]:
        """Texts of ours, which every set-up brings up to date."""
        names = ["llms.txt", *(f"strategies/{name}" for name in templates.STRATEGIES)]
        return [_change(self._paths.thrum / name, templates.read(name), mode=0o644) for name in names]

    def _ignores(self, wishes: Wishes) -> list[FileChange]:
        place = gitdir.locate(self._paths.repo)
        if place is None:
            return []
        if wishes.stealth:
            return [ignoring(_exclude(place), mode=0o644)]
        return [ignoring(self._paths.repo / ".gitignore", mode=0o644)]

    def _ignored_here(self) -> list[FileChange]:
        """A branch that does not ignore ``.thrum`` yet must not show the worktree's own as untracked."""
        return ignored_here(self._paths.worktree)

    def _config(self, wishes: Wishes) -> FileChange | None:
        path = self._paths.config
        if not path.exists() and self._paths.daemon_file.exists():
            return None  # it was deleted beside its daemon's record, and the daemon writes it back
        present = _config_of(path)
        wanted = _merged(present or {}, self._defaults(wishes))
        if wanted == present:
            return _change(path, path.read_bytes())
        return _change(path, jsonio.dump(wanted))

    def _defaults(self, wishes: Wishes) -> dict[str, Any]:
        orchestration = {"merge_target": self._branch} if self._branch else {}
        return {
            "daemon": {"local_only": not wishes.travels, "single_agent_mode": not wishes.travels},
            "worktrees": {"base_path": str(self._home / ".thrum" / "worktrees" / self._paths.repo.name)},
            "orchestration": {**orchestration, "default_autonomy": "end_only"},
        }


def worktrees_root(text: str, paths: Paths, *, home: Path) -> Path:
    """The folder that ``--worktrees-root`` names.

    Raises:
        UsageError: it is relative, inside the repository, or a file.
    """
    expanded = home / text[2:] if text.startswith("~/") else Path(text)
    if not expanded.is_absolute():
        raise UsageError(
            f"--worktrees-root {text} is not an absolute path", hint="for example ~/worktrees/project"
        )
    resolved = expanded.resolve()
    if resolved.is_relative_to(paths.repo):
        raise UsageError(f"--worktrees-root {text} is inside the repository: worktrees must lie beside it")
    if resolved.exists() and not resolved.is_dir():
        raise UsageError(f"--worktrees-root {text} is not a folder")
    return resolved


def _config_of(path: Path) -> dict[str, Any] | None:
    try:
        return jsonio.read_object(path)
    except FileNotFoundError:
        return None


def _merged(present: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """*present* with what is missing of *defaults*, section by section; nothing that is there changes."""
    merged = dict(present)
    for section, entries in defaults.items():
        there = merged.get(section, {})
        if not isinstance(there, dict):
            raise UsageError(
                f'config.json: "{section}" must be an object', hint="mend it by hand, then retry"
            )
        merged[section] = {**entries, **there}
    return merged


def _change(path: Path, data: bytes, *, mode: int = 0o600) -> FileChange:
    before = _read(path)
    action: Action = "create" if before is None else "skip" if before == data else "overwrite"
    return FileChange(path, data, action, mode=mode)


def ignored_here(worktree: Path) -> list[FileChange]:
    """What has git ignore the ``.thrum`` of a linked worktree, whatever its branch says; nothing when it does."""
    place = gitdir.locate(worktree)
    if place is None or _is_ignored(_read(worktree / ".gitignore"), IGNORED[0]):
        return []
    return [ignoring(_exclude(place), mode=0o644)]


def unignored(repo: Path, place: Place) -> list[str]:
    """The lines of ours that neither ``.gitignore`` nor ``.git/info/exclude`` has."""
    held = [_read(repo / ".gitignore"), _read(_exclude(place))]
    return [line for line in IGNORED if not any(_is_ignored(data, line) for data in held)]


def ignore_file(repo: Path, place: Place) -> Path:
    """Where our lines are, or belong: ``.git/info/exclude`` after ``init --stealth``, else ``.gitignore``."""
    is_stealth = _is_ignored(_read(_exclude(place)), IGNORED[0])
    return _exclude(place) if is_stealth else repo / ".gitignore"


def ignoring(path: Path, *, mode: int) -> FileChange:
    """*path* with the lines of ours that it lacks below what it holds."""
    before = _read(path)
    missing = [line for line in IGNORED if not _is_ignored(before, line)]
    if not missing:
        return FileChange(path, before or b"", "skip", mode=mode)
    added = _IGNORED_ABOVE + b"".join(line.encode() + b"\n" for line in missing)
    if before is None:
        return FileChange(path, added, "create", mode=mode)
    gap = b"" if not before or before.endswith(b"\n\n") else b"\n" if before.endswith(b"\n") else b"\n\n"
    return FileChange(path, before + gap + added, "append", mode=mode)


def excluding(where: Paths, created: Sequence[Path], *, is_wanted: bool) -> FileChange | None:
    """``.git/info/exclude`` with every file of *created* that belongs to the worktree and is not ignored with ``.thrum``.

    None where there is nothing to add, or where the project was not set up with ``--stealth`` and it is not
    *is_wanted* now.
    """
    place = gitdir.locate(where.worktree)
    if place is None:
        return None
    path = _exclude(place)
    held = _read(path)
    is_shown = _is_ignored(_read(where.repo / ".gitignore"), IGNORED[0])
    if not is_wanted and (is_shown or not _is_ignored(held, IGNORED[0])):
        return None
    inside = [one.relative_to(where.worktree) for one in created if one.is_relative_to(where.worktree)]
    lines = [_pattern(one) for one in inside if one.parts[0] not in (".thrum", ".git")]
    missing = [line for line in dict.fromkeys(lines) if not _is_ignored(held, line)]
    if not missing:
        return None
    gap = b"" if not held or held.endswith(b"\n") else b"\n"
    data = (held or b"") + gap + b"".join(line.encode(errors="surrogateescape") + b"\n" for line in missing)
    return FileChange(path, data, "append" if held is not None else "create", mode=0o644)


def _pattern(path: Path) -> str:
    """What means exactly the file at *path*, from the worktree's root."""
    return "/" + re.sub(r"([\\*?\[])", r"\\\1", path.as_posix())


def _is_ignored(data: bytes | None, line: str) -> bool:
    lines = {each.strip() for each in (data or b"").decode(errors="replace").splitlines()}
    return bool(lines & (_STANDS_FOR.get(line) or {line, f"/{line}"}))


def _exclude(place: Place) -> Path:
    return place.common_dir / "info" / "exclude"


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise FileDamaged(path, f"cannot be read: {error.strerror}") from error


def describe(change: FileChange) -> dict[str, str]:
    """One file as JSON shows it."""
    return {"path": str(change.path), "action": change.action}


def line_of(change: FileChange, *, dry_run: bool) -> str:
    """One file as people read it."""
    words = {"create": "create", "overwrite": "update", "append": "append to", "skip": "keep"}
    return f"  {'would ' if dry_run else ''}{words[change.action]} {change.path}"
