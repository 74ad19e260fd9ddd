"""A daemon that a command needs and that is not there is started, unless it was stopped on purpose.

Only one command at a time does so: the others wait for it and find the daemon running. How a daemon is started
(double fork, nothing inherited, a clean environment) is `process`.

Source: DESIGN.md D4.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from thrum_kernel.api import Api
from thrum_kernel.bus import address
from thrum_kernel.cli import process
from thrum_kernel.errors import (
    DaemonError,
    DaemonNotRunning,
    DaemonUnreachable,
    Projecting,
    ShuttingDown,
    ThrumError,
)
from thrum_kernel.paths import Paths

CONNECT_S: Final = 5.0
PATIENCE_S: Final = 0.5
POLL_S: Final = 0.1
NOTHING_YET: Final = str(Projecting(0))
RESTART_S: Final = 5.0
"""How long a daemon that went away is given to be back before another is started."""


ANOTHER_S: Final = 30.0
"""How long another command may take to start the daemon; it gives up earlier itself."""


def is_up(paths: Paths, *, connect: Callable[..., socket.socket] = address.connect) -> bool:
    """Whether a daemon takes connections.

    Raises:
        DaemonUnreachable: the system forbids to ask; no daemon is started then.
    """
    try:
        connect(paths.socket, timeout_s=CONNECT_S).close()
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            raise DaemonUnreachable(
                f"cannot reach the daemon: {error.strerror}: {paths.socket}",
                hint="the daemon is another user's, or this program runs in a sandbox without access to it",
            ) from error
        return False
    return True


def ensure(paths: Paths, env: Mapping[str, str]) -> None:
    """Return once a daemon takes connections, started if there was none.

    Raises:
        DaemonNotRunning: there is none, and it was stopped on purpose or ``daemon.autostart`` is off.
        DaemonError: it did not come up, or cannot be reached.
    """
    if is_up(paths):
        return
    if paths.socket_override is not None:  # one that is started listens at the repository's own socket
        raise DaemonUnreachable(
            f"no daemon listens at {paths.socket_override} (THRUM_SOCKET)", hint="unset THRUM_SOCKET"
        )
    if paths.stopped.exists():
        raise DaemonNotRunning(stopped=True)
    if not _is_wanted(paths):
        raise DaemonNotRunning
    with _alone(paths):
        if not is_up(paths):
            _start(paths, env)


def wait_for_the_next(paths: Paths, env: Mapping[str, str]) -> None:
    """Return once a daemon takes connections again, the one that is being restarted or else one that is started.

    Raises:
        DaemonNotRunning, DaemonError: as `ensure`.
    """
    deadline = time.monotonic() + RESTART_S
    while not is_up(paths) and not paths.stopped.exists() and time.monotonic() < deadline:
        time.sleep(POLL_S)
    ensure(paths, env)


def wait_until_projected(
    api: Api, say: Callable[[str], None], *, log: Path, patience_s: float = PATIENCE_S
) -> None:
    """Return once the daemon has its cache; tells the progress of a rebuild whenever it changes.

    A start that takes no longer than *patience_s* is not worth a word, and neither is one that has projected nothing
    yet: there may be nothing to project. One that cannot make its cache is not waited for: it says so when it is asked
    for something.

    Args:
        log: where it said why, if it ended.

    Raises:
        ThrumError: it cannot be asked, or ended.
    """
    told = ""
    speak_from = time.monotonic() + patience_s
    while progress := _progress(api, log):
        if progress not in (told, NOTHING_YET) and time.monotonic() >= speak_from:
            told = progress
            say(told)
        time.sleep(POLL_S)


def version_skew(api: Api, version: str) -> str:
    """What to tell when the daemon runs another version than *version*; empty when it does not."""
    try:
        health = api.call("health")
    except ThrumError:
        return ""
    theirs = str(health.get("version", "")).partition("+")[0]
    if theirs in ("", version):
        return ""
    return f"the daemon runs thrum {theirs}, this is {version}: run `thrum daemon restart`"


def _progress(api: Api, log: Path) -> str:
    """``projecting 43 %`` while the daemon rebuilds its cache, else nothing."""
    try:
        health = api.call("health")
    except Projecting as error:
        return str(error)
    except (DaemonNotRunning, DaemonUnreachable, ShuttingDown) as error:  # it was there a moment ago
        raise process.why_it_ended(log) or error from error
    states = (str(health.get(key, "")) for key in ("status", "sync_state"))
    return next((state for state in states if state.startswith("projecting")), "")


def _start(paths: Paths, env: Mapping[str, str]) -> None:
    before = paths.log.stat().st_size if paths.log.exists() else 0
    words = process.command(paths.repo)
    pid = process.spawn(words, env=process.environment(env, explicit=False), log=paths.log)
    process.wait_until_up(pid, is_up=lambda: is_up(paths), log=paths.log, log_size_before=before)


def _is_taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_wanted(paths: Paths) -> bool:
    from thrum_kernel.settings.document import SettingsFile

    return SettingsFile(paths.config).daemon.autostart


@contextlib.contextmanager
def _alone(paths: Paths) -> Iterator[None]:
    """Hold the right to start this repository's daemon.

    Raises:
        DaemonError: whoever has it does not come to an end.
    """
    paths.var.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = paths.var / "starting"
    descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + ANOTHER_S
        while not _is_taken(descriptor):
            if time.monotonic() > deadline:
                raise DaemonError(
                    f"another command has been starting the daemon for {ANOTHER_S:g} s", hint=f"fuser {place}"
                )
            time.sleep(POLL_S / 4)
        yield
    finally:
        os.close(descriptor)
