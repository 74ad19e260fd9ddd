"""Which program has a pane's terminal: an agent's runtime, a plain shell, or somebody else's editor.

The names of processes decide, those of the preset: the group in the foreground of the pane's terminal is looked at, for
a runtime may run below a wrapper or an interpreter.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from thrum_kernel.api import PluginContext, RuntimePreset
from thrum_tmux.pane import Look

SHELLS: Final = frozenset({"bash", "sh", "dash", "ash", "zsh", "fish", "ksh"})
_RUNS: Final = re.compile(r"-[a-zA-Z]*c")
"""The option of every shell that makes it run one command and end."""
_WITH_VALUE: Final = ("--rcfile", "--init-file", "-o", "+o")
_INTERPRETERS: Final = ("node", "bun", "deno", "python")


@dataclass(frozen=True, slots=True)
class Program:
    """What runs in the foreground of a pane.

    Attributes:
        runtime: name of its preset; ``shell`` for a shell at its prompt; empty for anything else.
        pid: its process, of several the first one; 0 when not known.
        cwd: where it stands; None when not known.
        name: what to call it in a message.
    """

    runtime: str
    pid: int = 0
    cwd: Path | None = None
    name: str = ""


async def running(ctx: PluginContext, look: Look) -> Program:
    """The program of a pane as it was looked at."""
    found: Program = await ctx.in_thread(foreground, look.pid, look.command, ctx.presets())
    return found


def foreground(pane_pid: int, command: str, presets: Sequence[RuntimePreset]) -> Program:
    """The program of a pane. Blocking.

    Args:
        pane_pid: the process that tmux started in it.
        command: what tmux calls the program in its foreground.
    """
    names = {name: preset.name for preset in presets for name in preset.processes}
    group = _group(pane_pid)
    for process in group:
        found = _runtime_of(process, names)
        if found:
            return Program(found, process.pid, _cwd(process), command)
    bare = command.lstrip("-")
    if bare in names:
        return Program(names[bare], 0, None, command)
    if bare in SHELLS and (not group or _is_prompting(group)):
        last = group[-1] if group else None
        return Program("shell", last.pid if last else pane_pid, _cwd(last) if last else None, command)
    return Program("", group[0].pid if group else 0, None, command)


def _group(pane_pid: int) -> list[psutil.Process]:
    """The processes in the foreground of the terminal of *pane_pid*, parents first; empty where that is not told."""
    try:
        root = psutil.Process(pane_pid)
        processes = [root, *root.children(recursive=True)]
    except psutil.Error:
        return []
    if not sys.platform.startswith("linux"):
        return _without_shells(processes)
    leader = _stat(pane_pid)[1]
    return [process for process in processes if leader and _stat(process.pid)[0] == leader]


def _stat(pid: int) -> tuple[int, int]:
    """Of a Linux process: its group, and the group in the foreground of its terminal; zeros when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0, 0
    return int(fields[2]), int(fields[5])


def _without_shells(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Where the system does not tell what is in the foreground: the children of the shell, else the shell itself."""
    first, *others = processes
    return others or [first]


def _runtime_of(process: psutil.Process, names: dict[str, str]) -> str:
    """The preset whose process this is, by its name, by what it was started as, or by an interpreter's script."""
    try:
        argv = process.cmdline()
        own = process.name()
    except psutil.Error:
        return ""
    words = [own, *(_base(word) for word in argv[:1])]
    if any(word.startswith(_INTERPRETERS) for word in words):
        words += [_base(word).removesuffix(".js") for word in argv[1:2]]
    return next((names[word] for word in words if word in names), "")


def _is_prompting(group: Sequence[psutil.Process]) -> bool:
    """Whether a shell reads its commands from the terminal, also below the one that tmux runs ``default-command`` with."""
    try:
        *wrappers, last = [process.cmdline() for process in group]
    except psutil.Error:
        return False
    if any(_base(argv[0]) not in SHELLS for argv in [*wrappers, last] if argv) or not last:
        return False
    options = [word for at, word in enumerate(last) if at and last[at - 1] not in _WITH_VALUE]
    return all(word.startswith(("-", "+")) and not _RUNS.match(word) for word in options)


def _base(word: str) -> str:
    return word.rpartition("/")[2].lstrip("-")


def _cwd(process: psutil.Process) -> Path | None:
    try:
        return Path(process.cwd())
    except (psutil.Error, OSError):
        return None
