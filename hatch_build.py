"""Builds the ``thrum`` script: a shell header and the thin client, so that a command starts as fast as Python does.

A console script that installers generate costs 1.77 times ``python -c pass`` before our first line; this one 0.8
times, because the header starts the Python beside it with ``-IS``. It works from virtual environments made by any
installer, through symbolic links, in paths with spaces, and for installations of a user or of the system, where the
Python is looked for by the folder that thrum lies in.

Python compiles a script anew at every start, so this one brings its bytecode along, and its text, without comments,
docstrings and annotations, for a Python of another version.
"""

from __future__ import annotations

import ast
import marshal
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
[ -f "$d/../pyvenv.cfg" ] && exec "$d/python" -IS "$f" "$@"
for p in "$d"/../lib/python3*/*-packages/thrum_kernel; do
  [ -d "$p" ] || continue
  v=${p%/*-packages/*}
  v=${v##*/}
  [ -x "$d/$v" ] && exec "$d/$v" -IS "$f" "$@"
  command -v "$v" >/dev/null 2>&1 && exec "$v" -IS "$f" "$@"
done
[ -x "$d/python3" ] && exec "$d/python3" -IS "$f" "$@"
exec python3 -IS "$f" "$@"
'''
"""


class Launcher(BuildHookInterface):  # type: ignore[type-arg]
    """Puts the script into wheels, editable ones included."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write ``build/thrum`` and add it to the wheel's scripts."""
        source = Path(self.root, "thrum_kernel", "cli", "client.py").read_text("utf-8")
        script = Path(self.root, "build", "thrum")
        script.parent.mkdir(exist_ok=True)
        script.write_text(launcher(source, version=self.metadata.version), "utf-8")
        script.chmod(0o755)
        build_data["shared_scripts"][str(script)] = "thrum"


def launcher(source: str, *, version: str) -> str:
    """The script made of the client's *source*: its bytecode for the Python that builds, and the text for others.

    Compiling the text costs more than everything else that the client does; an installer that builds (from a
    checkout, editable) builds with the Python that will run it.
    """
    bare = ast.fix_missing_locations(_Bare(version).visit(ast.parse(source)))
    text = ast.unparse(bare)
    code = marshal.dumps(compile(text, "thrum", "exec", dont_inherit=True, optimize=0), MARSHAL)
    return f"{HEADER}SOURCE = {text!r}\nMAGIC = {MAGIC_NUMBER!r}\nCODE = {code!r}\n{START}"


MARSHAL = 2
"""Version of the format: the last one that is the same for the same code, whoever else refers to its parts."""

START = """\
import sys
if getattr(sys.modules.get('_frozen_importlib_external'), 'MAGIC_NUMBER', None) == MAGIC:
    import marshal
    exec(marshal.loads(CODE))
else:
    exec(compile(SOURCE, 'thrum', 'exec'))
"""


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
