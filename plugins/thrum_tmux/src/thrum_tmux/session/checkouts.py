"""What git says of a folder that a session is to live in. Blocking."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from thrum_kernel.api import quiet_git

_ASK: Final = ("rev-parse", "--path-format=absolute", "--show-toplevel", "--git-dir", "--git-common-dir")
_ANSWER_S: Final = 10.0
_ELSEWHERE: Final = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
)
"""What git itself sets for a hook; a daemon that was started by one has them."""


@dataclass(frozen=True, slots=True)
class Checkout:
    """A checkout of a repository.

    Attributes:
        root: its root, resolved.
        common: the folder that all checkouts of the repository share, resolved.
        is_linked: it is a linked worktree, not the main checkout.
    """

    root: Path
    common: Path
    is_linked: bool


def checkout(folder: Path) -> Checkout | None:
    """The checkout that *folder* lies in; None when it lies in none, or git cannot tell."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *_ASK],
            env={**_own(os.environ), **quiet_git(only_looks=True)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.split(b"\n")
    if done.returncode != 0 or len(lines) < 3:
        return None
    root, git_dir, common = (Path(line.decode(errors="surrogateescape")).resolve() for line in lines[:3])
    return Checkout(root, common, is_linked=git_dir != common)


def _own(env: Mapping[str, str]) -> dict[str, str]:
    """*env* without what would have git answer for another repository than the one that it stands in."""
    return {name: value for name, value in env.items() if name not in _ELSEWHERE}
