"""Events of the last ten minutes, read back at a start, so that a retry across a restart finds its first try."""

from __future__ import annotations

from collections.abc import Container, Iterator

import msgspec

from thrum_kernel.clock import format_us
from thrum_kernel.commit.requests import KEEP_US
from thrum_kernel.errors import FileDamaged, FileMissing
from thrum_kernel.events import Event, EventTypes
from thrum_kernel.store import journal, ranges
from thrum_kernel.store.tree import Line, Tree


def recent_requests(
    tree: Tree, types: EventTypes, *, daemon_id: str, now_us: int, message_types: Container[str]
) -> list[Event]:
    """Events of this daemon that carry a request id and are younger than ten minutes, oldest first; blocking.

    Those that it wrote under an earlier id are among them, and those that are held back.
    """
    since = format_us(max(0, now_us - KEEP_US))
    found: dict[str, Event] = {}
    for line in _lines(tree, daemon_id, since):
        if b'"request_id":"' not in line:
            continue
        try:
            event = types.decode(line)
        except msgspec.MsgspecError:
            continue  # `log verify` tells of it
        if isinstance(event, Event) and event.request_id and event.timestamp >= since:
            found[event.event_id] = event
    return [found[key] for key in sorted(found)]


def _lines(tree: Tree, daemon_id: str, since: str) -> Iterator[bytes]:
    own = tree.own_writers() or frozenset()
    for unit in ranges.scan(tree).units:
        is_ours = unit.daemon == daemon_id or any(window.writer in own for window in unit.windows)
        if is_ours and unit.header.end >= since:
            yield from (line.line for line in _of_unit(tree, unit))
    yield from (held.line for held in ranges.read_held(tree))
    for entry in tree.disk.entries(tree.journal):
        if entry.name.endswith(journal.SUFFIX):
            try:
                yield from (line for _, _, line in journal.read(tree.disk, tree.journal / entry.name))
            except FileDamaged:
                continue


def _of_unit(tree: Tree, unit: ranges.Unit) -> list[Line]:
    try:
        return ranges.read_window(tree, unit)
    except (FileDamaged, FileMissing):
        return []
