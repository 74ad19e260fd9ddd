"""``plugin check``: how good a plugin is, found out with no daemon.

- *bronze*: it loads, its manifest's module is light, its names and settings are in order, its commands are there.
- *silver*: the conformance suite is green, every method and setting is documented.
- *gold*: it is typed, its projectors give the same tables for the same events in any order and number, its hooks
  survive a kernel that fails under them.

Source: issue "Plugins".
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from importlib import resources, util
from typing import Any, Final, Literal

import msgspec
from pydantic import BaseModel

from thrum_kernel.api import PluginCommand, Projector
from thrum_kernel.events import EventTypes
from thrum_kernel.events.core import CORE_EVENT_TYPES
from thrum_kernel.plugins import discovery
from thrum_kernel.plugins.bounded import attempt
from thrum_kernel.plugins.failing_kernel import arguments_of, failing_context
from thrum_kernel.plugins.fitness import unfit_for_daemon
from thrum_kernel.plugins.hooks import told
from thrum_kernel.plugins.hookspecs import HOOKS
from thrum_kernel.plugins.in_process import ProcessHost
from thrum_kernel.plugins.loader import Loaded
from thrum_kernel.plugins.random_events import RandomEvents
from thrum_kernel.plugins.record import Plugin
from thrum_kernel.plugins.watchdog import Watchdog
from thrum_kernel.projection import schema
from thrum_kernel.projection.views import VIEWS

Grade = Literal["none", "bronze", "silver", "gold"]
GRADES: Final[tuple[Grade, ...]] = ("none", "bronze", "silver", "gold")

ROUNDS: Final = 20
EVENTS: Final = 12
SUITE_LIMIT_S: Final = 300.0


class Mark(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One thing that was looked at; ``detail`` is what is wrong with it."""

    grade: Grade
    what: str
    ok: bool
    detail: str = ""


class Report(msgspec.Struct, kw_only=True):
    """What came of it. ``grade`` is the highest for which every mark, and every one below it, is good."""

    name: str
    distribution: str
    grade: Grade
    marks: list[Mark]


def check(host: ProcessHost, plugin: Plugin, *, suite: bool = True) -> Report:
    """Look at one plugin of a process.

    Args:
        suite: run the conformance suite, which takes seconds; without it no plugin is silver.
    """
    loaded = host.loaded.get(plugin)
    marks = [_mark("bronze", "loads", f"{plugin.phase}: {plugin.error}" if loaded is None else "")]
    if loaded is not None:
        marks += _bronze(plugin, loaded)
        marks += _silver(plugin, loaded, suite=suite)
        marks += _gold(host, plugin, loaded)
    return Report(name=plugin.name, distribution=plugin.source.distribution, grade=_grade(marks), marks=marks)


def _grade(marks: Sequence[Mark]) -> Grade:
    reached: Grade = "none"
    for grade in GRADES[1:]:
        if not all(mark.ok for mark in marks if mark.grade == grade):
            break
        reached = grade
    return reached


def _mark(grade: Grade, what: str, problem: str) -> Mark:
    return Mark(grade=grade, what=what, ok=not problem, detail=problem)


# --- bronze ----------------------------------------------------------------------------------------------------------


def _bronze(plugin: Plugin, loaded: Loaded) -> Iterator[Mark]:
    yield _mark("bronze", "light import", _heavy(plugin))
    yield _mark("bronze", "names", "")  # the loader refuses others
    yield _mark(
        "bronze", "settings", "" if loaded.manifest.settings or not loaded.manifest.sections else "none"
    )
    for command in loaded.manifest.commands:
        yield _mark("bronze", f"command {' '.join(command.words)}", _command_problem(command))


