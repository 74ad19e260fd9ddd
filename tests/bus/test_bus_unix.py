"""The Unix socket with real clients: order, bounds, drains, callers, effects of what was shown."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import os
import resource
import select
import socket
import stat
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from bus_house import ALICE, NOBODY, House, Serve, open_files

from thrum_kernel.api import Caller
from thrum_kernel.bus.peer import Peer, standing
from thrum_kernel.bus.unix import Limits
from thrum_kernel.errors import DaemonError, Projecting
from thrum_kernel.testing.waiting import until_on_loop as until

pytestmark = pytest.mark.anyio
HEALTH = b'{"jsonrpc":"2.0","id":1,"method":"health"}'


async def test_answers_with_the_id_as_it_came(serve: Serve, dial: Any) -> None:
    await serve()
    line = await dial()
    for identifier in (b"17", b'"a \\u00e9"', b"null", b"1.50"):
        line.send(b'{"jsonrpc":"2.0","method":"health","id":' + identifier + b"}")
        answer = await line.reader.readline()
        assert answer == b'{"jsonrpc":"2.0","result":{"status":"ok"},"id":' + identifier + b"}\n"


async def test_answers_a_notification_without_an_id(serve: Serve, dial: Any) -> None:
    await serve()
    line = await dial()
    line.send(b'{"jsonrpc":"2.0","method":"health"}')
    assert await line.read() == {"jsonrpc": "2.0", "result": {"status": "ok"}}


@pytest.mark.parametrize(
    ("data", "code", "detail", "identifier"),
    [
        (b"{nonsense", -32700, "JSON is malformed", None),
        (b"[]", -32700, "batch", None),
        (b"\xff\xfe", -32700, "", None),
        (b"17", -32600, "JSON object", None),
        (b'{"jsonrpc":"1.0","method":"health","id":3}', -32600, "jsonrpc field must be '2.0'", 3),
        (b'{"method":"health","id":4}', -32600, "jsonrpc field must be '2.0'", 4),
        (b'{"jsonrpc":"2.0","id":5}', -32600, "method", 5),
        (b'{"jsonrpc":"2.0","method":7,"id":6}', -32600, "method", 6),
        (b'{"jsonrpc":"2.0","method":"health","id":"\xff"}', -32700, "UTF-8", None),
        (b'{"jsonrpc":"2.0","method":"echo","params":' + b"[" * 50_000, -32700, "", None),
        (b'{"jsonrpc":"2.0","method":"nothing","id":8}', -32601, "method 'nothing' is not registered", 8),
        (b'{"jsonrpc":"2.0","method":"echo","id":9}', -32602, "", 9),
    ],
)
async def test_malformed_input_gets_one_error_and_the_connection_goes_on(
    serve: Serve, dial: Any, data: bytes, code: int, detail: str, identifier: Any
) -> None:
    await serve()
    line = await dial()
    line.send(data)
    answer = await line.read()
    assert answer["error"]["code"] == code
    assert detail in answer["error"]["data"].get("detail", "")
    assert set(answer["error"]["data"]) >= {"hint", "exit_code"}
    assert answer["id"] == identifier
    assert (await line.call("health"))["result"] == {"status": "ok"}


async def test_empty_lines_are_passed_over(serve: Serve, dial: Any) -> None:
    await serve()
    line = await dial()
    line.send(b"", b"  \r", HEALTH)
    assert (await line.read())["id"] == 1


@pytest.mark.parametrize("ends", [True, False], ids=["100 MiB line", "endless line"])
async def test_a_huge_line_gets_one_error_then_the_end_in_bounded_memory(serve: Serve, ends: bool) -> None:
    server = await serve()
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    chunk = b"x" * (1 << 20)

    lines: list[bytes] = []

    def talk() -> None:
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(str(server.path))
            try:
                for number in itertools.count():
                    raw.sendall(chunk)
                    if ends and number == 99:
                        raw.sendall(b"\n")
                        break
            except (BrokenPipeError, ConnectionResetError):
                assert not ends  # only who never ends is hung up on while still talking
            with contextlib.suppress(ConnectionResetError), raw.makefile("rb") as stream:
                lines.append(stream.readline())
                lines.append(stream.read())

    await asyncio.to_thread(talk)
    error = msgspec.json.decode(lines[0])["error"]
    assert error["code"] == -32600
    assert "exceeds 8388608 bytes" in error["data"]["detail"]
    assert lines[1:] in ([], [b""])
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    assert grown < 60 * (1024 if sys.platform == "linux" else 1 << 20)


async def test_a_line_as_long_as_allowed_is_taken(serve: Serve, dial: Any) -> None:
    await serve(limits=Limits(max_line=100_000))
    line = await dial()
    request = b'{"jsonrpc":"2.0","id":1,"method":"echo","params":{"text":"%b"}}'
    line.send(request % (b"x" * (100_000 - len(request) + 2)))
    assert len((await line.read())["result"]) > 90_000
    line.send(request % (b"x" * (100_000 - len(request) + 3)))
    assert (await line.read())["error"]["code"] == -32600


async def test_requests_of_one_connection_are_answered_in_order(
    serve: Serve, dial: Any, house: House
) -> None:
    await serve()
    line, other = await dial(), await dial()
    for number in range(20):
        line.ask(
            ("slow", "health", "echo", "keep")[number % 4],
            number,
            **({} if number % 4 == 1 else {"text": "t"}),
        )
    await house.entered.wait()
    assert (await other.call("health", 99))["id"] == 99  # a connection waits for itself only
    house.gate.set()
    assert [(await line.read())["id"] for _ in range(20)] == list(range(20))


async def test_many_pipelined_requests_in_one_packet(serve: Serve, dial: Any) -> None:
    await serve()
    line = await dial()
    line.writer.write((HEALTH + b"\n") * 5000)
    for _ in range(5000):
        assert (await line.read())["result"] == {"status": "ok"}


async def test_a_request_in_pieces(serve: Serve, dial: Any) -> None:
    await serve()
    line = await dial()
    for byte in HEALTH + b"\n":
        line.writer.write(bytes([byte]))
        await asyncio.sleep(0)
    assert (await line.read())["id"] == 1


async def test_a_last_line_without_newline_is_answered_after_half_close(
    serve: Serve, dial: Any, house: House
) -> None:
    await serve()
    line = await dial()
    line.ask("slow", 1, text="a")
    line.writer.write(HEALTH.replace(b"1,", b"2,"))
    line.writer.write_eof()
    await house.entered.wait()
    house.gate.set()
    assert (await line.read())["result"] == "a"
    assert (await line.read())["id"] == 2
    assert await line.read() is None


async def test_a_client_that_reads_nothing_is_bounded_and_cut(serve: Serve, dial: Any) -> None:
    server = await serve(limits=Limits(stall_s=0.2))
    raw = socket.socket(socket.AF_UNIX)
    raw.setblocking(False)
    raw.connect(str(server.path))
    request = b'{"jsonrpc":"2.0","id":1,"method":"big","params":{"text":"100000"}}\n'
    loop = asyncio.get_running_loop()

    async def flood() -> None:
        while True:
            await loop.sock_sendall(raw, request * 100)

    task = asyncio.create_task(flood())
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        await asyncio.wait_for(task, 10)
    raw.close()
    await until(lambda: server.connections == 0)


async def test_a_subscriber_that_reads_nothing_is_cut_and_others_hear_all(
    serve: Serve, dial: Any, house: House
) -> None:
    server = await serve(limits=Limits(max_outgoing=100_000))
    deaf = socket.socket(socket.AF_UNIX)
    deaf.connect(str(server.path))
    deaf.send(b'{"jsonrpc":"2.0","id":1,"method":"hear","params":{"text":"news"}}\n')
    line = await dial()
    assert (await line.call("hear", text="news"))["result"] is None
    await until(lambda: house.topics.subscribers("news") == 2)
    for number in range(200):
        house.topics.publish("news", {"number": number, "text": "x" * 10_000})
        heard = await line.read()
        assert heard["method"] == "heard"
        assert heard["params"]["number"] == number
    assert house.topics.subscribers("news") == 1
    await until(lambda: server.connections == 1)
    deaf.close()


async def test_idle_connections_are_closed_subscribers_stay(serve: Serve, dial: Any, house: House) -> None:
    server = await serve(limits=Limits(idle_s=0.1))
    idle, hearing = await dial(), await dial()
    await idle.call("health")
    await hearing.call("hear", text="news")
    assert await idle.read() is None
    assert server.connections == 1
    house.topics.publish("news", 1)
    assert (await hearing.read())["params"] == 1


async def test_an_unfinished_line_does_not_keep_a_connection(serve: Serve, dial: Any) -> None:
    await serve(limits=Limits(idle_s=0.1))
    line = await dial()
    line.writer.write(b'{"jsonrpc"')
    assert await line.read() is None


async def test_a_client_that_goes_away_cancels_what_reads_but_no_change(
    serve: Serve, dial: Any, house: House
) -> None:
    await serve()
    for method in ("poll", "keep"):
        line = await dial()
        house.entered.clear()
        line.ask(method, text=method)
        await house.entered.wait()
        line.writer.close()
        await line.writer.wait_closed()
        if method == "poll":
            await until(lambda: house.cancelled == ["poll"])
    house.gate.set()
    await until(lambda: house.kept == ["keep"])


# --- effects that mean shown -----------------------------------------------------------------------------------------


def has_answer(raw: socket.socket) -> bool:
    """Whether there is something to be read."""
    return bool(select.select([raw], [], [], 0)[0])


async def test_shown_is_when_the_client_has_read_the_answer(serve: Serve, dial: Any, house: House) -> None:
    server = await serve()
    raw = socket.socket(socket.AF_UNIX)
    raw.connect(str(server.path))
    raw.send(b'{"jsonrpc":"2.0","id":1,"method":"show","params":{"text":"a"}}\n')
    await until(lambda: has_answer(raw))
    if sys.platform == "linux":
        assert house.shown == []
    raw.recv(65536)
    await until(lambda: house.shown == ["a"])
    raw.close()


async def test_shown_holds_before_the_next_request_is_served(serve: Serve, dial: Any, house: House) -> None:
    await serve()
    line = await dial()
    for number in range(20):
        await line.call("show", number, text=str(number))
        await line.call("health")
        assert house.shown == [str(shown) for shown in range(number + 1)]


async def test_not_shown_when_the_client_closed_without_reading(
    serve: Serve, dial: Any, house: House
) -> None:
    server = await serve()
    for number in range(20):
        raw = socket.socket(socket.AF_UNIX)
        raw.connect(str(server.path))
        raw.send(b'{"jsonrpc":"2.0","id":1,"method":"show","params":{"text":"a"}}\n')
        if number % 2:
            await until(lambda: has_answer(raw))  # noqa: B023 - waited for at once
        raw.close()
    await until(lambda: server.connections == 0)
    assert house.shown == []


async def test_shown_when_the_client_read_all_and_closed_at_once(
    serve: Serve, dial: Any, house: House
) -> None:
    server = await serve()

    def talk() -> None:
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(str(server.path))
            raw.send(b'{"jsonrpc":"2.0","id":1,"method":"show","params":{"text":"a"}}\n')
            while not raw.recv(65536).endswith(b"\n"):
                pass

    for _ in range(20):
        await asyncio.to_thread(talk)
    await until(lambda: house.shown == ["a"] * 20)


# --- who calls -------------------------------------------------------------------------------------------------------


async def test_the_peer_is_the_process_that_connected(serve: Serve, dial: Any, house: House) -> None:
    await serve()
    line = await dial()
    await line.call("whoami", text="")
    peer = house.peers[0]
    assert (peer.pid, peer.uid) == (os.getpid(), os.getuid())
    if sys.platform == "linux":
        assert peer.pidfd is not None
        assert standing(peer) == standing(Peer(os.getpid(), os.getuid()))[:2]  # type: ignore[index]


async def test_the_handle_of_the_process_is_closed_with_the_connection(
    serve: Serve, dial: Any, house: House
) -> None:
    server = await serve()
    before = open_files()
    for _ in range(20):
        line = await dial()
        await line.call("whoami", text="")
        line.writer.close()
        await line.writer.wait_closed()
    await until(lambda: server.connections == 0)
    house.peers.clear()
    gc.collect()
    assert open_files() <= before + 2


async def test_the_caller_is_asked_for_only_when_needed_and_kept_while_its_facts_hold(
    serve: Serve, dial: Any, house: House
) -> None:
    facts = ["here"]
    await serve(facts_of=lambda peer: facts[0])
    line = await dial()
    await line.call("health")
    await line.call("echo", text="x")
    assert house.resolved == 0
    for _ in range(3):
        await line.call("whoami", text="")
    assert house.resolved == 1
    facts[0] = "elsewhere"
    house.caller = Caller(kind="agent", agent_id="bob")
    assert (await line.call("whoami", text=""))["result"] == {"agent_id": "bob"}


async def test_who_is_nobody_is_looked_at_again(serve: Serve, dial: Any, house: House) -> None:
    await serve(facts_of=lambda peer: "here")
    house.caller = NOBODY
    line = await dial()
    assert (await line.call("whoami", text=""))["error"]["code"] == -32002
    house.caller = ALICE
    assert (await line.call("whoami", text=""))["result"] == {"agent_id": "alice"}


async def test_a_forged_claim_is_refused(serve: Serve, dial: Any) -> None:
    await serve()
    line = await dial()
    answer = await line.call("keep_now", text="x", caller_agent_id="@bob")
    assert answer["error"]["code"] == -32010
    assert answer["error"]["message"].startswith(
        'identity guard "unauthenticated_rpc" fired: identity_mismatch\n'
    )
    assert (await line.call("keep_now", text="x", caller_agent_id="@alice"))["result"] == {"number": 1}


async def test_another_users_process_is_refused(serve: Serve) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        server = await serve(path=Path(folder, "thrum.sock"), own_uid=os.getuid() + 1)
        Path(folder).chmod(0o711)
        server.path.chmod(0o666)
        become = "os.setuid(65534)" if os.getuid() == 0 else "None"  # root itself is let in
        script = (
            f"import os, socket, sys; {become}; s = socket.socket(socket.AF_UNIX);"
            f"s.connect({str(server.path)!r}); sys.stdout.write(s.makefile().readline())"
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, cwd="/"
        )
        answer, _ = await process.communicate()
        await server.stop()
    assert "are refused" in msgspec.json.decode(answer)["error"]["message"]


async def test_a_first_byte_that_is_no_json_goes_to_the_command_protocol(serve: Serve, dial: Any) -> None:
    got: list[tuple[Peer, bytes]] = []

    class Command(asyncio.Protocol):
        def __init__(self, peer: Peer) -> None:
            self.peer = peer

        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            got.append((self.peer, data))
            self.transport.write(b"\x01done")
            self.transport.close()

    server = await serve(foreign=Command)
    line = await dial()
    line.writer.write(b"\x00\x00\x00\x05hello")
    assert await line.reader.read() == b"\x01done"
    assert got[0][1] == b"\x00\x00\x00\x05hello"
    assert got[0][0].pid == os.getpid()
    assert server.connections == 0


# --- the life of the server ------------------------------------------------------------------------------------------


async def test_the_socket_is_the_owners_alone_and_gone_after_stop(serve: Serve) -> None:
    server = await serve()
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o600
    await server.stop()
    assert not server.path.exists()


async def test_a_live_socket_is_named_a_dead_one_removed_a_file_left_alone(
    serve: Serve, tmp_path: Path
) -> None:
    path = tmp_path / "thrum.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    await serve()
    with pytest.raises(DaemonError, match=r"thrum\.sock is in use by another daemon"):
        await serve()
    other = tmp_path / "file.sock"
    other.write_text("precious")
    with pytest.raises(DaemonError, match="is no socket"):
        await serve(path=other)
    assert other.read_text() == "precious"


async def test_stop_leaves_the_socket_of_a_successor(serve: Serve, tmp_path: Path) -> None:
    server = await serve()
    server.path.unlink()
    successor = await serve()
    await server.stop()
    assert successor.path.exists()


async def test_drain_answers_everything_accepted_and_refuses_the_rest(
    serve: Serve, dial: Any, house: House
) -> None:
    server = await serve()
    line, other, polling = await dial(), await dial(), await dial()
    line.ask("slow", 1, text="a")
    line.ask("keep", 2, text="b")
    polling.ask("poll", 3, text="c")
    await until(lambda: {"a", "c"} <= set(house.began))
    draining = asyncio.create_task(server.dispatcher.drain())
    assert (await polling.read())["error"]["code"] == -32034
    assert (await other.call("health"))["error"]["message"] == "daemon is shutting down"
    house.gate.set()
    assert await draining
    await server.stop()
    assert (await line.read())["result"] == "a"
    assert (await line.read())["error"]["code"] == -32034  # accepted too late to run, and told so
    assert await line.read() is None


async def test_while_projecting_only_what_needs_no_cache_answers(
    serve: Serve, dial: Any, house: House
) -> None:
    state: list[DaemonError | None] = [Projecting(43)]
    await serve(dispatcher=house.dispatcher(state=lambda: state[0]))
    line = await dial()
    assert (await line.call("health"))["result"] == {"status": "ok"}
    answer = await line.call("echo", text="x")
    assert (answer["error"]["code"], answer["error"]["message"]) == (-32033, "projecting 43 %")
    assert (await line.call("echo", text=1))["error"]["code"] == -32602
    state[0] = None
    assert (await line.call("echo", text="x"))["result"] == "x"
