"""The step of ``thrum init`` that writes a runtime's files, or the skill.

``--runtime X`` names what is written; without it the step only tells which runtime it sees. Source: spec/features.md
§11.4, §11.6; issue "Plugins".
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from thrum_kernel.api import InitOption, InitPlan, InitStep, RuntimePreset
from thrum_kernel.errors import Refused
from thrum_runtimes import detection
from thrum_runtimes.kit_plan import FilePlan, Place, plan_kits
from thrum_runtimes.registry import ALL, Runtimes
from thrum_runtimes.rendering import Fields
from thrum_runtimes.skills import plan_skill
from thrum_runtimes.user_file import UserFile

Declared = Callable[[], Sequence[RuntimePreset]]
"""Gives the runtimes that plugins declare."""

_VERBS = {"create": "create", "overwrite": "update", "merge": "add hooks to", "skip": "keep", "noop": "keep"}


def step(declared: Declared) -> InitStep:
    """The step, for a kernel whose plugins declare these runtimes."""
    return InitStep(
        name="runtime",
        order=500,
        run=lambda plan: _run(plan, declared()),
        options=(
            InitOption(
                name="runtime",
                help="Write the hooks, scripts and instructions of a runtime; see `thrum runtime list`. With --force "
                "files of yours are replaced, and kept beside the new ones.",
                metavar="NAME|all",
            ),
            InitOption(
                name="skills",
                help="Install only the thrum skill for the runtime; --force replaces one.",
                is_flag=True,
            ),
        ),
    )


def _run(plan: InitPlan, declared: Sequence[RuntimePreset]) -> None:
    home = _home(plan)
    runtimes = Runtimes(declared, UserFile(home).read())
    wanted = str(plan.options.get("runtime") or "")
    if plan.options.get("skills"):
        _install_skill(plan, runtimes, wanted, home)
    elif wanted:
        _install_kits(plan, runtimes, wanted, home)
    else:
        _tell_detected(plan, runtimes)


def _tell_detected(plan: InitPlan, runtimes: Runtimes) -> None:
    """Starts no program: that would take seconds where nothing was asked for."""
    found = detection.detect_all(runtimes.presets, root=plan.worktree, env=plan.env)
    plan.report("runtime", found[0].name if found else "")
    plan.report("detected", bool(found))


def _install_kits(plan: InitPlan, runtimes: Runtimes, wanted: str, home: Path) -> None:
    chosen = runtimes.chosen(wanted)
    place = Place(plan.worktree, home)
    files = plan_kits(chosen, place, fields=Fields.of(plan.options), force=plan.force)
    _write(plan, place, files)
    if wanted != ALL and not primary(plan.thrum):
        plan.configure("runtime.primary", wanted)
    plan.report("runtime", wanted)
    plan.report("detected", False)


def _install_skill(plan: InitPlan, runtimes: Runtimes, wanted: str, home: Path) -> None:
    detected = None
    if not wanted or wanted == ALL:
        ask = functools.partial(detection.ask_version, env=plan.env)
        detected = detection.detect(runtimes.presets, root=plan.worktree, env=plan.env, ask=ask)
    preset = runtimes.get(detected.name if detected else wanted)
    skill = plan_skill(preset, plan.worktree, home=home, force=plan.force)
    _write(plan, Place(plan.worktree, home), skill.files)
    plan.report("runtime", preset.name)
    plan.report("detected", detected is not None and detected.is_found)
    plan.report("agent", skill.agent)
    plan.report("install_path", str(skill.folder))


def _write(plan: InitPlan, place: Place, files: Sequence[FilePlan]) -> None:
    """Write them all, or none: what a link leads elsewhere is found before anything is touched."""
    for file in files:
        if file.writes:
            place.check(file.path)
    for file in files:
        if file.writes:
            plan.write(file.path, file.data, mode=file.mode)
        plan.say(_line(file, dry_run=plan.dry_run))
    plan.report("files", [file.as_json() for file in files])


def _line(file: FilePlan, *, dry_run: bool) -> str:
    because = f" ({file.reason})" if file.reason else ""
    return f"  {'would ' if dry_run else ''}{_VERBS[file.action]} {file.path}{because}"


def _home(plan: InitPlan) -> Path:
    home = plan.env.get("HOME", "")
    if not home:
        raise Refused("HOME is not set", hint="thrum looks for your own runtimes in ~/.thrum/runtimes.json")
    return Path(home)


def primary(thrum: Path) -> str:
    """The runtime that the configuration names already; empty when it names none."""
    try:
        value = json.loads((thrum / "config.json").read_bytes())
    except (OSError, ValueError):
        return ""
    runtime = value.get("runtime") if isinstance(value, dict) else None
    primary = runtime.get("primary") if isinstance(runtime, dict) else ""
    return primary if isinstance(primary, str) else ""
