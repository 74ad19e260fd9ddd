"""Bugs to plant, one at a time: each makes one real function do what a tired programmer might have written.

A simulation that finds nothing proves nothing until it has found these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from thrum_kernel.commit.requests import RequestIndex
from thrum_kernel.events.core import Recipient
from thrum_kernel.ids import HybridClock, encode_ulid
from thrum_kernel.messaging.receipts import Receipts
from thrum_kernel.projection.rules import messages as message_rules
from thrum_kernel.projection.tables import Tables
from thrum_kernel.store import ranges
from thrum_kernel.store import tree as store_tree
from thrum_kernel.store.journal import Journal
from thrum_kernel.store.purge import Purges
from thrum_kernel.store.units import Unit
from thrum_kernel.sync import merge
from thrum_kernel.sync.cutter import Cutter
from thrum_kernel.sync.holding import Holding
from thrum_kernel.sync.ingest import Ingest
from thrum_kernel.sync.namesake import Namesakes

Plant = Callable[[pytest.MonkeyPatch], None]


def dropped_file(patch: pytest.MonkeyPatch) -> None:
    """A merge leaves out one file in eight."""
    real = merge.wanted

    def wanted(*args: Any) -> list[Unit]:
        return [unit for unit in real(*args) if unit.digest[0] not in "07"]

    patch.setattr(merge, "wanted", wanted)


def lost_tombstone(patch: pytest.MonkeyPatch) -> None:
    """What another clone deleted or purged is not noted here."""
    patch.setattr(merge, "purges_in", lambda lines: Purges())
    patch.setattr(merge, "is_purging", lambda data: False)


def answered_before_synced(patch: pytest.MonkeyPatch) -> None:
    """An event is acknowledged when it is written, not when it is synced."""

    def store(self: Journal, data: bytes) -> None:
        self._file.write(data)

    patch.setattr(Journal, "_store", store)


def clock_goes_back(patch: pytest.MonkeyPatch) -> None:
    """Ids follow the wall clock, wherever that goes."""

    def next_ulid(self: HybridClock) -> str:
        return encode_ulid(self._clock.now_us() // 1000 << 80 | int.from_bytes(self._random(10), "big"))

    patch.setattr(HybridClock, "next_ulid", next_ulid)


def deaf_clock(patch: pytest.MonkeyPatch) -> None:
    """Ids are not numbered above those that came from elsewhere."""
    patch.setattr(Ingest, "_observe", lambda self, event: None)


def audience_resolved_late(patch: pytest.MonkeyPatch) -> None:
    """Everyone is whoever is there when a message comes, not who was there when it was sent."""
    real = message_rules.insert_deliveries

    def insert(tables: Tables, key: int, recipients: list[Recipient], author: int, created_us: int) -> None:
        if any(recipient.via == "broadcast" for recipient in recipients):
            rows = tables.db.execute(
                "SELECT a.name, d.daemon_id, a.incarnation FROM agent a JOIN daemon d ON d.id = a.daemon"
                " WHERE a.registered_us IS NOT NULL AND a.deleted_us IS NULL AND a.id <> ?",
                (author,),
            )
            recipients = [Recipient(*row, "broadcast") for row in rows.fetchall()]
        real(tables, key, recipients, author, created_us)

    patch.setattr(message_rules, "insert_deliveries", insert)


def receipt_without_breaks(patch: pytest.MonkeyPatch) -> None:
    """A receipt runs over what its reader has not read."""
    patch.setattr(Receipts, "_breaks", lambda *args: [])


def receipts_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Read marks leave `local.db` without having been journalled."""
    patch.setattr(Receipts, "_packed", lambda self, rows: [])


def purged_text_comes_back(patch: pytest.MonkeyPatch) -> None:
    """What comes from a clone that was away is not held against earlier purges."""
    patch.setattr(Cutter, "known_purges", property(lambda self: Purges()))


def roll_up_forgets_an_agent(patch: pytest.MonkeyPatch) -> None:
    """A roll-up leaves out the first message file of each unit."""
    real = ranges.roll_up

    def roll_up(tree: Any, units: Sequence[Unit]) -> Unit:
        write = tree.write_unit

        def without_first(*args: Any, **rest: Any) -> Unit:
            *others, shards = args
            return write(*others, dict(list(shards.items())[1:]), **rest)

        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(tree, "write_unit", without_first)
            return real(tree, units)

    patch.setattr(ranges, "roll_up", roll_up)


def retry_sends_twice(patch: pytest.MonkeyPatch) -> None:
    """A retry does not find what its first try had stored."""
    patch.setattr(RequestIndex, "find", lambda self, request_id: [])


def waiting_receipts_lost(patch: pytest.MonkeyPatch) -> None:
    """A receipt that comes before its message does not wait for it."""
    patch.setattr(Tables, "keep_range", lambda self, mark: None)


def unit_before_its_messages(patch: pytest.MonkeyPatch) -> None:
    """A cut writes the events file first, and then the message files that it lists."""
    real, real_all = store_tree.write_new, store_tree.write_all
    later: list[tuple[Any, list[tuple[Any, bytes]], Any]] = []

    def write_all(disk: Any, files: Any, *, temporary: Any) -> None:
        later.append((disk, list(files), temporary))

    def write_new(disk: Any, path: Any, data: bytes, *, temporary: Any) -> None:
        real(disk, path, data, temporary=temporary)
        while later:
            disk, files, temporary = later.pop()
            real_all(disk, files, temporary=temporary)

    patch.setattr(store_tree, "write_all", write_all)
    patch.setattr(store_tree, "write_new", write_new)


def held_line_travels(patch: pytest.MonkeyPatch) -> None:
    """What looks like a credential is published like anything else."""
    patch.setattr(Holding, "reasons", lambda self, line: ())


def namesake_unnoticed(patch: pytest.MonkeyPatch) -> None:
    """A daemon does not look who else writes under its id."""
    patch.setattr(Namesakes, "look", lambda self, units: None)


BUGS: dict[Plant, int] = {
    dropped_file: 0,
    lost_tombstone: 2,
    answered_before_synced: 0,
    clock_goes_back: 0,
    deaf_clock: 8,
    audience_resolved_late: 0,
    receipt_without_breaks: 5,
    receipts_forgotten: 0,
    purged_text_comes_back: 2,
    roll_up_forgets_an_agent: 0,
    retry_sends_twice: 3,
    waiting_receipts_lost: 0,
    unit_before_its_messages: 7,
    held_line_travels: 0,
    namesake_unnoticed: 0,
}
"""Every bug, with the first story to look for it in: one that showed it when this was written."""
