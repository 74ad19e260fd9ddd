"""Cutting: the durable rest of a journal becomes immutable files, sharded by agent."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from thrum_kernel.jsonlines import decoder
from thrum_kernel.store.held import keep
from thrum_kernel.store.names import Window
from thrum_kernel.store.tree import Line, Tree
from thrum_kernel.store.units import Unit

MOST_LINES: Final = 65_536
MOST_BYTES: Final = 16 << 20


Judge: TypeAlias = Callable[[Line], Sequence[str]]
"""Why a line must not travel: names of patterns; none when it may."""


class _Filed(msgspec.Struct):
    type: str
    timestamp: str = ""
    agent_id: Any = ""


_decode = decoder(_Filed)


def shard_of(line: bytes, message_types: Container[str]) -> str:
    """The agent whose message file a line belongs to; empty for the events file."""
    return _shard(_decode(line), message_types)


def cut(
    tree: Tree,
    lines: Iterable[Line],
    *,
    daemon: str,
    message_types: Container[str],
    judge: Judge = lambda line: (),
) -> Iterator[Unit]:
    """Publish *lines*, durable lines of one writer without a gap, as windows of bounded size; each unit as it is done.

    Args:
        tree: where to.
        lines: ascending by sequence, all of one writer.
        daemon: whose writer it is.
        message_types: the types that belong into the files of their author.
        judge: lines it gives a reason for are kept in ``T/held`` and are in no file of the unit.

    Raises:
        StoreError: the disk refuses; the units given out exist, nothing else does.
    """
    for window in _windows(lines):
        yield _cut_window(tree, window, daemon, message_types, judge)


def _windows(lines: Iterable[Line]) -> Iterator[list[Line]]:
    window: list[Line] = []
    size = 0
    for line in lines:
        if window and (len(window) >= MOST_LINES or size + len(line.line) > MOST_BYTES):
            yield window
            window, size = [], 0
        window.append(line)
        size += len(line.line)
    if window:
        yield window


def _cut_window(
    tree: Tree, lines: list[Line], daemon: str, message_types: Container[str], judge: Judge
) -> Unit:
    shards: dict[str, list[Line]] = {"": []}
    start, end = "~", ""
    held: list[tuple[Line, tuple[str, ...]]] = []
    for line in lines:
        filed = _decode(line.line)
        start, end = min(start, filed.timestamp), max(end, filed.timestamp)
        if reasons := judge(line):
            held.append((line, tuple(reasons)))
            continue
        shards.setdefault(_shard(filed, message_types), []).append(line)
    window = Window(lines[0].writer, lines[0].sequence, lines[-1].sequence)
    events = shards.pop("")
    if held:
        keep(tree, daemon, window, [line for line, _ in held], [reasons for _, reasons in held])
    return tree.write_unit(daemon, [window], (start, end), events, shards, held=len(held))


def _shard(filed: _Filed, message_types: Container[str]) -> str:
    if filed.type in message_types and isinstance(filed.agent_id, str):
        return filed.agent_id
    return ""
