"""``python -m thrum_kernel``: what the ``thrum`` script becomes where the daemon cannot run a command.

The only place that starts the daemon itself (``daemon run``); the command line never imports it.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from thrum_kernel.api import Api, Invocation
    from thrum_kernel.cli.app import Tree
    from thrum_kernel.client import SocketApi
    from thrum_kernel.paths import Paths


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(130)


if __name__ == "__main__":
    # Amid imports an exception would show a traceback, and nothing is to be taken back yet. The thin client blocked it.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    gc.disable()  # an eighth of the time that imports take, and they leave no garbage; see `_collect_again`


def main() -> int:
    """Run one command; gives its exit status."""
    argv = sys.argv[1:]
    if argv[:2] == ["daemon", "run"] and not {"-h", "--help"} & set(argv):
        from thrum_kernel.daemon.process import main as run_daemon

        return run_daemon(argv[2:])
    from thrum_kernel.cli import local
    from thrum_kernel.cli.plugged import whole_tree

    def tree() -> Tree:
        made = whole_tree(os.environ, _here(), argv)
        _collect_again()
        return made

    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return local.main(argv, os.environ, make_tree=tree, connect=_connect, offline=_offline)


def _collect_again() -> None:
    """Collect garbage from now on, without looking at what was imported."""
    gc.freeze()
    gc.enable()


def _here() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:  # removed under us: there is no project to be found
        return Path("/")


def _connect(socket: Path, request_id: str, token: str) -> SocketApi:
    from thrum_kernel.client import SocketApi

    return SocketApi(socket, request_id=request_id, token=token)


def _offline(inv: Invocation, paths: Paths) -> Api:
    from thrum_kernel.daemon.offline import OfflineApi

    return OfflineApi(inv, paths)


if __name__ == "__main__":
    sys.exit(main())
