"""A program that hangs: it is ended, and the test that waited for it says where it was."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from thrum_kernel.testing.spawner import Spawner

HANGS = """
import threading
print("begun", flush=True)
def waits_for_ever():
    threading.Event().wait()
waits_for_ever()
"""


def test_a_program_that_hangs_fails_with_its_output_and_its_stack(
    thrum_spawner: Spawner, tmp_path: Path
) -> None:
    with pytest.raises(TimeoutError, match=r"(?s)not ended within 2 s.*begun.*in waits_for_ever"):
        thrum_spawner.run([sys.executable, "-c", HANGS], cwd=tmp_path, env=dict(os.environ), timeout_s=2.0)
