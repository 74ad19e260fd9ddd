"""The secret scan as the configuration wants it: on or off, with a team's own patterns and what it allows."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from thrum_kernel.errors import ThrumError
from thrum_kernel.settings.bounded_regex import MOST_WORK, compile_bounded
from thrum_kernel.settings.core import Sync
from thrum_kernel.sync.secrets import Pattern, Scanner, shipped

AT_ONCE_BYTES: Final = 16 * 1024
"""Longer lines are scanned in a thread."""

_log = logging.getLogger(__name__)


class SecretScan:
    """Scans by what is configured now; may be used from several threads.

    While the configuration cannot be read, what was read last holds, and before that what ships: a mistake in a file
    must not let a secret out.

    Args:
        settings: the stanza ``daemon.sync``; asked for every line.
    """

    def __init__(self, settings: Callable[[], Sync]) -> None:
        self._settings = settings
        self._last: tuple[Sync, Scanner] | None = None

    def is_short(self, line: bytes) -> bool:
        """Whether `matched` takes so little that the loop may wait for it."""
        return len(line) <= AT_ONCE_BYTES and self._current()[1].work(len(line)) <= MOST_WORK

    def matched(self, line: bytes) -> tuple[str, ...]:
        """Ids of the patterns that a line matches, for which it must not travel; none when nothing is scanned."""
        settings, scanner = self._current()
        return scanner.matched(line) if settings.secret_scan else ()

    def matched_in(self, text: str) -> tuple[str, ...]:
        """The same for a text that travels beside the log."""
        settings, scanner = self._current()
        return scanner.matched_in((text,)) if settings.secret_scan else ()

    def excerpt(self, line: bytes) -> str:
        """What stands in front of the first credential of a line; empty when the patterns find none any more."""
        return self._current()[1].excerpt(line)

    def _current(self) -> tuple[Sync, Scanner]:
        last = self._last
        try:
            settings = self._settings()
        except ThrumError as error:  # doctor and `config show` tell what is wrong with it
            _log.debug("the secret scan goes by what was configured before: %s", error)
            settings = last[0] if last is not None else Sync()
        if last is None or (last[0] is not settings and last[0] != settings):
            last = (settings, _scanner(settings))
            self._last = last
        return last


def _scanner(settings: Sync) -> Scanner:
    own = [
        Pattern(entry.id, entry.description, compile_bounded(entry.regex), entropy=entry.entropy)
        for entry in settings.secret_patterns
    ]
    return Scanner([*shipped(), *own], allowed=[compile_bounded(text) for text in settings.secret_allow])
