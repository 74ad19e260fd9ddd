"""The daemon as a process: its words, the log it opens, its loop and its signals, and how it leaves.

Source: DESIGN.md "The house", D3; issue "Kernel", "Daemon".
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import sqlite3
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from thrum_kernel import __version__, paths
from thrum_kernel.clock import SystemClock
from thrum_kernel.daemon import logs
from thrum_kernel.daemon.main import KERNEL_MIGRATIONS, Daemon
from thrum_kernel.daemon.opened import Opened
from thrum_kernel.daemon.renewing import renew
from thrum_kernel.errors import DaemonError, StoreLocked, ThrumError, disk_full
from thrum_kernel.settings.document import SettingsFile

_log = logging.getLogger(__name__)

LOCK_PATIENCE_S: Final = 6.0
AGAIN: Final = 75
"""The daemon goes on under a new id: in this process, or, where that has to end, in the next one."""
SWITCH_S: Final = 0.0005
"""How long a thread that computes (publishing, indexing, a command) may keep the loop from answering."""


def main(argv: Sequence[str]) -> int:
    """``daemon run``: serve until SIGTERM or SIGINT; gives the exit status."""
    _heed_signals()
    try:
        where = _paths_of(argv)
        _check_name(where)
        settings_level = _log_level(where)
        opened = _open(where, argv)
    except (ThrumError, OSError, sqlite3.Error) as error:
        _tell(error)
        return 1
    logs.set_up(where.log, settings_level)
    _raise_file_limit()
    sys.setswitchinterval(SWITCH_S)
    while (status := _run(opened)) == AGAIN:
        before = opened.known.identity
        try:
            opened = _open(where, argv)
        except (ThrumError, OSError, sqlite3.Error) as error:
            _log.error("cannot begin again under the new id: %s", error)
            return 1
        opened.known = replace(opened.known, told="copied", previous=before)
    return status


def _heed_signals() -> None:
    """Be ended by whoever asks, and let what we start be.

    A shell has its background jobs ignore Ctrl-C, and what is ignored stays so in every program that is started from
    there, this one and its own among them.
    """
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def _run(opened: Opened) -> int:
    """Serve from start to stop; the exit status, or `AGAIN` when a new id was written down."""
    try:
        _log.info("daemon %s of thrum %s starts (PID %d)", opened.daemon_id, __version__, os.getpid())
        with _runner() as runner:
            return runner.run(_serve(opened))
    finally:
        opened.close()


def _paths_of(argv: Sequence[str]) -> paths.Paths:
    words = list(argv)
    repo = words[words.index("--repo") + 1] if "--repo" in words[:-1] else None
    env = {name: os.environ[name] for name in ("HOME", "THRUM_HOME") if name in os.environ}
    return paths.find(Path.cwd(), repo=repo, env=env)


def _check_name(where: paths.Paths) -> None:
    if not where.is_initialized:
        raise DaemonError(f"thrum is not initialized in {where.repo}", hint="run: thrum init")


def _tell(error: Exception) -> None:
    """The last words: whoever started us reads them in the log."""
    told = disk_full(error) or error
    print(f"Error: {told}", file=sys.stderr)
    if isinstance(told, ThrumError) and told.hint:
        print(f"Hint: {told.hint}", file=sys.stderr)


def _log_level(where: paths.Paths) -> str:
    try:
        return str(SettingsFile(where.config).get("daemon.log_level").value)
    except ThrumError:
        return "info"  # a damaged configuration is told by what needs it


def _open(where: paths.Paths, argv: Sequence[str]) -> Opened:
    """Open the project; a daemon whose socket was taken away gets a moment to notice and to leave."""
    deadline = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            return Opened.open(
                where,
                clock=SystemClock(),
                env=os.environ,
                migrations=KERNEL_MIGRATIONS,
                local_only="--local" in argv,
            )
        except StoreLocked:
            if where.socket.exists() or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _raise_file_limit() -> None:
    """A connection holds two descriptors: have as many as the system lets us."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS names a hard limit that it does not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _runner() -> asyncio.Runner:
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


async def _serve(opened: Opened) -> int:
    daemon = Daemon(opened, clock=SystemClock())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.ended.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    try:
        await daemon.start()
    except (ThrumError, OSError, sqlite3.Error) as error:
        _log.exception("the daemon cannot start")
        _tell(error)
        await _stop(daemon)
        return _left(daemon, 1)
    _log.info("ready")
    await daemon.ended.wait()
    _log.info("stopping")
    if not daemon.doubt.has_lost:
        await _stop(daemon)
        return _left(daemon, 0)
    has_said_all = await _say_the_rest(daemon)
    await _stop(daemon)
    if has_said_all and not await asyncio.to_thread(
        renew, opened, daemon.message_types, scan=daemon.secrets.matched
    ):
        return _left(daemon, 1)
    return _left(daemon, AGAIN)


async def _say_the_rest(daemon: Daemon) -> bool:
    """Say what the rooms still have to say, under the old id, for nobody could say it under a new one.

    False: it cannot be said now. Then the id stays for now: the daemon begins again, and notices the other one again.
    """
    try:
        await daemon.messaging.journal_receipts()
        await daemon.publisher.cut_now()
    except ThrumError as error:
        _log.error("the id stays for now: %s", error)
        return False
    return True


async def _stop(daemon: Daemon) -> None:
    try:
        await daemon.stop()
    except Exception:  # noqa: BLE001 - the process ends all the same; what is durable is durable
        _log.exception("while stopping")
    _log.info("stopped")


def _left(daemon: Daemon, status: int) -> int:
    """The exit status; ends the process here and now where a plugin's work cannot be ended: all else is given back."""
    if daemon.plugged.is_entangled:
        daemon.opened.close()
        logging.shutdown()
        os._exit(status)
    return status
