"""What this machine has: git, tmux, Python, room on the disk, a clock that tells the time."""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal

from thrum_kernel.api import Check, Finding
from thrum_kernel.briefing.doctor import Ground
from thrum_kernel.clock import parse_us
from thrum_kernel.store.filesystem import NETWORK, kind_at

GIT_NEEDED: Final = (2, 31)
LOW_BYTES: Final = 1 << 30
NO_BYTES: Final = 100 << 20
SKEW_US: Final = 5 * 60 * 1_000_000
ASK_S: Final = 5.0
TAIL_BYTES: Final = 64 << 10

_VERSION: Final = re.compile(r"(\d+)\.(\d+)[\w.]*")


def git(ground: Ground) -> Sequence[Finding]:
    """git is there, and new enough."""
    said = _version("git", "--version", ground.env)
    if said is None:
        return [Finding("git", "error", "not found on PATH", _install("git"))]
    found = _VERSION.search(said)
    version = (int(found.group(1)), int(found.group(2))) if found else (0, 0)
    if version < GIT_NEEDED:
        needed = ".".join(map(str, GIT_NEEDED))
        return [Finding("git", "error", f"{said}: {needed} or newer is needed", _install("git"))]
    return [Finding("git", "ok", found.group(0) if found else said)]


def tmux(ground: Ground) -> Sequence[Finding]:
    """tmux, which only agents in panes need."""
    said = _version("tmux", "-V", ground.env)
    if said is None:
        return [
            Finding("tmux", "warning", "not found on PATH: agents cannot live in panes", _install("tmux"))
        ]
    return [Finding("tmux", "ok", said.removeprefix("tmux "))]


def python(ground: Ground) -> Sequence[Finding]:
    """Python and what of ours is installed for it."""
    text = f"{platform.python_version()} ({sys.executable})"
    try:
        ours = metadata.version("thrum")
    except metadata.PackageNotFoundError:
        return [Finding("python", "warning", f"{text}; thrum runs from a folder", "install it: README.md")]
    found = [Finding("python", "ok", f"{text}, thrum {ours}")]
    launcher = shutil.which("thrum", path=ground.env.get("PATH"))
    if launcher is None:
        folder = Path(sys.executable).parent
        found.append(
            Finding("python", "warning", "the command thrum is not on PATH", f'export PATH="{folder}:$PATH"')
        )
    elif Path(sys.executable).parent not in (Path(launcher).parent, Path(launcher).resolve().parent):
        text = f"the first thrum on PATH is another one: {launcher}"
        found.append(Finding("python", "warning", text, f'export PATH="{Path(sys.executable).parent}:$PATH"'))
    return found


def disk(ground: Ground) -> Sequence[Finding]:
    """Room for the log, on a disk that keeps what it says it keeps."""
    if ground.paths is None:
        return []
    place = next(path for path in (ground.paths.sync, *ground.paths.sync.parents) if path.exists())
    usage = os.statvfs(place)
    free = usage.f_bavail * usage.f_frsize
    found = [
        Finding("disk", _level(free), f"{_size(free)} free at {place}", "" if free >= LOW_BYTES else "df -h")
    ]
    kind = kind_at(place)
    if kind in NETWORK and not _allows_network(ground):
        found.append(
            Finding(
                "disk",
                "warning",
                f"{place} lies on a network file system ({kind}), whose locks and syncs may not hold: better move"
                " the repository to a local disk",
                "thrum config set store.allow_network_fs true",
            )
        )
    return found


def clock(ground: Ground) -> Sequence[Finding]:
    """The clock, against the newest event of the log."""
    now_us = time.time_ns() // 1000
    shown = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    newest = _newest_event(ground.paths.journal) if ground.paths is not None else ""
    ahead_us = parse_us(newest) - now_us if newest else 0
    if ahead_us > SKEW_US:
        text = f"{shown}; the log has an event {ahead_us // 1_000_000} s ahead of it"
        return [Finding("clock", "warning", text, "timedatectl set-ntp true")]
    if now_us < parse_us("2025-01-01T00:00:00Z"):
        return [Finding("clock", "error", f"{shown} cannot be right", "timedatectl set-ntp true")]
    return [Finding("clock", "ok", shown)]


def _newest_event(journals: Path) -> str:
    """The time of the last whole event of the journal written last; empty when there is none."""
    files = (
        sorted(journals.glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
        if journals.is_dir()
        else []
    )
    if not files:
        return ""
    with files[-1].open("rb") as stream:
        stream.seek(max(0, files[-1].stat().st_size - TAIL_BYTES))
        lines = stream.read().splitlines()
    for line in reversed(lines):
        try:
            event: Any = json.loads(line)
            parse_us(event["timestamp"])
        except (ValueError, KeyError, TypeError):
            continue
        return str(event["timestamp"])
    return ""


def _version(program: str, flag: str, env: Mapping[str, str]) -> str | None:
    """The first line that a program says of itself; None when it is not there or does not answer."""
    path = shutil.which(program, path=env.get("PATH"))
    if path is None:
        return None
    try:
        done = subprocess.run(
            [path, flag], capture_output=True, text=True, timeout=ASK_S, stdin=subprocess.DEVNULL, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.strip().splitlines()
    return lines[0] if done.returncode == 0 and lines else None


def _install(program: str) -> str:
    if sys.platform == "darwin":
        return f"brew install {program}"
    ways = {"apt": "apt install", "dnf": "dnf install", "pacman": "pacman -S", "apk": "apk add"}
    way = next((words for tool, words in ways.items() if shutil.which(tool)), "")
    return f"sudo {way} {program}" if way else f"install {program} with your system's package manager"


def _level(free: int) -> Literal["ok", "warning", "error"]:
    return "error" if free < NO_BYTES else "warning" if free < LOW_BYTES else "ok"


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def _allows_network(ground: Ground) -> bool:
    return ground.settings is not None and ground.settings.store.allow_network_fs


CHECKS: Final = (
    Check(subject="git", look=git),
    Check(subject="tmux", look=tmux),
    Check(subject="python", look=python),
    Check(subject="disk", look=disk),
    Check(subject="clock", look=clock),
)
