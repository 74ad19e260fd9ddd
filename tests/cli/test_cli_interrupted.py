"""Ctrl-C before a command that runs in process has begun: status 130, and not a word."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_program import Program

INTERRUPT = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"
REST = "import time\ntime.sleep(60)\n"


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("sitecustomize", INTERRUPT),  # while Python itself begins
        ("msgspec", INTERRUPT + REST),
        ("typer", INTERRUPT + REST),
    ],
)
def test_it_ends_without_a_traceback(thrum: Program, tmp_path: Path, module: str, code: str) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / f"{module}.py").write_text(code)

    ran = thrum("init", PYTHONPATH=f"{tmp_path / 'first'}:{thrum.env['PYTHONPATH']}")

    assert (ran.status, ran.out, ran.err) == (130, b"", b"")
