"""Builds the ``thrum`` script: a shell header and the thin client, so that a command starts as fast as Python does.

A console script that installers generate costs 1.77 times ``python -c pass`` before our first line; this one 0.8
times, because the header starts the Python beside it with ``-IS``. It works from virtual environments made by any
installer, through symbolic links, in paths with spaces, and for installations of a user or of the system, where the
Python is looked for by the folder that thrum lies in.

Python compiles a script anew at every start, which costs more than all that the client does. So its bytecode is
installed too, in ``share/thrum``, for the Python that builds: an installer that builds (from a checkout, editable)
builds with the Python that will run it. The header takes it where that Python's libraries lie, else the text.
"""

from __future__ import annotations

import ast
import marshal
import sys
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HEADER = """\
#!/bin/sh
''':'
f=$0
while [ -L "$f" ]; do
  l=$(readlink "$f")
  case $l in /*) f=$l ;; *) f=${f%/*}/$l ;; esac
done
case $f in */*) d=${f%/*} ;; *) d=. ;; esac
c=$f
b=$d/../share/thrum/client.PYTHON.pyc
if [ -f "$d/../pyvenv.cfg" ]; then
  [ -d "$d/../lib/PYTHON/site-packages" ] && [ -f "$b" ] && c=$b
  exec "$d/python" -IS "$c" "$f" "$@"
fi
for p in "$d"/../lib/python3*/*-packages/thrum_kernel; do
  [ -d "$p" ] || continue
  v=${p%/*-packages/*}
  v=${v##*/}
  [ "$v" = PYTHON ] && [ -f "$b" ] && c=$b
  [ -x "$d/$v" ] && exec "$d/$v" -IS "$c" "$f" "$@"
  command -v "$v" >/dev/null 2>&1 && exec "$v" -IS "$c" "$f" "$@"
  c=$f
done
[ -x "$d/python3" ] && exec "$d/python3" -IS "$f" "$f" "$@"
exec python3 -IS "$f" "$f" "$@"
'''
"""


class Launcher(BuildHookInterface):  # type: ignore[type-arg]
    """Puts the script and its bytecode into wheels, editable ones included."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write them below ``build`` and add them to the wheel."""
        source = Path(self.root, "thrum_kernel", "cli", "client.py").read_text("utf-8")
        text, code = launcher(source, version=self.metadata.version)
        folder = Path(self.root, "build")
        folder.mkdir(exist_ok=True)
        script, compiled = folder / "thrum", folder / compiled_name()
        script.write_text(text, "utf-8")
        script.chmod(0o755)
        compiled.write_bytes(code)
        build_data["shared_scripts"][str(script)] = "thrum"
        build_data["shared_data"][str(compiled)] = f"share/thrum/{compiled_name()}"


def compiled_name() -> str:
    """Name of the bytecode's file: ``client.python3.11.pyc``."""
    return f"client.{_python()}.pyc"


def launcher(source: str, *, version: str) -> tuple[str, bytes]:
    """The script made of the client's *source*, and its bytecode in the format of ``.pyc`` files."""

    bare = ast.fix_missing_locations(_Bare(version).visit(ast.parse(source)))
    text = ast.unparse(bare)
    code = compile(text, "thrum", "exec", dont_inherit=True, optimize=0)
    # Version 2 of the format is the last one that is the same for the same code, whoever else refers to its parts.
    # The flag says that nobody is to compare it with a source.
    data = MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8) + marshal.dumps(code, 2)
    return f"{HEADER.replace('PYTHON', _python())}{text}\n", data


def _python() -> str:
    """The folder of libraries of the Python that builds, ``python3.11``; never there for one that is not CPython."""
    name = "python" if sys.implementation.name == "cpython" else sys.implementation.name
    return f"{name}{sys.version_info.major}.{sys.version_info.minor}"


class _Bare(ast.NodeTransformer):
    """Leaves out what only people and type checkers read, and fills in the version."""

    def __init__(self, version: str) -> None:
        self.version = version

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        assert node.module == "__future__", "the thin client imports whole built-in modules only"

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if _names(node.test, "TYPE_CHECKING") else self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        for argument in node.args.args:
            argument.annotation = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        assert node.value is not None
        return ast.copy_location(ast.Assign([node.target], node.value), node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        if _names(node.targets[0], "TYPE_CHECKING"):
            return None
        if _names(node.targets[0], "VERSION"):
            node.value = ast.Constant(self.version.encode())
        return node


def _names(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
