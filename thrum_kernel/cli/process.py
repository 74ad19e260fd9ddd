"""The daemon's process as `thrum daemon` controls it: is it there, start it, wait until it answers, end it.

Knows the pid file and the socket, nothing of what the daemon does. A pid counts only together with the start time of
its process, so a number that the system has given to somebody else is never signalled.
Source: spec/kernel.md §8.1, §8.3.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from thrum_kernel.bus.address import connect
from thrum_kernel.errors import DaemonError, FileDamaged
from thrum_kernel.jsonio import read_object

STOP_TIMEOUT_S = 15.0
START_TIMEOUT_S = 10.0
SPAWN_TIMEOUT_S = 15.0
_POLL_S = 0.02
_LOST_THE_RACE = "daemon lock held"
_STARTS = " starts (PID "
"""What a daemon writes into its log first, where that is not told to hold less."""
_LAST_BYTES = 65536

ENVIRONMENT = (
    "COVERAGE_PROCESS_START",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_SYSTEM",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "HOME",
    "LANG",
    "LC_ALL",
    "LOGNAME",
    "PATH",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONPATH",
    "SHELL",
    "SSH_AGENT_PID",
    "SSH_AUTH_SOCK",
    "TMPDIR",
    "TMUX_TMPDIR",
    "TZ",
    "USER",
    "VIRTUAL_ENV",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
)
"""What a daemon inherits: enough for git, ssh and tmux, nothing that says who started it."""

SETTINGS = ("THRUM_WS_PORT", "THRUM_HOSTNAME", "THRUM_LOCAL", "THRUM_PROFILE", "THRUM_SYNC_INTERVAL")
"""Settings that an explicit `daemon start` may pass on; a plugin's own ``THRUM_PLUGINS_…`` go along."""


@dataclass(frozen=True, slots=True)
class Running:
    """A daemon that is alive.

    Attributes:
        pid: its process.
        repo: the repository it said it serves; empty when the pid file does not tell.
        started_at: timestamp of its start; empty when the pid file does not tell.
        killed: why it was killed, where it had to be; empty otherwise.
    """

    pid: int
    repo: str = ""
    started_at: str = ""
    killed: str = ""


def running(pid_file: Path) -> Running | None:
    """The daemon that *pid_file* names, if its process is alive and the same one that wrote the file.

    Raises:
        FileDamaged: the file is neither our JSON nor a plain number.
    """
    found = _read(pid_file)
    if found is None:
        return None
    pid, record = found
    if not _is_alive(pid, record) or _is_of_the_original(pid_file, pid, record):
        return None
    return Running(pid, str(record.get("repo_path") or ""), str(record.get("started_at") or ""))


def _is_of_the_original(pid_file: Path, pid: int, record: Mapping[str, object]) -> bool:
    """Whether *pid_file* was copied along with a project whose daemon runs: that one is not ours to stop."""
    repo = str(record.get("repo_path") or "")
    original = Path(repo) / pid_file.relative_to(pid_file.parents[2]) if repo else pid_file
    try:
        if original.samefile(pid_file):
            return False
        found = _read(original)
    except (OSError, FileDamaged):
        return False
    return found is not None and found[0] == pid


def is_answering(socket_path: Path) -> bool:
    """Whether somebody accepts connections on *socket_path*, whatever its length."""
    try:
        connect(socket_path, timeout_s=0.5).close()
    except OSError:
        return False
    return True


def environment(env: Mapping[str, str], *, explicit: bool) -> dict[str, str]:
    """What of *env* a daemon gets; settings only when it is started on purpose."""
    kept = {name: env[name] for name in ENVIRONMENT if name in env}
    if explicit:
        wanted = (name for name in env if name in SETTINGS or name.startswith("THRUM_PLUGINS_"))
        kept.update({name: env[name] for name in wanted})
    return kept


def command(repo: Path, *, local: bool = False, force: bool = False) -> list[str]:
    """The words that run a daemon for *repo* in the foreground."""
    # -P: nothing is imported from the folder that somebody, or a unit, starts it in.
    words = [sys.executable, "-P", "-m", "thrum_kernel", "daemon", "run", "--repo", str(repo)]
    return words + ["--local"] * local + ["--force"] * force


