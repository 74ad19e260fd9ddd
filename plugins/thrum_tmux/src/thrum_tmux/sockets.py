"""Where a tmux server listens, told before tmux is.

A tmux that begins a server deletes whatever lies where its socket goes, a person's file or a device included (tried with
3.3a, ``tmux -S FILE new-session``).
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Final

from thrum_tmux.errors import NotASocket, SocketTooLong

LONGEST: Final = 103 if sys.platform == "darwin" else 107
"""Bytes of a path that a socket can have: its field in the system's address holds a zero byte, too."""


def check_socket(path: str | Path) -> None:
    """Whether tmux may be given *path*: a socket is there, or nothing. Blocking, one look at the disk.

    Raises:
        SocketTooLong: none can be there.
        NotASocket: something else is.
    """
    if len(os.fsencode(path)) > LONGEST:
        raise SocketTooLong(str(path), LONGEST)
    try:
        mode = Path(path).stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise NotASocket(str(path), f"cannot be looked at: {error.strerror}") from error
    if not stat.S_ISSOCK(mode):
        raise NotASocket(str(path), "is there and is no socket: tmux would delete it")