def _heavy(plugin: Plugin) -> str:
    """What importing the manifest imports beside it; asked in a new process, where nothing is imported yet.

    Modules called ``command_table`` belong to the manifest: a plugin of many commands lists them where they are.
    """
    module = plugin.source.module
    if not module:  # a team's file is one module, and judged as it is loaded
        return ""
    code = (
        "import sys, thrum_kernel.api\n"
        "sys.path[:0] = sys.argv[2:]\n"
        "before = set(sys.modules)\n"
        "__import__(sys.argv[1])\n"
        "print('\\n'.join(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, module, *sys.path],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode:
        return done.stderr.strip().splitlines()[-1]
    package = module.partition(".")[0]
    imported = done.stdout.split()
    tables = [name for name in imported if name.startswith(f"{package}.") and name.endswith(".command_table")]
    allowed = {part for name in (module, *tables) for part in _with_parents(name)}
    imported = [name for name in imported if name not in allowed and not _is_standard(name)]
    own = [name for name in imported if name.startswith(f"{package}.")]
    others = dict.fromkeys(name.partition(".")[0] for name in imported if name not in own)
    heavy = [*own, *others]
    return f"{module} imports {', '.join(heavy)}" if heavy else ""


def _with_parents(module: str) -> Iterator[str]:
    """*module* and the packages that it lies in."""
    while module:
        yield module
        module = module.rpartition(".")[0]


def _is_standard(name: str) -> bool:
    top = name.partition(".")[0]
    return top in sys.stdlib_module_names or top.startswith("_sysconfigdata")


def _command_problem(command: PluginCommand) -> str:
    module, _, name = command.target.partition(":")
    function, error = attempt(lambda: getattr(importlib.import_module(module), name, None))
    if error is not None:
        return f"{command.target} cannot be imported: {told(error)}"
    if not callable(function):
        return f"{command.target} is not there"
    return "; ".join(unfit_for_daemon(function.__module__)) if command.in_daemon else ""


# --- silver ----------------------------------------------------------------------------------------------------------


def _silver(plugin: Plugin, loaded: Loaded, *, suite: bool) -> Iterator[Mark]:
    yield _mark("silver", "conformance", _conformance(plugin) if suite else "was not run")
    for method in loaded.added.get("thrum_methods", ()):
        documented = method.summary.strip() and (inspect.getdoc(method.params) or "").strip()
        yield _mark("silver", f"method {method.name} is documented", "" if documented else _UNDOCUMENTED)
    model = type(loaded.ctx.settings) if loaded.ctx.settings is not None else None
    if model is not None:
        missing = list(_undocumented(model))
        yield _mark(
            "silver", "settings are documented", f"say what {', '.join(missing)} mean" if missing else ""
        )


_UNDOCUMENTED: Final = "it needs a summary, and its parameters a docstring"


def _undocumented(model: type[BaseModel]) -> Iterator[str]:
    """Fields that neither their own description nor the class's docstring explains."""
    text = inspect.getdoc(model) or ""
    for name, field in model.model_fields.items():
        inner: Any = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _undocumented(inner)
        elif not field.description and name not in text:
            yield name


def _conformance(plugin: Plugin) -> str:
    """Run the suite in a process of its own; why it is not green."""
    if util.find_spec("pytest") is None:
        return "pytest is not installed: pip install pytest"
    target = plugin.source.name
    installed = {(source.name, source.distribution) for source in discovery.installed()}
    if plugin.source.path is None and (target, plugin.source.distribution) not in installed:
        return "install the project first: pip install -e PATH"
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "thrum_kernel.testing.conformance", target, *_place(plugin)],
            capture_output=True,
            text=True,
            check=False,
            timeout=SUITE_LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        return f"it did not end within {SUITE_LIMIT_S:g} s"
    if done.returncode == 0:
        return ""
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return "; ".join(failed[:3]) or (lines[-1] if lines else f"ended with {done.returncode}")


def _place(plugin: Plugin) -> list[str]:
    return [str(plugin.source.path)] if plugin.source.path is not None else []


# --- gold ------------------------------------------------------------------------------------------------------------


