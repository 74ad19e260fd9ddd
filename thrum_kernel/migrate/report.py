"""What a migration found, did and left, as it is told and kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Final

from thrum_kernel.migrate.facts import DAMAGED, Kept
from thrum_kernel.migrate.gathered import Gathered

ORDER: Final = (
    "messages",
    "edits",
    "deletions",
    "receipts",
    "threads",
    "agents",
    "registrations",
    "deletions of agents",
    "sessions",
    "ends of sessions",
    "work contexts",
    "groups",
    "members of groups",
    "changes of groups",
    "deletions of groups",
    "purges",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of record.

    Attributes:
        found: how many there are in the earlier layouts, each counted once.
        before: how many of all kinds of such records the log had of earlier layouts.
        new: how many are written, or would be.
        purged: how many are older than a purge, or of a message that was purged.
        kept: how many have no place in the log and are kept beside it.
        after: how many the log has then.
    """

    kind: str
    found: int
    before: int
    new: int
    purged: int
    kept: int
    after: int


@dataclass(frozen=True, slots=True)
class Spot:
    """A damaged record: where it is and what is wrong with it."""

    source: str
    line: int
    why: str


@dataclass(slots=True)
class Report:
    """All of it.

    Attributes:
        dry_run: nothing was written.
        sources: the files that were read, with how many records each gave.
        rows: kinds that were found or are in the log.
        others: records of kinds that the log has no place for, by kind.
        damaged: where a record could not be read.
        duplicates: records that told what another one told.
        left: messages that are only known from snapshots of other clones.
        kept_in: the file that holds what has no place in the log; empty when nothing does.
        moved: where the reference's work tree was moved to; empty when it was not.
        removable: what the person may remove now, one command or path each.
        contexts: saved contexts that were taken over.
        held: what is held back since it looks like a secret, by the names that release it: ids of messages, of events
            where there is no message; oldest first.
        left_before: ids of messages that look like one and are not held back: the remote has had them for long.
        remote: the remote that is meant; empty when there is none.
    """

    dry_run: bool
    sources: dict[str, int] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    others: dict[str, int] = field(default_factory=dict)
    damaged: list[Spot] = field(default_factory=list)
    duplicates: int = 0
    left: int = 0
    kept_in: str = ""
    moved: str = ""
    removable: list[str] = field(default_factory=list)
    contexts: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    left_before: list[str] = field(default_factory=list)
    remote: str = ""

    @property
    def new(self) -> int:
        """How many records are new in the log."""
        return sum(row.new for row in self.rows)

    def following(self, first: Report) -> Report:
        """This report of a second run and *first* as one of both."""
        before = {row.kind: row.before for row in first.rows}
        rows = [(row, before.get(row.kind, 0)) for row in self.rows]
        return replace(
            self,
            rows=[replace(row, before=number, new=row.after - number) for row, number in rows],
            moved=first.moved or self.moved,
            contexts=_both(first.contexts, self.contexts),
            held=_both(first.held, self.held),
            left_before=_both(first.left_before, self.left_before),
        )


def _both(first: list[str], second: list[str]) -> list[str]:
    return list(dict.fromkeys([*first, *second]))


def rows_of(
    *,
    found: Counter[str],
    before: Counter[str],
    after: Counter[str],
    purged: Counter[str],
    kept: Counter[str],
) -> list[Row]:
    """A row for each kind there is any of."""
    kinds = [*ORDER, *sorted((found.keys() | purged.keys()) - set(ORDER))]
    rows = [
        Row(
            kind,
            found[kind],
            before[kind],
            after[kind] - before[kind],
            purged[kind],
            kept[kind],
            after[kind],
        )
        for kind in kinds
    ]
    return [row for row in rows if row.found or row.after or row.purged]


def found_in(gathered: Gathered) -> Counter[str]:
    """How many facts there are of each kind."""
    return Counter(
        {
            "messages": len(gathered.messages),
            "edits": len(gathered.edits),
            "deletions": len(gathered.deletions),
            "receipts": len(gathered.receipts),
            "registrations": len(gathered.registrations),
            "deletions of agents": len(gathered.cleanups),
            "sessions": len(gathered.begun),
            "ends of sessions": len(gathered.ended),
            "work contexts": len(gathered.work),
            "groups": len(gathered.groups),
            "changes of groups": len(gathered.group_changes),
            "deletions of groups": len(gathered.group_ends),
            "members of groups": len(gathered.members),
            "threads": len(gathered.threads),
            "purges": len(gathered.purges),
        }
    )


def spots_of(kept: list[Kept]) -> list[Spot]:
    """Where damaged records are."""
    return [Spot(item.source, item.line, item.why) for item in kept if item.kind == DAMAGED]
