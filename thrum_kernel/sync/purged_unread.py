"""Messages of agents here that a purge of another clone takes away before anybody read them: their senders are told.

A clone that was away may hold what it acknowledged and nobody else ever saw; a purge that was made meanwhile takes that
out, too. Source: spec/decisions.md, "Messaging".
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, NamedTuple

from thrum_kernel.clock import parse_us
from thrum_kernel.errors import ThrumError
from thrum_kernel.projection.db import Cache
from thrum_kernel.store.purge import is_purging, purges_in

_log = logging.getLogger(__name__)

Tell = Callable[[str, Sequence[str]], Awaitable[object]]
"""Sends a text of the daemon's to agents of these names; raises ThrumError."""

SHOWN: Final = 3

_UNREAD: Final = """
SELECT a.name, m.id, r.name
FROM message m
JOIN agent a ON a.id = m.author AND a.registered_us IS NOT NULL AND a.deleted_us IS NULL
JOIN daemon h ON h.id = a.home AND h.daemon_id = ?
JOIN delivery d ON d.message = m.id AND d.agent <> m.author AND d.hidden = 0
JOIN agent r ON r.id = d.agent
WHERE m.created_us < ? AND NOT EXISTS (
    SELECT 1 FROM delivery o WHERE o.message = m.id AND o.agent <> m.author AND o.read_us IS NOT NULL)
"""


class Unread(NamedTuple):
    """What one agent wrote and nobody read.

    Attributes:
        author: its name.
        messages: how many.
        recipients: names of those they were for, sorted.
    """

    author: str
    messages: int
    recipients: tuple[str, ...]


def cutoff_in(lines: Iterable[bytes]) -> str:
    """The latest cutoff of the purges among *lines*; empty when there is none."""
    return purges_in(line for line in lines if is_purging(line)).cutoff


def unread_before(cache: Cache, daemon: str, cutoff: str) -> list[Unread]:
    """What agents that live on *daemon* wrote before *cutoff* and none of its recipients has read, as far as is known.

    Raises:
        Projecting: the cache is being rebuilt.
    """
    if not cutoff:
        return []
    messages: dict[str, set[int]] = {}
    recipients: dict[str, set[str]] = {}
    for author, message, recipient in cache.read(_UNREAD, (daemon, parse_us(cutoff))):
        messages.setdefault(author, set()).add(message)
        recipients.setdefault(author, set()).add(recipient)
    return [
        Unread(author, len(found), tuple(sorted(recipients[author])))
        for author, found in sorted(messages.items())
    ]


async def tell_senders(found: Sequence[Unread], cutoff: str, tell: Tell) -> None:
    """Tell each author what went; who cannot be told is logged."""
    for each in found:
        text = told(each, cutoff)
        _log.warning("@%s: %s", each.author, text)
        try:
            await tell(text, [each.author])
        except ThrumError as error:
            _log.warning("@%s could not be told: %s", each.author, error)


def told(found: Unread, cutoff: str) -> str:
    """What its author is told."""
    names = ", ".join(f"@{name}" for name in found.recipients[:SHOWN])
    more = f" and {len(found.recipients) - SHOWN} more" if len(found.recipients) > SHOWN else ""
    many = "1 message" if found.messages == 1 else f"{found.messages} messages"
    return (
        f"A purge of another clone (everything before {cutoff}) took away {many} of yours that nobody is known to have"
        f" read, to {names}{more}. Send again what still matters."
    )
