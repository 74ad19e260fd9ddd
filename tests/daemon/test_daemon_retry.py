"""A retry never sends twice, whatever happened to the first try; what was not shown stays unread."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from daemon_house import House, command_frame

ASKER = Path(__file__).with_name("daemon_asker.py")


def ask(house: House, data: bytes, *, then: str) -> bytes:
    """Send bytes to the daemon from alice's worktree; what came back until the asker ended.

    *then* says what the asker does after sending: ``read`` until the daemon closes, ``die`` by SIGKILL at once, or
    ``line``: read one line.
    """
    done = house.alice.spawner.run(
        [sys.executable, ASKER, house.socket, then], cwd=house.alice.cwd, env=house.alice.env, stdin=data
    )
    return done.out.encode()


def messages(house: House, text: str) -> list[str]:
    """Ids of the messages with this text, by the log."""
    found = house.person.json("log", "show", "--type", "message.create", "--limit", "10000")["events"]
    return ["msg_" + each["event"]["event_id"][4:] for each in found if text in json.dumps(each["event"])]


def request(text: str, request_id: str) -> bytes:
    params = {"content": text, "to": "@bob"}
    body = {"jsonrpc": "2.0", "id": 1, "method": "message.send", "params": params, "request_id": request_id}
    return json.dumps(body).encode() + b"\n"


def command(house: House, text: str, request_id: str) -> bytes:
    return command_frame(["send", text, "--to", "@bob"], cwd=house.alice.cwd, request_id=request_id)


def test_a_request_sent_again_gets_the_first_answer(house: House) -> None:
    first = json.loads(ask(house, request("once by rpc", "r1"), then="line"))["result"]
    second = json.loads(ask(house, request("once by rpc", "r1"), then="line"))["result"]

    assert second["message_id"] == first["message_id"]
    assert messages(house, "once by rpc") == [first["message_id"]]


def test_a_client_killed_after_its_request_and_the_same_request_again(house: House) -> None:
    """The first try counts or not: who called can be told only while the client lives. It never counts twice."""
    ask(house, request("killed by rpc", "r2"), then="die")

    answer = json.loads(ask(house, request("killed by rpc", "r2"), then="line"))["result"]

    assert messages(house, "killed by rpc") == [answer["message_id"]]


def test_a_command_whose_client_was_killed_is_not_carried_out_twice(house: House) -> None:
    ask(house, command(house, "killed command", "c1"), then="die")
    again = ask(house, command(house, "killed command", "c1"), then="read")

    (sent,) = messages(house, "killed command")
    assert f"Message sent: {sent}".encode() in again


def test_a_retry_across_a_crash_and_across_a_restart(house: House) -> None:
    sent = ask(house, command(house, "across", "c2"), then="read")
    (first,) = messages(house, "across")
    assert first.encode() in sent

    house.kill()
    house.person("daemon", "start")
    assert first.encode() in ask(house, command(house, "across", "c2"), then="read")
    house.alice("sync", "force")  # now it stands in a range file
    house.person("daemon", "restart")
    assert first.encode() in ask(house, command(house, "across", "c2"), then="read")
    answer = json.loads(ask(house, request("across", "c2.1"), then="line"))
    assert answer["result"]["message_id"] == first

    assert messages(house, "across") == [first]


def test_another_request_with_the_same_words_is_another_message(house: House) -> None:
    for request_id in ("c3", "c4"):
        ask(house, command(house, "twice on purpose", request_id), then="read")

    assert len(messages(house, "twice on purpose")) == 2


@contextmanager
def unread_kept(house: House) -> Iterator[None]:
    """What is unread before is unread afterwards."""
    before = unread(house)
    yield
    assert unread(house) == before


def unread(house: House) -> Any:
    page = house.bob.json("inbox", "--unread", "--page-size", "100")
    return [each["message_id"] for each in page["messages"]]


def test_an_inbox_that_nobody_took_leaves_everything_unread(house: House) -> None:
    for number in range(8):
        house.alice("send", "--stdin", "--to", "@bob", stdin=f"{number} ".encode() + b"long text " * 60_000)
    frame = command_frame(["inbox", "--json"], cwd=house.bob.cwd, request_id="inbox")
    with unread_kept(house):
        house.bob.spawner.run(
            [sys.executable, ASKER, house.socket, "taste"], cwd=house.bob.cwd, env=house.bob.env, stdin=frame
        )
    with unread_kept(house):
        done = house.bob.spawner.run(
            ["sh", "-c", f'"{house.bob.program[0]}" inbox --json | head -c 1000'],
            cwd=house.bob.cwd,
            env=house.bob.env,
        )
        assert len(done.out.encode()) == 1000

    house.bob("inbox", "--page-size", "100")
    assert unread(house) == []
