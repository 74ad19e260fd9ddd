"""The clients, asynchronous and blocking, against real servers that come and go."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bus_house import ALICE, House, Serve

from thrum_kernel.bus.call import Grant
from thrum_kernel.bus.remote import remote_error
from thrum_kernel.client import SocketApi, ThrumClient
from thrum_kernel.errors import (
    AnonymousCaller,
    DaemonNotRunning,
    DaemonUnreachable,
    GuardFired,
    MethodNotFound,
    NotFound,
    Projecting,
    Refused,
    RemoteError,
    StoreFull,
    ThrumError,
    Timeout,
    UsageError,
)
from thrum_kernel.testing.waiting import until_on_loop as until

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize(
    ("code", "cls"),
    [
        (-32004, NotFound),
        (-32002, AnonymousCaller),
        (-32003, Refused),
        (-32010, GuardFired),
        (-32021, StoreFull),
        (-32033, Projecting),
        (-32601, MethodNotFound),
        (-32602, UsageError),
        (-32035, Timeout),
    ],
)
def test_an_error_is_also_of_the_class_whose_code_it_has(code: int, cls: type[ThrumError]) -> None:
    error = remote_error({"code": code, "message": "m", "data": {"hint": "h", "exit_code": 3}})
    assert isinstance(error, RemoteError)
    assert isinstance(error, cls)
    assert (str(error), error.hint, error.exit_code, error.rpc_code) == ("m", "h", 3, code)


@pytest.mark.parametrize("value", [{"code": -5, "message": "m"}, {"code": "x"}, "text", None, {}])
def test_any_error_object_becomes_a_remote_error(value: Any) -> None:
    assert isinstance(remote_error(value), RemoteError)


async def test_call_gives_results_and_raises_what_was_refused(serve: Serve) -> None:
    server = await serve()
    async with ThrumClient(server.path) as client:
        assert await client.call("echo", text="ü") == "ü"
        with pytest.raises(NotFound, match="thing not found: x") as raised:
            await client.call("missing", text="x")
        assert raised.value.hint == "look elsewhere"
        with pytest.raises(MethodNotFound, match="method 'nothing' is not registered"):
            await client.call("nothing")
        answers = await asyncio.gather(*(client.call("echo", text=str(number)) for number in range(50)))
        assert answers == [str(number) for number in range(50)]
        assert len(await client.call("big", text="2000000")) == 2_000_000


async def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(DaemonNotRunning):
        await ThrumClient(tmp_path / "no.sock").open()
    with pytest.raises(DaemonNotRunning):
        SocketApi(tmp_path / "no.sock").call("health")


async def test_notifications_come_in_order(serve: Serve, house: House) -> None:
    server = await serve()
    async with ThrumClient(server.path) as client:
        await client.subscribe("hear", text="news")
        for number in range(100):
            house.topics.publish("news", number)
        seen = []
        async for note in client.notifications():
            assert note.method == "heard"
            seen.append(note.params)
            if len(seen) == 100:
                break
        assert seen == list(range(100))


async def test_it_survives_a_restart_and_changes_nothing_twice(serve: Serve, house: House) -> None:
    dispatcher = house.dispatcher()
    server = await serve(dispatcher=dispatcher)
    async with ThrumClient(server.path) as client:
        await client.subscribe("hear", text="news")
        keeping = asyncio.create_task(client.call("keep", text="once"))
        await house.entered.wait()
        await server.stop(limit_s=0)
        await serve(dispatcher=dispatcher)
        await until(lambda: house.topics.subscribers("news") == 1 and dispatcher.active == 1)
        house.gate.set()
        assert await keeping == {"number": 1}
        assert house.kept == ["once"]
        house.topics.publish("news", "again")
        async for note in client.notifications():
            assert note.params == "again"
            break


async def test_it_gives_up_when_nobody_comes_back(serve: Serve, house: House) -> None:
    server = await serve()
    async with ThrumClient(server.path, reconnect_s=0.1) as client:
        waiting = asyncio.create_task(client.call("slow", text="a"))
        await house.entered.wait()
        await server.stop(limit_s=0)
        with pytest.raises(DaemonUnreachable):
            await waiting
        with pytest.raises(DaemonUnreachable):
            await client.call("health")
        with pytest.raises(DaemonUnreachable):
            async for _ in client.notifications():
                pass


async def test_a_call_has_its_time(serve: Serve) -> None:
    server = await serve()
    async with ThrumClient(server.path) as client:
        with pytest.raises(Timeout, match=r"no answer from the daemon in 0\.05 s"):
            await client.call_within(0.05, "slow", {"text": "a"})
        api = SocketApi(server.path, timeout_s=0.05)
        with pytest.raises(Timeout):
            await asyncio.to_thread(api.call, "slow", text="a")
        api.close()


async def test_closing_fails_what_waits(serve: Serve, house: House) -> None:
    server = await serve()
    client = ThrumClient(server.path)
    await client.open()
    waiting = asyncio.create_task(client.call("slow", text="a"))
    await house.entered.wait()
    await client.close()
    with pytest.raises(DaemonUnreachable, match="the client was closed"):
        await waiting


async def test_a_token_is_presented_first(serve: Serve, house: House) -> None:
    from dataclasses import dataclass

    from thrum_kernel.api import Method

    @dataclass
    class Given:
        principal: str = "carol"
        token_id: str = "id"
        expires_us: int = 0
        is_valid: bool = True

    given: Grant = Given()
    dispatcher = house.dispatcher()
    import msgspec

    class Token(msgspec.Struct, kw_only=True):
        token: str

    def present(call: Any, params: Token) -> str:
        call.connection.present(given)
        return params.token

    dispatcher.add(
        Method(name="token.present", params=Token, result=str, handler=present, summary="", anonymous=True)
    )
    server = await serve(dispatcher=dispatcher)
    async with ThrumClient(server.path, token="tok_x") as client:
        assert await client.call("whoami", text="") == {"agent_id": "carol"}
    with SocketApi(server.path, token="tok_x") as api:
        assert await asyncio.to_thread(api.call, "whoami", text="") == {"agent_id": "carol"}


# --- blocking --------------------------------------------------------------------------------------------------------


async def in_thread(work: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(work)


async def test_the_blocking_api_numbers_its_calls(serve: Serve, house: House) -> None:
    server = await serve()

    def command() -> list[Any]:
        with SocketApi(server.path, request_id="r") as api:
            return [api.call("keep_now", text="a"), api.call("keep_now", text="b")]

    assert await in_thread(command) == [{"number": 1}, {"number": 2}]
    assert await in_thread(command) == [{"number": 1}, {"number": 2}]  # tried again: nothing happened twice
    assert house.kept == ["a", "b"]


async def test_what_guards_warn_of_is_told_beside_the_answer(serve: Serve, house: House) -> None:
    async def guard(call: Any, params: Any) -> None:
        if params.text == "odd":
            call.warnings.append("that is odd")

    dispatcher = house.dispatcher(guards=[guard])
    server = await serve(dispatcher=dispatcher)
    heard: list[str] = []

    def command() -> list[Any]:
        with SocketApi(server.path, request_id="r") as api:
            api.on_warning = heard.append
            return [api.call("keep_now", text="odd"), api.call("keep_now", text="even")]

    assert await in_thread(command) == [{"number": 1}, {"number": 2}]
    assert heard == ["that is odd"]
    await dispatcher.call("keep_now", {"text": "odd"}, caller=ALICE, warned=heard.append)
    assert heard == ["that is odd"] * 2


async def test_the_blocking_api_connects_again_after_a_restart(serve: Serve, house: House) -> None:
    server = await serve()
    api = SocketApi(server.path)
    assert await in_thread(lambda: api.call("echo", text="a")) == "a"
    await server.stop()
    again = await serve()
    assert await in_thread(lambda: api.call("echo", text="b")) == "b"
    await again.stop()
    with pytest.raises(DaemonNotRunning):
        await in_thread(lambda: api.call("echo", text="c"))
    api.close()


async def test_long_paths_work_for_both(serve: Serve, tmp_path: Path) -> None:
    folder = tmp_path / ("a" * 150)
    folder.mkdir()
    server = await serve(path=folder / "thrum.sock")
    before = os.getcwd()  # noqa: PTH109 - the string
    async with ThrumClient(server.path) as client:
        assert await client.call("echo", text="a") == "a"
    with SocketApi(server.path) as api:
        assert await in_thread(lambda: api.call("echo", text="b")) == "b"
    assert os.getcwd() == before  # noqa: PTH109
    await server.stop()
    assert list(folder.iterdir()) == []
