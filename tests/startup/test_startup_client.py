"""What starting a command may load: the thin client nearly nothing, the tree no Typer before a command runs."""

from __future__ import annotations

import ast
import marshal
import subprocess
import sys
from importlib.util import MAGIC_NUMBER
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "thrum_kernel/cli/client.py"


def loaded_by(code: str, *flags: str) -> set[str]:
    """Modules that *code* adds to those of a bare Python."""
    show = "import sys\nbefore = set(sys.modules)\n{}\nprint(*sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, *flags, "-c", show.format(code)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_the_thin_client_imports_built_in_modules_and_sockets_only() -> None:
    imports = {
        alias.name
        for node in ast.walk(ast.parse(CLIENT.read_text()))
        if isinstance(node, ast.Import)
        for alias in node.names
    }

    assert imports == {"_signal", "_socket", "errno", "posix", "sys", "time"}


def test_the_thin_client_loads_nothing_else() -> None:
    run = f"exec(compile(open({str(CLIENT)!r}).read(), 'client', 'exec'), {{'__name__': 'client'}})"

    assert loaded_by(run, "-IS") <= {"_socket", "errno", "__future__"}


def built() -> tuple[str, bytes]:
    """The script and its bytecode."""
    sys.path.insert(0, str(ROOT))
    try:
        from hatch_build import launcher
    finally:
        sys.path.remove(str(ROOT))
    made: tuple[str, bytes] = launcher(CLIENT.read_text(), version="1.2.3")
    return made


def test_the_script_holds_what_runs_and_nothing_else() -> None:
    text, _ = built()

    assert text.startswith("#!/bin/sh\n")
    assert "VERSION = b'1.2.3'" in text
    assert "TYPE_CHECKING" not in text
    assert "__future__" not in text
    assert not [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.AnnAssign)]


def test_the_bytecode_is_that_of_the_script() -> None:
    text, code = built()
    expected = compile(
        text.partition("'''\n")[2].rstrip("\n"), "thrum", "exec", dont_inherit=True, optimize=0
    )

    assert code[:4] == MAGIC_NUMBER
    assert marshal.loads(code[16:]) == expected


def test_building_the_script_twice_gives_the_same_bytes() -> None:
    code = (
        "import hashlib, hatch_build\n"
        "text, code = hatch_build.launcher(open('thrum_kernel/cli/client.py').read(), version='1')\n"
        "print(hashlib.sha256(text.encode() + code).hexdigest())"
    )
    made = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(made) == 1


def test_plugins_can_register_commands_without_loading_typer() -> None:
    loaded = loaded_by("import thrum_kernel.cli.command, thrum_kernel.cli.app")

    assert not {"typer", "rich", "click", "pydantic"} & loaded
