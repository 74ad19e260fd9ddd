"""What ``thrum doctor`` looks at: whether the hooks and scripts of the runtimes used here are there and current."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from shlex import quote

from thrum_kernel.api import Check, Finding, KitFile, PluginContext, RuntimePreset
from thrum_kernel.errors import ThrumError
from thrum_runtimes import hook_merge, skills
from thrum_runtimes.detection import detect_all
from thrum_runtimes.kit_plan import Place, plan_kits, read
from thrum_runtimes.registry import Runtimes, files_of
from thrum_runtimes.rendering import Fields
from thrum_runtimes.user_file import UserFile, UserRuntimes

SUBJECT = "hooks"
FIX = "thrum doctor --fix"


def checks(ctx: PluginContext, *, home: Path) -> Sequence[Check]:
    """The checks, for the worktree that *ctx* stands in and the person whose home this is."""
    root = ctx.paths.worktree

    def mend(_: object, finding: Finding) -> str:
        return write_scripts(ctx.presets(), root, finding, home=home)

    return (
        Check(subject=SUBJECT, look=_looker(lambda: hooks(ctx.presets(), root, home=home)), fix=mend),
        Check(subject="runtimes", look=_looker(lambda: user_file(home, ctx.presets()))),
    )


def hooks(declared: Sequence[RuntimePreset], root: Path, *, home: Path) -> list[Finding]:
    """A finding for every runtime that is used in the worktree *root*, or has files of ours there."""
    found = [finding for _, finding in _looked(declared, Place(root, home))]
    return found or [Finding(SUBJECT, "ok", "no runtime's files are installed here")]


def write_scripts(declared: Sequence[RuntimePreset], root: Path, finding: Finding, *, home: Path) -> str:
    """Write the scripts of ours again that *finding* misses; what was done, empty when that mends nothing.

    Raises:
        ThrumError: a link leads elsewhere; nothing was written.
    """
    place = Place(root, home)
    preset = next((preset for preset, found in _looked(declared, place) if found == finding), None)
    if preset is None or finding.remedy != FIX:
        return ""
    missing = {place.of(file.path) for file in files_of(preset) if file.managed}
    planned = plan_kits([preset], place, fields=Fields.of({}), force=False)
    files = [file for file in planned if file.path in missing and file.action == "create"]
    for file in files:
        place.check(file.path)
    for file in files:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        file.path.touch(mode=file.mode, exist_ok=False)  # one that came meanwhile is not ours to replace
        file.path.write_bytes(file.data)
    return f"wrote {', '.join(str(file.path) for file in files)}"


def _looked(declared: Sequence[RuntimePreset], place: Place) -> list[tuple[RuntimePreset, Finding]]:
    """Every runtime that there is something to say about."""
    file = UserFile(place.home)
    try:
        runtimes = Runtimes(declared, file.read())
    except ThrumError:
        runtimes = Runtimes(declared, UserRuntimes(file.path))  # the other check tells what is wrong with it
    used = {found.name for found in detect_all(runtimes.presets, root=place.worktree, env={})}
    looked = [(preset, _look(preset, place, is_used=preset.name in used)) for preset in runtimes.presets]
    return [(preset, finding) for preset, finding in looked if finding is not None]


def user_file(home: Path, declared: Sequence[RuntimePreset]) -> list[Finding]:
    """Whether the person's own runtimes can be read, by them alone, and their default is one that there is."""
    file = UserFile(home)
    try:
        read_ = file.read()
        names = Runtimes(declared, read_).names
    except ThrumError as error:
        return [Finding("runtimes", "error", str(error), f"edit {file.path}")]
    if file.path.exists() and file.path.stat().st_mode & 0o077:
        return [
            Finding(
                "runtimes",
                "warning",
                f"{file.path} can be read by others",
                f"chmod 600 {quote(str(file.path))}",
            )
        ]
    if read_.default and read_.default not in names:
        text = f'default_runtime "{read_.default}" is no known runtime'
        return [Finding("runtimes", "warning", text, "thrum runtime set-default NAME")]
    count = len(read_.custom)
    return [Finding("runtimes", "ok", f"{count} custom runtime{'' if count == 1 else 's'}")]


def _look(preset: RuntimePreset, place: Place, *, is_used: bool) -> Finding | None:
    """What of a runtime's kit is wrong; None when it is neither used nor installed here."""
    remedy = f"thrum init --runtime {preset.name}"
    try:
        states = {file.path: _state(file, place.of(file.path)) for file in files_of(preset)}
    except ThrumError as error:
        return Finding(SUBJECT, "error", f"{preset.name}: {error}", remedy)
    ours = {path: state for path, state in states.items() if state != "theirs"}
    if not is_used and not _is_installed(preset, states):
        return None
    missing, stale = _of(ours, "missing"), _of(ours, "stale")
    folder = place.worktree / preset.skills_dir / skills.NAME
    if preset.skills_dir and (folder / "SKILL.md").exists() and not skills.current(folder):
        return Finding(
            SUBJECT,
            "warning",
            f"{preset.name}: the thrum skill is of another version",
            f"thrum init --skills --runtime {preset.name} --force",
        )
    if not missing and not stale:
        return Finding(SUBJECT, "ok", f"{preset.name}: installed and current")
    said = [f"{what}: {', '.join(paths)}" for what, paths in (("missing", missing), ("old", stale)) if paths]
    if not stale and _is_wanted(preset, states) and set(missing) <= _managed(preset):
        remedy = FIX
    return Finding(SUBJECT, "warning", f"{preset.name}: {'; '.join(said)}", remedy)


def _state(file: KitFile, path: Path) -> str:
    """``current``, ``missing``, ``stale``, or ``theirs`` for a file that belongs to the project."""
    present = read(path)
    if present is None:
        return "missing"
    if file.merge == "hooks":
        return "stale" if hook_merge.missing(path, present, file.content) else "current"
    if not file.managed:
        return "theirs"
    return "current" if present == file.content.encode() else "stale"


def _is_installed(preset: RuntimePreset, states: Mapping[str, str]) -> bool:
    """Whether a file that only this runtime has is there: the start-up script is everybody's."""
    own = [path for path in _managed(preset) if not path.startswith("scripts/")]
    return any(states[path] != "missing" for path in own)


def _is_wanted(preset: RuntimePreset, states: Mapping[str, str]) -> bool:
    """Whether somebody had this kit written here: its hooks are there, or another file that only it has."""
    hooked = [file.path for file in files_of(preset) if file.merge == "hooks"]
    return _is_installed(preset, states) or any(states[path] == "current" for path in hooked)


def _managed(preset: RuntimePreset) -> set[str]:
    """The files of a kit that are ours alone."""
    return {file.path for file in files_of(preset) if file.managed}


def _of(states: Mapping[str, str], wanted: str) -> list[str]:
    return [path for path, state in states.items() if state == wanted]


def _looker(look: Callable[[], Sequence[Finding]]) -> Callable[[object], Sequence[Finding]]:
    return lambda _: look()
