"""How long the history of the branch may become: when it is begun anew, and what the remote said against it.

Merging goes by content, never by ancestry, so nobody needs the commits below the newest one. Beginning anew replaces
them by one commit that has no parent and holds the same files. Every commit tells in its last line how many there are
since the last beginning, so that nobody has to count them.

A remote that forbids it (a protected branch, no force-push) is not asked again for a week: the branch goes on growing,
and `sync status` says so.

Source: DESIGN.md D1, "History is bounded by re-rooting"; issue "Sync", "Bounded history".
"""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from thrum_kernel import jsonio
from thrum_kernel.clock import Clock, format_us, parse_us
from thrum_kernel.errors import FileDamaged
from thrum_kernel.settings.core import Sync

_log = logging.getLogger(__name__)

ASK_AGAIN_US: Final = 7 * 86_400 * 1_000_000
"""How long a remote that did not take a new beginning is left alone."""

APART_US: Final = 3600 * 1_000_000
"""Purges that follow each other make the history begin anew once in this time, not each of them."""

_COUNT: Final = re.compile(r"^Thrum-History: ([1-9]\d{0,8})$", re.MULTILINE)


def numbered(message: str, commits: int) -> str:
    """*message* of a commit with the line that tells how many commits there are up to it."""
    return f"{message}Thrum-History: {commits}\n"


def number_in(message: str) -> int | None:
    """How many commits there are up to the one with this *message*; None when it does not tell."""
    match = _COUNT.search(message)
    return int(match[1]) if match is not None else None


class History:
    """When the history of one daemon's branch is to begin anew. Small questions, asked on the loop or in a thread.

    Args:
        file: where it is remembered, `T/history.json`; without it nothing is lost but a question asked twice.
        settings: `daemon.sync` of the configuration as it is now.
        clock: for what is remembered.
        spread: a number from 1.0 up; the most commits are multiplied by it, so that not all clones begin at once.
    """

    def __init__(
        self,
        file: Path,
        *,
        settings: Callable[[], Sync],
        clock: Clock,
        spread: Callable[[], float] = lambda: random.uniform(1.0, 1.25),
    ) -> None:
        self._file = file
        self._settings = settings
        self._clock = clock
        self._spread = spread
        self._factor = spread()
        self._known = self._read()

    @property
    def is_owed(self) -> bool:
        """Whether a purge asks for a new beginning, and enough time has passed since the last one."""
        if not self._known.get("owed") or not self._settings().reroot_after_purge:
            return False
        return not self._is_within("begun_at", APART_US)

    def why(self, remote: str, commits: int) -> str:
        """Why the history of a branch with so many *commits* is to begin anew now; empty when it is not."""
        if self.refusal(remote):
            return ""
        if self.is_owed:
            return "something was purged"
        most = self._settings().reroot_commits
        if most and commits >= max(2, most * self._factor):
            return f"it has {commits} commits, and {most} are enough"
        return ""

    def refusal(self, remote: str) -> str:
        """What *remote* said when it did not take a new beginning, while it is not asked again; else empty."""
        if self._known.get("remote") != remote or not self._is_within("refused_at", ASK_AGAIN_US):
            return ""
        return str(self._known.get("reason") or "")

    def owe(self) -> None:
        """Something was purged that older commits still hold."""
        self._remember(owed=True)

    def begun(self) -> None:
        """It was begun anew."""
        self._factor = self._spread()
        stamp = format_us(self._clock.now_us())
        self._remember(owed=False, begun_at=stamp, remote="", refused_at="", reason="")

    def refused(self, remote: str, reason: str) -> None:
        """*remote* did not take a new beginning."""
        _log.warning("sync: %s does not let the history begin anew, so it grows: %s", remote, reason)
        self._remember(remote=remote, refused_at=format_us(self._clock.now_us()), reason=reason)

    def _is_within(self, key: str, span_us: int) -> bool:
        """Whether the time kept under *key* is not longer ago than *span_us*; a time in the future does not count."""
        try:
            since_us = self._clock.now_us() - parse_us(str(self._known.get(key) or ""))
        except ValueError:
            return False
        return 0 <= since_us < span_us

    def _read(self) -> dict[str, Any]:
        try:
            return jsonio.read_object(self._file)
        except (FileNotFoundError, FileDamaged):
            return {}

    def _remember(self, **facts: object) -> None:
        known = {**self._known, **facts}
        if known == self._known:
            return
        self._known = known
        try:
            jsonio.write_object(self._file, known)
        except OSError as error:
            _log.warning(
                "%s could not be written: %s", self._file, error
            )  # it is asked again after a restart
