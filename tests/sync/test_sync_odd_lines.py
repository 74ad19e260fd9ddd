"""Lines of another clone that are whole files by their digest and no JSON that anybody can read."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec
import pytest
from sync_clones import bare, clone_of, serving
from sync_parts import TYPES
from sync_sides import Side

from thrum_kernel.clock import format_us
from thrum_kernel.events.core import Body, MessageCreate
from thrum_kernel.jsonlines import decoder
from thrum_kernel.store.names import Window
from thrum_kernel.store.tree import Line
from thrum_kernel.sync.secrets import texts_of
from thrum_kernel.testing.harness import Repo

DEPTH = 20_000
DEEP = b'{"a":' * DEPTH + b"1" + b"}" * DEPTH


def odd_lines(side: Side) -> list[bytes]:
    """A line that nests without end, and two with a byte that is no UTF-8: in what is shown and in its head."""
    lines = []
    for number in range(1, 4):
        draft: MessageCreate = side.house.committer.draft(
            MessageCreate, agent_id="alice", incarnation="alice", body=Body(content="odd")
        )
        draft.sequence = number
        lines.append(TYPES.encode(draft))
    deep, shown, head = lines
    return [
        deep[:-1] + b',"more":' + DEEP + b"}",
        shown.replace(b'"odd"', b'"\xffodd"'),
        head.replace(b'"type":"message.create"', b'"type":"message.create\xff"').replace(b'"odd"', b'"x"'),
    ]


def publish(side: Side, lines: list[bytes]) -> None:
    """A unit of a writer of its own, as a clone writes whose program or memory is broken."""
    writer, now = side.house.committer.ids.next_ulid(), format_us(time.time_ns() // 1000)
    placed = [Line(writer, number, line) for number, line in enumerate(lines, 1)]
    events, messages = [placed[2]], placed[:2]
    windows = [Window(writer, 1, len(placed))]
    side.house.tree.write_unit(side.house.daemon, windows, (now, now), events, {"alice": messages})
    side.exchange.has_news = True


def test_odd_lines_of_one_clone_end_nobody_s_exchange(tmp_path: Path, isolated_home: dict[str, str]) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        folder = tmp_path / "broken"
        origin.git("clone", "-q", str(origin.path), str(folder))
        broken = Side(Repo(folder, folder, origin.env), "d_01KZ0000000000000000000BAD")
        publish(broken, odd_lines(broken))
        await broken.sync()
        repo = clone_of(origin, "one")
        async with serving(repo) as one:
            await one.register("alice")
            assert not (await one.force()).get("failed")
            await one.send("alice", "@alice", "after it")
            assert (await one.force())["pushed"] and (await one.status())["sync_state"] == "synced"
            assert await one.texts("alice") == ["after it"]
            shown = await one.call("log.show", "alice", limit=50)
            assert shown["total"] >= 3
            await one.call("log.verify", "alice")
        (repo.path / ".thrum/var/messages.db").unlink()
        async with serving(repo) as one:
            await one.register("alice")
            assert await one.texts("alice") == ["after it"]
            await one.call("purge.execute", "alice", before=format_us(time.time_ns() // 1000))
            assert not (await one.force()).get("failed")

    asyncio.run(story())


@pytest.mark.parametrize("line", [DEEP, b'{"a":"\xff"}', b'{"a":'])
def test_whatever_is_wrong_with_a_line_is_one_kind_of_error(line: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decoder(dict[str, object])(line)


def test_the_secret_scan_looks_into_any_depth() -> None:
    deep = b'{"type":"x","a":' + b"[" * 400 + b'"secret"' + b"]" * 400 + b"}"
    assert "secret" in list(texts_of(deep))
    assert list(texts_of(b'{"type":"x","a":' + DEEP + b"}"))
