"""Edit, delete, archive: by events, only of what is one's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from messaging_world import World

from thrum_kernel.errors import BodyInvalid, BodyTooLarge, NotFound, Refused
from thrum_kernel.messaging.quota import Limits

pytestmark = pytest.mark.anyio


async def body(world: World, message_id: str) -> dict[str, object]:
    found = await world.call("alice", "message.get", message_id=message_id)
    return dict(found["message"]["body"])


async def test_edit_replaces_the_text_and_counts_versions(world: World) -> None:
    sent = await world.send("alice", "one", to="@bob", structured={"a": 1}, format="plain")

    first = await world.call("alice", "message.edit", message_id=sent, content="two")
    second = await world.call("alice", "message.edit", message_id=sent, structured={"a": 2})

    assert (first["version"], second["version"]) == (1, 2)
    assert await body(world, sent) == {"format": "plain", "content": "two", "structured": {"a": 2}}
    detail = (await world.call("bob", "message.get", message_id=sent))["message"]
    assert (detail["version"], detail["updated_at"]) == (2, second["updated_at"])


async def test_edit_of_somebody_elses_or_a_deleted_message_is_refused(world: World) -> None:
    sent = await world.send("alice", "one", to="@bob")

    with pytest.raises(Refused, match=r"only message author can edit \(author: alice, current: bob\)"):
        await world.call("bob", "message.edit", message_id=sent, content="mine")
    await world.call("alice", "message.delete", message_id=sent)
    with pytest.raises(Refused, match="cannot edit deleted message"):
        await world.call("alice", "message.edit", message_id=sent, content="two")
    with pytest.raises(NotFound, match="message not found"):
        await world.call("alice", "message.edit", message_id="msg_nope", content="two")


async def test_edit_to_what_cannot_be_stored_is_refused(world: World) -> None:
    sent = await world.send("alice", "one", to="@bob")
    world.limits = Limits(max_body_bytes=10)

    with pytest.raises(BodyInvalid, match="content or structured"):
        await world.call("alice", "message.edit", message_id=sent)
    with pytest.raises(BodyInvalid):
        await world.call("alice", "message.edit", message_id=sent, content="")
    with pytest.raises(BodyTooLarge):
        await world.call("alice", "message.edit", message_id=sent, content="x" * 11)
    assert (await body(world, sent))["content"] == "one"


async def test_retried_edit_and_delete_answer_the_same_after_a_restart(world: World) -> None:
    sent = await world.send("alice", "one", to="@bob")
    edited = await world.call("alice", "message.edit", message_id=sent, content="two", request_id="e.1")
    await world.call("alice", "message.edit", message_id=sent, content="three")
    await world.restart()

    assert (
        await world.call("alice", "message.edit", message_id=sent, content="two", request_id="e.1") == edited
    )
    assert (await body(world, sent))["content"] == "three"

    gone = await world.call("alice", "message.delete", message_id=sent, request_id="d.1")
    await world.restart()
    assert await world.call("alice", "message.delete", message_id=sent, request_id="d.1") == gone


async def test_delete_removes_the_text_once_and_asks_to_erase_it(world: World) -> None:
    sent = await world.send("alice", "secret", to="@bob")

    with pytest.raises(Refused, match=r"only message author can delete \(author: alice, current: bob\)"):
        await world.call("bob", "message.delete", message_id=sent)
    await world.call("alice", "message.delete", message_id=sent)
    with pytest.raises(Refused, match="message already deleted"):
        await world.call("alice", "message.delete", message_id=sent)

    assert world.erased == [sent]
    assert (await body(world, sent))["content"] == ""


async def test_delete_says_when_the_text_is_not_gone_from_all_files(world: World) -> None:
    sent = await world.send("alice", "secret", to="@bob")
    world.erasing_fails = "disk full"

    with pytest.raises(Refused, match="deleted, but the text is not gone from all files yet: disk full"):
        await world.call("alice", "message.delete", message_id=sent)

    assert (await body(world, sent))["content"] == ""


async def test_delete_by_agent_takes_only_ones_own(world: World) -> None:
    for number in range(3):
        await world.send("alice", str(number), to="@bob")
    kept = await world.send("bob", "kept", to="@alice")

    with pytest.raises(Refused):
        await world.call("bob", "message.deleteByAgent", agent_id="alice")
    assert await world.call("alice", "message.deleteByAgent", agent_id="alice") == {"deleted_count": 3}

    assert (await body(world, kept))["content"] == "kept"
    await world.restart()
    assert await world.texts("bob") == ["", "", ""], "the deletion is in the log"


async def test_delete_by_scope_is_for_the_daemon_only(world: World) -> None:
    scope = {"type": "run", "value": "7"}
    await world.send("alice", "x", to="@bob", scopes=[scope])
    await world.send("alice", "y", to="@bob")

    with pytest.raises(Refused):
        await world.call("alice", "message.deleteByScope", scope_type="run", scope_value="7")
    done = await world.call("kernel:system", "message.deleteByScope", scope_type="run", scope_value="7")

    assert done == {"deleted_count": 1}
    assert await world.texts("bob") == ["y", ""]


async def test_archive_of_an_agent_writes_a_file_and_deletes_by_events(
    world: World, elsewhere: World
) -> None:
    sent = await world.send("alice", "one", to="@bob")
    await world.send("bob", "two", to="@alice")

    done = await world.call("alice", "message.archive", archive_type="agent", identifier="@alice")

    path = Path(done["archive_path"])
    assert done["archived_count"] == 1 and path.parent == world.folder / "archive"
    (line,) = path.read_text().splitlines()
    assert json.loads(line)["message_id"] == sent
    assert json.loads(line)["body"]["content"] == "one"
    elsewhere.take_from(world)
    found = await elsewhere.call("dora", "message.get", message_id=sent)
    assert found["message"]["deleted"] is True


async def test_second_archive_does_not_overwrite_the_first(world: World) -> None:
    paths = set()
    for text in ("one", "two"):
        await world.send("alice", text, to="@bob")
        done = await world.call("alice", "message.archive", archive_type="agent", identifier="alice")
        paths.add(done["archive_path"])

    assert len(paths) == 2 and all(Path(path).stat().st_size for path in paths)


async def test_archive_of_others_or_of_a_path_is_refused(world: World) -> None:
    await world.call("alice", "group.create", name="backend")

    with pytest.raises(Refused):
        await world.call("bob", "message.archive", archive_type="agent", identifier="alice")
    with pytest.raises(Refused):
        await world.call("bob", "message.archive", archive_type="group", identifier="backend")
    for kind in ("agent", "group"):
        with pytest.raises(NotFound):
            await world.call("alice", "message.archive", archive_type=kind, identifier="../../etc/passwd")
    assert not (world.folder / "archive").exists()


async def test_archive_of_a_group_takes_what_was_sent_to_it(world: World) -> None:
    await world.call("alice", "group.create", name="backend")
    await world.call("alice", "group.member.add", group="backend", member_type="role", member_value="*")
    await world.send("bob", "to the group", mentions=["@backend"])
    await world.send("bob", "to carol", to="@carol")

    done = await world.call("alice", "message.archive", archive_type="group", identifier="backend")

    assert done["archived_count"] == 1
    assert await world.texts("carol") == ["to carol", ""]
