"""Whether a command's module keeps to what commands inside the daemon may do, as its source shows.

A command in the daemon blocks nobody and touches nothing but its `Run`: the daemon's own standard streams, environment
and processes are not the caller's.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import util
from pathlib import Path
from typing import Final

_CALLS: Final = {
    "print": "it prints; write to run.out",
    "input": "it asks the terminal",
    "exit": "it ends the process",
    "quit": "it ends the process",
}
_MODULES: Final = {
    "subprocess": "it starts processes",
    "socket": "it opens sockets",
    "getpass": "it asks the terminal",
    "signal": "it handles signals",
    "time": "it may sleep",
}
_OURS: Final = frozenset(
    {("os", "environ"), ("sys", "stdin"), ("sys", "stdout"), ("sys", "stderr"), ("sys", "argv")}
)


def unfit_for_daemon(module: str) -> Iterator[str]:
    """What keeps the commands of *module* from running in the daemon, a clause each with its line."""
    spec = util.find_spec(module)
    if spec is None or not spec.origin:
        return
    for node in ast.walk(ast.parse(Path(spec.origin).read_text("utf-8"))):
        for why in _of(node):
            yield f"line {getattr(node, 'lineno', 0)}: {why}"


def _of(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Call(func=ast.Name(id=name)) if name in _CALLS:
            yield _CALLS[name]
        case ast.Attribute(value=ast.Name(id=module), attr=name) if (module, name) in _OURS:
            yield f"{module}.{name} is the daemon's, not the caller's"
        case ast.Import(names=names):
            yield from _imports([alias.name for alias in names])
        case ast.ImportFrom(module=str(module)):
            yield from _imports([module])
        case _:
            return


def _imports(modules: list[str]) -> Iterator[str]:
    for module in modules:
        top = module.partition(".")[0]
        if top in _MODULES:
            yield _MODULES[top]
