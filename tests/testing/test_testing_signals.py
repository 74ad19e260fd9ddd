"""A run of tests in the background: what it starts can be interrupted all the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

STARTS = """
import signal, subprocess, sys

def test_what_is_started():
    code = "import signal; print(*(signal.getsignal(each) is signal.SIG_IGN for each in (signal.SIGINT, signal.SIGQUIT)))"
    assert subprocess.check_output([sys.executable, "-c", code]) == b"False False\\n"
    signal.raise_signal(signal.SIGINT)
"""


def test_a_run_that_ignores_interrupts_starts_programs_that_do_not(tmp_path: Path) -> None:
    (tmp_path / "test_started.py").write_text(STARTS)
    pytest = (
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        str(tmp_path),
    )

    done = subprocess.run(
        ["sh", "-c", 'trap "" INT QUIT; exec "$0" "$@"', *pytest],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
