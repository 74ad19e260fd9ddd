"""The WebSocket with a real client: tokens, origins, batches, pushes, slow clients, ports."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from bus_house import House
from bus_tokens import FakeClock, token_methods
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from thrum_kernel.bus.ports import Wish, bind, remember, wishes
from thrum_kernel.bus.tokens import LOCAL_MIGRATIONS, Tokens
from thrum_kernel.bus.unix import Limits
from thrum_kernel.bus.websocket import WebSocketServer
from thrum_kernel.client import ThrumClient
from thrum_kernel.errors import DaemonError, Refused, UsageError
from thrum_kernel.projection.local import LocalDb
from thrum_kernel.testing.waiting import until_on_loop as until

pytestmark = pytest.mark.anyio


class Site:
    """A server with tokens, and clients of it."""

    def __init__(self, house: House, local: LocalDb) -> None:
        self.clock = FakeClock()
        self.agents = {"alice": "01A"}
        self.tokens = Tokens(local, self.clock, incarnation_of=lambda name: self.agents.get(name, ""))
        self.dispatcher = house.dispatcher()
        for method in token_methods(self.tokens, self.clock).methods():
            self.dispatcher.add(method)
        self.house = house
        self.server: WebSocketServer
        self.clients: list[ClientConnection] = []

    async def start(self, **more: Any) -> None:
        self.server = WebSocketServer(
            self.dispatcher, self.house.topics, self.tokens, ports=[Wish(0)], **more
        )
        await self.server.start()

    async def dial(self, path: str = "/ws", **more: Any) -> ClientConnection:
        client = await connect(f"ws://127.0.0.1:{self.server.port}{path}", proxy=None, max_size=None, **more)
        self.clients.append(client)
        return client

    async def as_alice(self, **more: Any) -> ClientConnection:
        token = (await self.tokens.mint("alice")).text
        return await self.dial(additional_headers={"Authorization": f"Bearer {token}"}, **more)


@pytest.fixture
async def site(house: House, tmp_path: Path) -> AsyncIterator[Site]:
    local = LocalDb(tmp_path / "local.db", version="test")
    local.migrate(LOCAL_MIGRATIONS)
    made = Site(house, local)
    await made.start()
    yield made
    for client in made.clients:
        await client.close()
    await made.server.stop(limit_s=1)
    local.close()


async def ask(client: ClientConnection, method: str, **params: Any) -> Any:
    await client.send(
        msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).decode()
    )
    return await read(client)


async def read(client: ClientConnection) -> Any:
    async with asyncio.timeout(5):
        return msgspec.json.decode(await client.recv())


# --- tokens ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/ws"])
async def test_without_a_token_only_health_answers(site: Site, path: str) -> None:
    client = await site.dial(path)
    assert (await ask(client, "health"))["result"] == {"status": "ok"}
    for method in ("whoami", "echo", "join", "keep_now"):
        answer = await ask(client, method, text="x")
        assert answer["error"]["code"] == -32002, method
    assert (await ask(client, "rpc.describe"))["error"]["code"] == -32002
    assert (await ask(client, "token.mint"))["error"]["code"] == -32601
    assert site.house.kept == []


@pytest.mark.parametrize(
    "way", ["bearer", "subprotocol", "only subprotocol", "link", "first frame", "ticket frame"]
)
async def test_a_token_is_taken_in_each_way(site: Site, way: str) -> None:
    token = (await site.tokens.mint("alice")).text
    ticket = (await site.tokens.mint_ticket("alice")).text
    if way == "bearer":
        client = await site.dial(additional_headers={"Authorization": f"bearer {token}"})
    elif way == "subprotocol":
        client = await site.dial(subprotocols=["thrum", f"bearer.{token}"])
        assert client.subprotocol == "thrum"
    elif way == "only subprotocol":
        client = await site.dial(subprotocols=[f"bearer.{token}"])
    elif way == "link":
        client = await site.dial(f"/ws?ticket={ticket}")
    else:
        client = await site.dial()
        method, params = (
            ("token.present", {"token": token})
            if way == "first frame"
            else ("token.redeem", {"ticket": ticket})
        )
        assert (await ask(client, method, **params))["result"]["principal"] == "alice"
    assert (await ask(client, "whoami", text=""))["result"] == {"agent_id": "alice"}
    assert (await ask(client, "keep_now", text="x"))["result"] == {"number": 1}


async def test_a_bad_token_or_used_link_is_not_let_in(site: Site) -> None:
    ticket = (await site.tokens.mint_ticket("alice")).text
    await site.dial(f"/ws?ticket={ticket}")
    for path, headers in ((f"/ws?ticket={ticket}", {}), ("/ws", {"Authorization": "Bearer tok_no"})):
        with pytest.raises(InvalidStatus) as raised:
            await site.dial(path, additional_headers=headers)
        assert raised.value.response.status_code == 401
    client = await site.dial()
    assert (await ask(client, "token.present", token="tok_no"))["error"]["code"] == -32003


async def test_a_claim_other_than_the_tokens_is_refused(site: Site) -> None:
    client = await site.as_alice()
    answer = await ask(client, "keep_now", text="x", caller_agent_id="bob")
    assert answer["error"]["message"].startswith(
        'identity guard "unauthenticated_rpc" fired: identity_mismatch'
    )
    assert (await ask(client, "keep_now", text="x", caller_agent_id="alice"))["result"] == {"number": 1}


async def test_revoking_a_token_closes_its_connections_and_no_others(site: Site) -> None:
    minted = await site.tokens.mint("alice")
    client = await site.dial(additional_headers={"Authorization": f"Bearer {minted.text}"})
    other = await site.as_alice()
    await ask(client, "hear", text="news")
    await site.tokens.revoke(minted.token_id)
    with pytest.raises(ConnectionClosed):
        await read(client)
    assert (await ask(other, "whoami", text=""))["result"] == {"agent_id": "alice"}
    assert site.house.topics.subscribers("news") == 0


async def test_a_token_that_is_over_ends_its_connection_unasked(site: Site) -> None:
    await site.server.stop()
    await site.start(recheck_s=0.02)
    client = await site.as_alice()
    await ask(client, "hear", text="news")
    del site.agents["alice"]
    with pytest.raises(ConnectionClosed):
        await read(client)
    assert site.house.topics.subscribers("news") == 0


async def test_a_token_that_is_over_is_worth_nothing_at_once(site: Site) -> None:
    client = await site.as_alice()
    site.clock.us += 10**15
    assert (await ask(client, "whoami", text=""))["error"]["code"] == -32002


async def test_another_principal_does_not_inherit_subscriptions(site: Site) -> None:
    client = await site.as_alice()
    await ask(client, "hear", text="news")
    token = (await site.tokens.mint("user:leon")).text
    await ask(client, "token.present", token=token)
    assert site.house.topics.subscribers("news") == 0


# --- origins ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://localhost:{port}"}, 0),
        ({"Origin": "http://127.0.0.1:{port}"}, 0),
        ({"Origin": "ws://localhost:{port}"}, 0),
        ({"Origin": "http://localhost:1"}, 403),
        ({"Origin": "http://localhost"}, 403),
        ({"Origin": "https://localhost:{port}"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost:{port}.evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
async def test_pages_of_other_sites_are_refused(site: Site, headers: dict[str, str], status: int) -> None:
    filled = {name: value.format(port=site.server.port) for name, value in headers.items()}
    if not status:
        assert (await ask(await site.dial(additional_headers=filled), "health"))["result"]
        return
    with pytest.raises(InvalidStatus) as raised:
        await site.dial(additional_headers=filled)
    assert raised.value.response.status_code == status


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("/ws", "evil.example", 403),
        ("/ws", "evil.example:{port}", 403),
        ("/other", "localhost", 404),
        ("/ws", "localhost", 426),
    ],
)
async def test_rebound_names_other_paths_and_plain_requests(
    site: Site, target: str, host: str, status: int
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.server.port)
    upgrade = (
        ""
        if status == 426
        else "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
    )
    writer.write(
        f"GET {target} HTTP/1.1\r\nHost: {host.format(port=site.server.port)}\r\n{upgrade}\r\n".encode()
    )
    assert f" {status} ".encode() in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_it_listens_on_loopback_only(site: Site) -> None:
    outside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with outside:
        try:
            outside.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no other address")
        address = outside.getsockname()[0]
    if address.startswith("127."):
        pytest.skip("this machine has no other address")
    with (
        pytest.raises(OSError, match=r".*"),
        socket.create_connection((address, site.server.port), timeout=1),
    ):
        pass


# --- frames ----------------------------------------------------------------------------------------------------------


async def test_a_batch_is_answered_in_order(site: Site) -> None:
    client = await site.as_alice()
    site.house.gate.set()
    batch = [
        {"jsonrpc": "2.0", "id": 1, "method": "slow", "params": {"text": "a"}},
        {"jsonrpc": "2.0", "id": 2, "method": "health"},
        17,
        {"jsonrpc": "2.0", "method": "health"},
        {"jsonrpc": "2.0", "id": 3, "method": "nothing"},
    ]
    await client.send(msgspec.json.encode(batch).decode())
    first, second, third, fourth, fifth = await read(client)
    assert (first["id"], first["result"]) == (1, "a")
    assert second["id"] == 2
    assert third["error"]["code"] == -32600
    assert "id" not in fourth
    assert fifth["error"]["code"] == -32601


@pytest.mark.parametrize(
    ("frame", "code"),
    [("[]", -32600), ("[1", -32700), ("{nonsense", -32700), ("17", -32600), ("[" * 9000, -32700)],
)
async def test_malformed_frames(site: Site, frame: str, code: int) -> None:
    client = await site.dial()
    await client.send(frame)
    assert (await read(client))["error"]["code"] == code
    assert (await ask(client, "health"))["result"]


async def test_a_batch_beyond_measure_and_a_frame_beyond_measure(site: Site) -> None:
    client = await site.dial()
    await client.send(msgspec.json.encode([{"jsonrpc": "2.0", "method": "health"}] * 1001).decode())
    assert "at most 1000" in (await read(client))["error"]["data"]["detail"]
    await client.send("x" * (8 * 1024 * 1024 + 1))
    with pytest.raises(ConnectionClosed) as raised:
        await read(client)
    assert raised.value.rcvd is not None
    assert raised.value.rcvd.code == 1009
    site.clients.remove(client)  # the library cannot close what it had not finished sending


async def test_pushes_arrive_between_answers(site: Site) -> None:
    client = await site.as_alice()
    await ask(client, "hear", text="news")
    for number in range(100):
        site.house.topics.publish("news", {"number": number, "text": "ü" * number * 50})
        assert (await read(client))["params"]["number"] == number
        assert (await ask(client, "echo", text=str(number)))["result"] == str(number)


async def test_shown_is_when_the_client_took_it(site: Site) -> None:
    client = await site.as_alice()
    await ask(client, "show", text="a")
    await until(lambda: site.house.shown == ["a"])


async def test_a_subscriber_that_reads_nothing_is_cut(site: Site) -> None:
    await site.server.stop()
    await site.start(limits=Limits(max_outgoing=500_000))
    client = await site.as_alice(max_queue=1)
    await ask(client, "hear", text="news")
    client.transport.pause_reading()
    for _ in range(400):
        site.house.topics.publish("news", "x" * 100_000)
        await asyncio.sleep(0)
        if not site.house.topics.subscribers("news"):
            break
    await until(lambda: site.house.topics.subscribers("news") == 0)
    await until(lambda: site.server.connections == 0)
    client.transport.abort()


async def test_a_client_that_goes_away_cancels_what_reads_but_no_change(site: Site) -> None:
    house = site.house
    for method in ("poll", "keep"):
        client = await site.as_alice()
        house.entered.clear()
        text = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": {"text": method}})
        await client.send(text.decode())
        await house.entered.wait()
        await client.close()
        if method == "poll":
            await until(lambda: house.cancelled == ["poll"])
    house.gate.set()
    await until(lambda: house.kept == ["keep"])


async def test_stop_answers_what_was_accepted(site: Site) -> None:
    client = await site.as_alice()
    answer = asyncio.create_task(ask(client, "slow", text="a"))
    await site.house.entered.wait()
    stopping = asyncio.create_task(site.server.stop())
    await until(lambda: site.server._server is None, what="that it stops")
    site.house.gate.set()
    assert (await answer)["result"] == "a"
    await stopping
    with pytest.raises(OSError, match=r".*"):
        await site.dial()


async def test_our_client_speaks_it_and_survives_a_restart(site: Site) -> None:
    token = (await site.tokens.mint("alice")).text
    url = f"ws://127.0.0.1:{site.server.port}/ws"
    async with ThrumClient(url, token=token) as client:
        await client.subscribe("hear", text="news")
        assert await client.call("whoami", text="") == {"agent_id": "alice"}
        port = site.server.port
        await site.server.stop()
        site.server = WebSocketServer(
            site.dispatcher, site.house.topics, site.tokens, ports=[Wish(port, "test")]
        )
        await site.server.start()
        assert await client.call("echo", text="x") == "x"
        await until(lambda: site.house.topics.subscribers("news") == 1)
        site.house.topics.publish("news", "again")
        async for note in client.notifications():
            assert note.params == "again"
            break
    with pytest.raises(Refused, match="unknown, used up, revoked or over"):
        await ThrumClient(url, token="tok_no").open()


# --- ports -----------------------------------------------------------------------------------------------------------


def test_the_ports_that_are_tried(tmp_path: Path) -> None:
    last = tmp_path / "ws.port"
    assert wishes(environment="", configured="auto", last_run=last) == (Wish(9999), Wish(0))
    remember(last, 4711)
    assert wishes(environment="", configured=None, last_run=last) == (Wish(4711), Wish(9999), Wish(0))
    assert wishes(environment="", configured=80, last_run=last) == (Wish(80, "daemon.ws_port"),)
    assert wishes(environment="81", configured=80, last_run=last) == (Wish(81, "THRUM_WS_PORT"),)
    last.write_text("rubbish")
    assert wishes(environment="auto", configured="auto", last_run=last) == (Wish(9999), Wish(0))
    for bad in ("x", "0", "70000", "-1"):
        with pytest.raises(UsageError, match="THRUM_WS_PORT"):
            wishes(environment=bad, configured=None, last_run=last)


def test_a_wish_may_be_passed_over_an_order_not() -> None:
    with bind([Wish(0)]) as taken:
        port = taken.getsockname()[1]
        with bind([Wish(port), Wish(0)]) as other:
            assert other.getsockname()[1] not in (0, port)
        with pytest.raises(DaemonError, match=f"port {port} of THRUM_WS_PORT is in use"):
            bind([Wish(port, "THRUM_WS_PORT")])


async def test_a_restart_keeps_its_port(site: Site) -> None:
    client = await site.dial()
    await ask(client, "health")
    port = site.server.port
    await site.server.stop()
    with bind([Wish(port, "test")]) as again:
        assert again.getsockname()[1] == port
