"""An agent is registered from inside its own pane: what its shell finds there is what the agent will find."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from thrum_kernel.errors import ThrumError
from thrum_tmux.pane import Pane
from thrum_tmux.session.records import Record
from thrum_tmux.session.shell_line import ShellLine

PROMPT_QUIET_S: Final = 0.3
PROMPT_WAIT_S: Final = 4.0
TRY_S: Final = 10.0
TRIES: Final = 2
LOOK_S: Final = 0.05
SHOWN_LINES: Final = 30


class NotRegistered(ThrumError):
    """``thrum quickstart`` was typed into a pane and wrote no identity, or could not be typed there.

    Attributes:
        file: the identity file that it should have written.
        screen: what the pane showed.
        reason: why it was not typed; empty when it was.
    """

    def __init__(self, file: Path, screen: Sequence[str], *, reason: str = "") -> None:
        self.file = file
        self.screen = tuple(screen)
        self.reason = reason
        what = f"cannot be typed ({reason}), so there is no" if reason else "did not write"
        shown = "".join(f"\n  {line}" for line in self.screen)
        super().__init__(
            f"tmux create: quickstart {what} identity file {file}; the session was ended. It showed:{shown}"
        )


def launcher(env: Mapping[str, str] = os.environ) -> str:
    """The ``thrum`` that belongs to this daemon, as a shell finds it wherever it stands."""
    beside = Path(sys.executable).parent / "thrum"
    return str(beside) if beside.exists() else shutil.which("thrum", path=env.get("PATH")) or "thrum"


def quickstart_line(record: Record, *, program: str, force: bool = False) -> str:
    """What is typed for the shell of the pane."""
    words = [program, "--repo", str(record.cwd), "quickstart", "--name", record.agent]
    words += ["--role", record.role, "--module", record.module]
    words += ["--intent", record.intent] if record.intent else []
    words += ["--runtime", record.runtime] if record.runtime else []
    words += ["--force"] if force else []
    return shlex.join([*words, "--no-agent-pid"])


async def register(pane: Pane, shell: ShellLine, record: Record, *, file: Path, force: bool = False) -> None:
    """Have the shell of *pane* register the agent of *record*, and wait until its identity file is written.

    A shell that still starts may swallow what it is given, so the line is typed once more.

    Args:
        shell: of that pane.
        file: the identity file.
        force: take the name over from another worktree, or change role and module.

    Raises:
        NotRegistered: it was not written; shows what the pane said.
        PaneMissing, TmuxError, ServerSilent: the pane cannot be reached.
    """
    before = _written(file)
    line = quickstart_line(record, program=launcher(), force=force)
    for _ in range(TRIES):
        await pane.until_quiet(PROMPT_QUIET_S, PROMPT_WAIT_S)
        reason = await shell.run(line, PROMPT_WAIT_S)
        if reason:
            raise NotRegistered(file, _tail((await pane.look(SHOWN_LINES)).lines), reason=reason)
        if await _is_written(file, before, pane):
            return
        if _refused((await pane.look()).lines):
            break
    raise NotRegistered(file, _tail((await pane.look(SHOWN_LINES)).lines))


async def _is_written(file: Path, before: tuple[int, int], pane: Pane) -> bool:
    """Wait for the file to change, for as long as the command may still do it."""
    end = time.monotonic() + TRY_S
    while time.monotonic() < end:
        if _written(file) not in (before, _NEVER):
            return True
        await asyncio.sleep(LOOK_S)
        if pane.quiet_s() > 1 and _refused((await pane.look()).lines):
            return False
    return False


_NEVER: Final = (0, 0)


def _written(file: Path) -> tuple[int, int]:
    """What tells one writing of a file from another; it is replaced each time."""
    try:
        status = file.stat()
    except OSError:
        return _NEVER
    return status.st_ino, status.st_mtime_ns


def _refused(lines: Sequence[str]) -> bool:
    return any(line.startswith("Error: ") for line in lines)


def _tail(lines: Sequence[str]) -> list[str]:
    shown = [line.rstrip() for line in lines]
    while shown and not shown[-1]:
        shown.pop()
    return shown[-SHOWN_LINES:]
