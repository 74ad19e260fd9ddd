"""Projects lines into the cache as they come, on the loop's thread.

Any order, and any number of times, gives the same cache.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from thrum_kernel import ids
from thrum_kernel.clock import Clock, SystemClock
from thrum_kernel.events import Event, EventTypes
from thrum_kernel.events.core import MessageCreate
from thrum_kernel.projection import queries
from thrum_kernel.projection.db import Cache
from thrum_kernel.projection.intake import Intake, PluginRule, line_hash
from thrum_kernel.projection.rules.receipts import forget_resolved
from thrum_kernel.projection.tables import LogLine, Projected, Tables

__all__ = ["Applied", "Projected", "Projector", "is_sender"]

_log = logging.getLogger(__name__)

_KEPT_CHANGES = 4096
"""Entries of ``change`` that the full-text index has taken are removed once there are this many."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of a batch.

    Attributes:
        events: those that count now, in order; also earlier ones that had waited for these.
        in_doubt: of two lines with one id the other one counts: rebuild the cache.
    """

    events: tuple[Event, ...] = ()
    in_doubt: bool = False


def is_sender(name: str) -> bool:
    """Whether a name may write without being registered: the kernel's own senders and those of plugins and peers."""
    if name.startswith("user:"):
        return False
    return name in ("system", "daemon", "thrum") or name.startswith("supervisor_") or ":" in name


class Projector:
    """Writes the cache.

    Attributes:
        projectors: rules of plugins by payload type; may be added to while it works.
    """

    def __init__(
        self,
        cache: Cache,
        types: EventTypes,
        projectors: Mapping[type[Any], PluginRule] | None = None,
        *,
        clock: Clock | None = None,
        is_sender: Callable[[str], bool] = is_sender,
    ) -> None:
        """A projector of events of *types*.

        Args:
            projectors: rules of plugins by payload type, ``(connection, event)``, run in the same transaction.
            is_sender: says which names may write without being registered.
        """
        self.projectors: dict[type[Any], PluginRule] = dict(projectors or {})
        self._cache = cache
        self._types = types
        self._clock = clock or SystemClock()
        self._is_sender = is_sender
        self._tables: Tables | None = None
        self._trimmed = 0

    @property
    def cache(self) -> Cache:
        """The cache it writes."""
        return self._cache

    @property
    def cutoff_us(self) -> int:
        """Messages with an earlier timestamp are purged, microseconds; 0 when none are.

        Raises:
            Projecting: the cache is being rebuilt.
        """
        db = self._cache.connection
        tables = self._tables
        if tables is None or tables.db is not db:
            tables = self._tables = Tables(db, is_sender=self._is_sender)
        return tables.cutoff_us

    def apply(self, items: Sequence[Projected]) -> Applied:
        """Project a batch in one transaction; places that were taken before are passed over.

        Raises:
            Projecting: the cache is being rebuilt; nothing happened.
            sqlite3.Error: the cache cannot be written; nothing happened.
        """
        now_us = self._clock.now_us()

        def take(intake: Intake) -> None:
            for item in items:
                intake.take(item, now_us)
                intake.release()

        return self._run(take)

    def apply_lines(self, lines: Iterable[LogLine]) -> Applied:
        """`apply` for lines as they lie in the log; one that is no event is kept and shown as refused."""
        now_us = self._clock.now_us()

        def take(intake: Intake) -> None:
            for writer, daemon, sequence, line in lines:
                try:
                    event = self._types.decode(line)
                except msgspec.MsgspecError as error:
                    intake.refuse(writer, daemon, sequence, line, str(error))
                    continue
                intake.take(Projected(writer, daemon, sequence, event, line), now_us)
                intake.release()

        return self._run(take)

    def recognise(self, event: Event, line: bytes) -> None:
        """Note that *line* is the one by which a message counts, before it comes again: a rebuild keeps no hashes.

        Raises:
            Projecting: the cache is being rebuilt; nothing happened.
        """
        if isinstance(event, MessageCreate):
            key = queries.message_key(self._cache, event.ulid)
            with self._cache.transaction() as db:
                db.execute(
                    "UPDATE message SET hash = ? WHERE id = ? AND hash IS NULL",
                    (line_hash(line, event.sequence), key),
                )

    def release(self) -> Applied:
        """Project what was kept for being ahead and is not any more."""
        limit = ids.encode_ulid((self._clock.now_us() // 1000 + ids.MAX_AHEAD_MS + 1) << 80)
        subjects = self._cache.read("SELECT subject FROM held WHERE kind = 'ahead' AND subject < ?", (limit,))
        if not subjects:
            return Applied()

        def retry(intake: Intake) -> None:
            for (subject,) in sorted(subjects):
                intake.retry("ahead", subject)
                intake.release()

        return self._run(retry)

    def take_up_types(self) -> Applied:
        """Project what was kept for want of its type, where that is known now."""
        kept = self._cache.read("SELECT DISTINCT subject FROM held WHERE kind = 'type' ORDER BY subject")
        subjects = [subject for (subject,) in kept if subject in self._types]
        if not subjects:
            return Applied()

        def retry(intake: Intake) -> None:
            for subject in subjects:
                intake.retry("type", subject)
                intake.release()

        return self._run(retry)

    def _run(self, work: Callable[[Intake], None]) -> Applied:
        with self._cache.transaction() as db:
            tables = self._tables
            if tables is None or tables.db is not db:
                tables = Tables(db, is_sender=self._is_sender)
            # Dropped until all went well: what it remembers may be rolled back.
            self._tables = None
            tables.begin()
            intake = Intake(tables, self._types, projectors=self.projectors)
            work(intake)
            tables.save_places()
            forget_resolved(tables)
            self._trim_changes(tables)
        self._tables = tables
        if tables.is_soiled:
            self._cache.scrub()
        if intake.losers:
            _log.warning(
                "two lines have one event id: %s", ", ".join(f"evt_{ulid}" for ulid, _ in intake.losers)
            )
        return Applied(tuple(intake.counted), bool(intake.losers))

    def _trim_changes(self, tables: Tables) -> None:
        done = self._cache.indexed_change
        if abs(done - self._trimmed) >= _KEPT_CHANGES:
            tables.db.execute("DELETE FROM change WHERE id <= ?", (done,))
            self._trimmed = done
