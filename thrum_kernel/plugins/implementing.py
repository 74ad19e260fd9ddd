"""The hooks that a module implements, found and checked by pluggy and by their colour.

Every mistake is told before anything of the plugin runs: a hook that does not exist, arguments it does not have, a
function that should be ``async def`` or should not be, one that looks like a hook and is not marked.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

import pluggy

from thrum_kernel.plugins import hookspecs
from thrum_kernel.plugins.hookspecs import GUARD_KINDS, HOOKS
from thrum_kernel.plugins.record import LoadFailed

PROJECT: Final = "thrum"


@dataclass(frozen=True, slots=True)
class Implementation:
    """A plugin's function for a hook.

    Attributes:
        arguments: the names it takes, ``ctx`` perhaps among them.
        place: 0 before others, 1 where it was loaded, 2 after others.
    """

    hook: str
    function: Callable[..., Any]
    arguments: tuple[str, ...]
    place: int = 1


def implementations(module: ModuleType) -> dict[str, Implementation]:
    """What *module* implements, by hook.

    Raises:
        LoadFailed: something about it is wrong; names every mistake that can be told.
    """
    problems = [*_unmarked(module), *_unknown(module)]
    if problems:
        raise LoadFailed("; ".join(problems))
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(module, module.__name__)
    except pluggy.PluginValidationError as error:
        raise LoadFailed(_arguments_told(error)) from None
    found = {}
    for caller in manager.get_hookcallers(module) or ():
        for impl in caller.get_hookimpls():
            found[caller.name] = _checked(caller.name, impl)
    if "thrum_guard" in found and "thrum_guard_scope" not in found:
        raise LoadFailed("thrum_guard without thrum_guard_scope: a guard says what it judges")
    return found


def check_scope(entries: list[Any]) -> list[str]:
    """The entries of a guard's scope.

    Raises:
        LoadFailed: one is no method, ``command:…`` or kind.
    """
    for entry in entries:
        is_text = isinstance(entry, str) and entry
        if not is_text or not ("." in entry or entry in GUARD_KINDS or entry.startswith("command:")):
            known = ", ".join(sorted(GUARD_KINDS))
            raise LoadFailed(
                f"thrum_guard_scope: {entry!r} is no method, no command:<words> and none of {known}"
            )
    return entries


def _checked(name: str, impl: Any) -> Implementation:
    if impl.hookwrapper or impl.wrapper:
        raise LoadFailed(f"{name}: wrappers are not supported, every plugin is called alone")
    hook, function = HOOKS[name], impl.function
    is_async = inspect.iscoroutinefunction(function)
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise LoadFailed(f"{name} must return its result, not yield")
    if hook.colour == "adds" and is_async:
        raise LoadFailed(f"{name} must be a plain function: it adds something and is called once")
    if hook.colour == "decides" and not is_async:
        raise LoadFailed(f"{name} must be async def: it is called while others work")
    place = 0 if impl.tryfirst else 2 if impl.trylast else 1
    return Implementation(name, function, tuple(impl.argnames), place)


def _unmarked(module: ModuleType) -> Iterator[str]:
    for name, value in vars(module).items():
        is_own = inspect.isfunction(value) and value.__module__ == module.__name__
        if is_own and name.startswith("thrum_") and not hasattr(value, f"{PROJECT}_impl"):
            yield f"{name} is not marked with @hookimpl"


def _unknown(module: ModuleType) -> Iterator[str]:
    for name, value in vars(module).items():
        if inspect.isfunction(value) and hasattr(value, f"{PROJECT}_impl") and name not in HOOKS:
            near = difflib.get_close_matches(name, HOOKS, n=1)
            yield f"unknown hook {name}" + (f", did you mean {near[0]}?" if near else "")


def _arguments_told(error: pluggy.PluginValidationError) -> str:
    """pluggy's several lines as one sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(line for line in lines if not line.startswith("Plugin ")) or str(error)