def spawn(words: Sequence[str], *, env: Mapping[str, str], log: Path) -> int:
    """Start *words* as a process of its own: new session, cwd ``/``, no inherited descriptors, output to *log*.

    The process is forked twice, so nobody is left waiting for it and it is no child of the terminal. Returns its pid.

    Raises:
        DaemonError: it could not be started at all.
    """
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A small Python between us and the daemon is the second fork: it prints the daemon's pid and ends.
    middle = (
        "import os,subprocess,sys\n"
        "log=os.open(sys.argv[1],os.O_WRONLY|os.O_CREAT|os.O_APPEND,0o600)\n"
        "p=subprocess.Popen(sys.argv[2:],stdin=subprocess.DEVNULL,stdout=log,stderr=log,cwd='/',"
        "start_new_session=True)\n"
        "print(p.pid,flush=True)\n"
        "os._exit(0)\n"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-IS", "-c", middle, str(log), *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=dict(env),
            cwd="/",
            check=True,
            start_new_session=True,  # Ctrl-C in the terminal is for us, not for what we start
            timeout=SPAWN_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", b"") or str(error).encode()
        raise DaemonError(f"cannot start the daemon: {detail.decode(errors='replace').strip()}") from error
    return int(done.stdout)


def wait_until_up(
    pid: int,
    *,
    is_up: Callable[[], bool],
    log: Path,
    log_size_before: int = 0,
    timeout_s: float = START_TIMEOUT_S,
) -> None:
    """Return once *is_up*; a daemon that ended or does not come up in time is an error with its last words.

    Raises:
        DaemonError: it ended, or *timeout_s* went by.
    """
    deadline = time.monotonic() + timeout_s
    while not is_up():
        ended = not is_running(pid)
        words, hint = _last_words(log, log_size_before) if ended else ("", "")
        # One that ended because another was quicker to take the lock: that one will answer.
        if ended and _LOST_THE_RACE not in words and not is_up():
            raise DaemonError(words or "the daemon ended at once", hint=hint or _see(log))
        if time.monotonic() > deadline:
            raise DaemonError(f"the daemon did not answer within {timeout_s:.0f} s", hint=_see(log))
        time.sleep(_POLL_S)


def stop(
    pid_file: Path, *, timeout_s: float = STOP_TIMEOUT_S, kill: bool = False, why: Callable[[], str] = str
) -> Running | None:
    """End the daemon that *pid_file* names and wait until its process is gone; None when none was running.

    Args:
        kill: end it with SIGKILL when it is still there after *timeout_s*: what it acknowledged is on the disk.
        why: what is known of why it does not end, asked then; empty when nothing is.

    Raises:
        DaemonError: it may not be signalled, or is still there after *timeout_s*.
    """
    found = running(pid_file)
    if found is None:
        return None
    handle = _handle(found.pid)
    _signal(found.pid)
    if handle is None or _gone_within(found.pid, timeout_s):
        return found
    reason = why()
    text = f"daemon (PID {found.pid}) did not stop within {timeout_s:g} s{f': {reason}' if reason else ''}"
    if not kill:
        raise DaemonError(
            text, hint="wait for it, or kill it (nothing sent is lost): thrum daemon stop --force"
        )
    with contextlib.suppress(psutil.NoSuchProcess):
        handle.kill()  # that process and no later one of its number
    if not _gone_within(found.pid, timeout_s):
        raise DaemonError(
            f"daemon (PID {found.pid}) does not end, not even when killed", hint=f"ps -fp {found.pid}"
        )
    return replace(found, killed=text)


def end(pid: int, *, timeout_s: float = STOP_TIMEOUT_S) -> None:
    """End a daemon that was spawned but is not wanted after all; silent when it is gone already."""
    with contextlib.suppress(DaemonError):
        _signal(pid)
        _gone_within(pid, timeout_s)


def _handle(pid: int) -> psutil.Process | None:
    """A process by number and start time; None when it is gone."""
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def _signal(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise DaemonError(
            f"not allowed to stop the daemon (PID {pid})", hint="run as the user who started it"
        ) from error


def _gone_within(pid: int, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while is_running(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def is_running(pid: int) -> bool:
    """Whether a process with this id does anything still; one that only waits to be reaped does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _read(pid_file: Path) -> tuple[int, dict[str, object]] | None:
    try:
        record = read_object(pid_file)
    except FileNotFoundError:
        return None
    except FileDamaged:
        return _plain_number(pid_file)
    pid = record.get("pid")
    if not isinstance(pid, int) or pid <= 0:
        raise FileDamaged(pid_file, "names no pid")
    return pid, record


def _plain_number(pid_file: Path) -> tuple[int, dict[str, object]] | None:
    text = pid_file.read_text(errors="replace").strip()
    if text.isdigit() and int(text) > 0:
        return int(text), {}
    # A file that was being written when its daemon died names nobody.
    with contextlib.suppress(json.JSONDecodeError):
        json.loads(text)
        raise FileDamaged(pid_file, "names no pid")
    return None


def _is_alive(pid: int, record: Mapping[str, object]) -> bool:
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        started = record.get("start_time")
        return not isinstance(started, int | float) or abs(process.create_time() - started) < 1.0
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _last_words(log: Path, before: int) -> tuple[str, str]:
    """Why a daemon ended, and what to do about it; either may be empty."""
    try:
        with log.open("rb") as stream:
            stream.seek(before)
            lines = stream.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return "", ""
    errors = [line for line in lines if "Error" in line or "error" in line]
    chosen = (errors or lines)[-1:]
    return (_ended(chosen[0]), _hint_after(lines, chosen[0])) if chosen else ("", "")


def _ended(line: str) -> str:
    return f"the daemon ended: {line.removeprefix('Error: ')}"


def _hint_after(lines: Sequence[str], line: str) -> str:
    """The hint that stands behind the last *line* of that text; empty when none does."""
    behind = lines[len(lines) - lines[::-1].index(line) :]
    return behind[0].removeprefix("Hint: ") if behind and behind[0].startswith("Hint: ") else ""


def why_it_ended(log: Path) -> DaemonError | None:
    """What a daemon that could not serve said last; None when it said nothing of the kind."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - _LAST_BYTES))
            text = stream.read().decode(errors="replace")
    except OSError:
        return None
    said = text.rpartition(_STARTS)[2]
    lines = said.splitlines()
    errors = [line for line in lines if line.startswith("Error: ")]
    if not errors:
        return None
    return DaemonError(_ended(errors[-1]), hint=_hint_after(lines, errors[-1]) or _see(log))


def _see(log: Path) -> str:
    return f"see {log}"