def _gold(host: ProcessHost, plugin: Plugin, loaded: Loaded) -> Iterator[Mark]:
    yield _mark("gold", "typed", _untyped(loaded))
    for projector in loaded.added.get("thrum_projectors", ()):
        yield _mark("gold", f"projector of {projector.event_type}", _impure(loaded, projector))
    for hook in loaded.hooks:
        if HOOKS[hook].colour == "decides":
            yield _mark(
                "gold", f"{hook} survives faults", host.run(_perishes(loaded, hook, host.hook_timeout_s()))
            )


def _untyped(loaded: Loaded) -> str:
    bare = [name for name, hook in loaded.hooks.items() if not _is_annotated(hook.function)]
    if bare:
        return f"annotate {', '.join(bare)}"
    package = (loaded.manifest.hooks or loaded.manifest.commands[0].target).partition(".")[0]
    if loaded.manifest.hooks.startswith("thrum_team_plugins."):
        return ""
    marker = resources.files(package).joinpath("py.typed")
    return "" if marker.is_file() else f"{package} has no py.typed"


def _is_annotated(function: Callable[..., Any]) -> bool:
    signature = inspect.signature(function)
    given = [signature.return_annotation, *(each.annotation for each in signature.parameters.values())]
    return inspect.Signature.empty not in given


def _impure(loaded: Loaded, projector: Projector) -> str:
    """Why a projector does not give the same tables for the same events in any order and number."""
    types = EventTypes([*CORE_EVENT_TYPES, *loaded.added.get("thrum_event_types", ())])
    payload = types[projector.event_type].payload
    for seed in range(ROUNDS):
        chance = RandomEvents(seed)
        try:
            events = [chance.make(payload) for _ in range(EVENTS)]
        except (msgspec.ValidationError, AssertionError) as error:
            return f"no events could be made to try it: {error}"
        try:
            first = _projected(loaded, projector, events)
            second = _projected(loaded, projector, chance.shuffled(events))
        except Exception as error:  # noqa: BLE001 - a plugin's code
            return told(error)
        if first != second:
            return f"the same events in another order give other tables (seed {seed})"
    return ""


def _projected(loaded: Loaded, projector: Projector, events: Sequence[Any]) -> dict[str, list[Any]]:
    db = sqlite3.connect(":memory:")
    try:
        db.executescript(schema.TABLES + VIEWS)
        for statement in loaded.tables.projected:
            db.execute(statement)
        for event in events:
            projector.apply(db, event)
        names = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        own = [name for (name,) in names if name.startswith(f"{loaded.manifest.name}_")]
        own += [name for name in loaded.manifest.tables if (name,) in names]
        return {name: sorted(db.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr) for name in own}
    finally:
        db.close()


async def _perishes(loaded: Loaded, hook: str, limit_s: float) -> str:
    """What a hook does wrong when everything it asks of the kernel fails: nothing, or a `ThrumError`, is right."""
    implementation = loaded.hooks[hook]
    ctx = failing_context(loaded.ctx, random.Random(0))
    arguments = {"ctx": ctx, **arguments_of(hook)}
    given = {name: arguments[name] for name in implementation.arguments}
    dog = Watchdog(lambda label, text: None, interrupt_s=lambda: limit_s)
    end = dog.interrupting()
    try:
        async with asyncio.timeout(limit_s):
            answer = await dog.watched(loaded.manifest.name, hook, implementation.function(**given))
        if isinstance(answer, Coroutine):
            await _answered(dog.watched(loaded.manifest.name, hook, answer), limit_s)
    except TimeoutError:
        return f"it takes longer than {limit_s:g} s"
    except Exception as error:  # noqa: BLE001 - a plugin's code
        return "" if ctx.raised(error) else told(error)
    finally:
        end()
        dog.close()
    return ""


async def _answered(later: Coroutine[Any, Any, Any], limit_s: float) -> None:
    """Await an answer that comes *later*, as a rung of waking may give; being slow is no fault of it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            await later
