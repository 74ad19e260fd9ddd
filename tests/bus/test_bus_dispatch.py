"""The dispatcher: the order of its steps, refusals, guards, request ids, limits, and calls from inside."""

from __future__ import annotations

import asyncio
import errno
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from bus_house import ALICE, NOBODY, Empty, House, Text

from thrum_kernel.api import Caller, Method
from thrum_kernel.bus.call import Inside
from thrum_kernel.bus.dispatch import Dispatcher
from thrum_kernel.bus.protocol import Malformed, Request, parse_one
from thrum_kernel.errors import (
    AnonymousCaller,
    GuardFired,
    IdentityAmbiguous,
    MethodNotFound,
    NotFound,
    ParamsInvalid,
    Projecting,
    Refused,
    RequestDone,
    ShuttingDown,
    StoreFull,
    ThrumError,
    Timeout,
)
from thrum_kernel.testing.waiting import until_on_loop as until

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def request(method: str, request_id: str = "", /, **params: Any) -> Request:
    value = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params, "request_id": request_id}
    item = parse_one(msgspec.json.encode(value))
    assert isinstance(item, Request)
    return item


async def ask(dispatcher: Dispatcher, item: Request, caller: Caller | Callable[[str], Caller] = ALICE) -> Any:
    """What a client on the Unix socket would get, over the three ways to an answer."""
    connection = Inside(caller, transport="unix")
    answer = dispatcher.answer_now(item, connection)
    if answer is None and (change := dispatcher.begin(item, connection)) is not None:
        answer = await change
    return msgspec.json.decode(answer if answer is not None else await dispatcher.answer(item, connection))


# --- the order of the steps ------------------------------------------------------------------------------------------


async def test_each_step_is_told_before_the_next_is_taken(house: House) -> None:
    async def guard(call: Any, params: Any) -> None:
        raise Refused("not today")

    def who(claim: str) -> Caller:
        house.resolved += 1
        return NOBODY

    dispatcher = house.dispatcher(guards=[guard])
    code = [
        (await ask(dispatcher, item, who))["error"]["code"]
        for item in (request("x", text=1), request("keep_now"))
    ]
    assert code == [-32601, -32602]
    assert house.resolved == 0
    assert (await ask(dispatcher, request("keep_now", text="a"), who))["error"]["code"] == -32002
    assert house.resolved == 1
    assert (await ask(dispatcher, request("keep_now", text="a")))["error"]["message"] == "not today"
    assert house.kept == []


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({}, "text is required"),
        ({"text": 1}, "text: expected str, got int"),
        ({"text": "a", "more": 1}, "unknown parameter: more"),
        ([1], "parameters: expected object, got array"),
        ({"text": None}, "text: expected str, got null"),
    ],
)
async def test_wrong_parameters_are_named(house: House, params: Any, text: str) -> None:
    raw = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": "echo", "params": params})
    item = parse_one(raw)
    assert isinstance(item, Request)
    error = (await ask(house.dispatcher(), item))["error"]
    assert (error["code"], error["message"]) == (-32602, text)


@pytest.mark.parametrize("raw", ["{}", "[]", " [1]", '{"a":1}', "true", "false"])
@pytest.mark.parametrize(
    "more", ['"jsonrpc":"2.0","method":"health"', '"jsonrpc":"2.0"', '"method":"health"']
)
def test_an_id_that_is_none_is_an_invalid_request(raw: str, more: str) -> None:
    item = parse_one(f'{{"id":{raw},{more}}}'.encode())
    assert isinstance(item, Malformed)
    assert (item.code, item.id) == (-32600, b"null")


@pytest.mark.parametrize("raw", ['"a"', "1", "-1.5", "0", "null", ' "b"'])
def test_strings_numbers_and_null_are_ids(raw: str) -> None:
    item = parse_one(f'{{"id": {raw},"jsonrpc":"2.0","method":"health"}}'.encode())
    assert isinstance(item, Request)


@pytest.mark.parametrize("raw", [b"", b',"params":null', b',"params":{}'])
async def test_absent_parameters_are_none(house: House, raw: bytes) -> None:
    item = parse_one(b'{"jsonrpc":"2.0","id":1,"method":"health"' + raw + b"}")
    assert isinstance(item, Request)
    assert (await ask(house.dispatcher(), item))["result"] == {"status": "ok"}


@pytest.mark.parametrize("method", ["whoami", "slow", "poll", "keep", "keep_now"])
async def test_an_anonymous_caller_gets_only_what_is_open(house: House, method: str) -> None:
    dispatcher = house.dispatcher()
    error = (await ask(dispatcher, request(method, text="a"), NOBODY))["error"]
    assert error["code"] == -32002
    assert error["message"].startswith(f'anonymous caller cannot invoke "{method}": cd into a registered')
    house.gate.set()
    assert (await ask(dispatcher, request("join", text="a"), NOBODY))["result"] == {"number": 1}
    assert (await ask(dispatcher, request("echo", text="a"), NOBODY))["result"] == "a"


async def test_a_forged_claim_is_refused_also_for_open_changes(house: House) -> None:
    def who(claim: str) -> Caller:
        raise GuardFired("unauthenticated_rpc", "identity_mismatch")

    error = (await ask(house.dispatcher(), request("join", text="a", caller_agent_id="bob"), who))["error"]
    assert error["code"] == -32010
    assert house.kept == []


async def test_a_method_exists_only_on_its_transports(house: House) -> None:
    dispatcher = Dispatcher(provided_by={"tmux.create": "thrum-tmux"}.get)
    dispatcher.add(replace(house.methods()[0], name="inner", transports=frozenset({"internal"})))
    error = (await ask(dispatcher, request("inner")))["error"]
    assert (error["code"], error["message"]) == (-32601, "Method not found")
    assert error["data"]["detail"] == "method 'inner' is not registered"
    assert await dispatcher.call("inner", caller=ALICE) == {"status": "ok"}
    with pytest.raises(MethodNotFound) as raised:
        await dispatcher.call("tmux.create", caller=ALICE)
    assert raised.value.hint == "install thrum-tmux from where this thrum came from"


async def test_methods_are_added_once_and_removed(house: House) -> None:
    dispatcher = house.dispatcher()
    with pytest.raises(ValueError, match="health is already registered"):
        dispatcher.add(house.methods()[0])
    with pytest.raises(ValueError, match="must be a msgspec"):
        dispatcher.add(replace(house.methods()[0], name="other", params=dict))
    dispatcher.remove("health")
    assert "health" not in dispatcher.methods
    assert (await ask(dispatcher, request("health")))["error"]["code"] == -32601


# --- errors ----------------------------------------------------------------------------------------------------------


async def test_an_error_on_purpose_is_told_with_hint_and_exit_status(house: House) -> None:
    error = (await ask(house.dispatcher(), request("missing", text="x")))["error"]
    expected = {"hint": "look elsewhere", "exit_code": 1}
    assert error == {"code": -32004, "message": "thing not found: x", "data": expected}


@pytest.mark.parametrize("method", ["fail", "fail_async", "odd"])
async def test_a_failure_is_logged_once_and_told_without_internals(
    house: House, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    answer = await ask(house.dispatcher(), request(method))
    assert answer["error"]["message"] == "Internal error"
    assert answer["error"]["code"] == -32603
    assert "secret" not in str(answer)
    assert [record.exc_info is not None for record in caplog.records] == [True]


async def test_a_text_that_is_not_utf8_can_be_told(house: House) -> None:
    dispatcher = Dispatcher()

    def handler(call: Any, params: Any) -> None:
        raise NotFound("file", "a\udcff")

    dispatcher.add(Method(name="x", params=Empty, result=Any, handler=handler, summary="", anonymous=True))
    assert (await ask(dispatcher, request("x")))["error"]["message"] == "file not found: a?"


async def test_what_takes_too_long_is_ended_a_change_goes_on(house: House) -> None:
    dispatcher = house.dispatcher(limit_s=0.05, long_poll_limit_s=0.1)
    assert (await ask(dispatcher, request("slow", text="a")))["error"]["code"] == -32035
    assert (await ask(dispatcher, request("poll", text="b")))["error"]["code"] == -32035
    assert house.cancelled == ["a", "b"]
    error = (await ask(dispatcher, request("keep", "r.1", text="c")))["error"]
    assert "it goes on, and the same request id asks for its outcome" in error["message"]
    retry = asyncio.create_task(ask(dispatcher, request("keep", "r.1", text="c")))
    await until(lambda: dispatcher.active == 1)
    house.gate.set()
    assert (await retry)["result"] == {"number": 1}
    assert house.kept == ["c"]


async def test_a_change_that_fails_after_its_client_had_gone_is_logged(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(call: Any, params: Any) -> None:
        await house.gate.wait()
        raise RuntimeError("too late")

    dispatcher = Dispatcher(limit_s=0.01)
    dispatcher.add(Method(name="x", params=Empty, result=Any, handler=handler, summary="", mutates=True))
    await ask(dispatcher, request("x"))
    house.gate.set()
    await until(lambda: any(record.levelno == logging.ERROR for record in caplog.records))


# --- guards ----------------------------------------------------------------------------------------------------------


async def test_guards_judge_changes_only_and_in_order(house: House) -> None:
    asked: list[str] = []

    async def first(call: Any, params: Any) -> None:
        asked.append(f"first {call.method} {call.caller.agent_id} {params.text}")

    async def second(call: Any, params: Any) -> None:
        asked.append("second")
        if params.text == "bad":
            raise Refused("no")

    dispatcher = house.dispatcher(guards=[first, second])
    await ask(dispatcher, request("echo", text="x"))
    assert asked == []
    assert (await ask(dispatcher, request("keep_now", text="good")))["result"] == {"number": 1}
    assert (await ask(dispatcher, request("keep_now", text="bad")))["error"]["message"] == "no"
    assert asked == ["first keep_now alice good", "second", "first keep_now alice bad", "second"]


@pytest.mark.parametrize("hangs", [True, False])
async def test_a_guard_that_fails_or_hangs_refuses(
    house: House, caplog: pytest.LogCaptureFixture, hangs: bool
) -> None:
    async def guard(call: Any, params: Any) -> None:
        if hangs:
            await asyncio.sleep(60)
        raise RuntimeError("broken")

    dispatcher = house.dispatcher(guards=[guard], limit_s=0.05)
    error = (await ask(dispatcher, request("keep_now", text="x")))["error"]
    assert error["message"].startswith('identity guard "guard" fired: guard_failed')
    assert house.kept == []


# --- several identities ----------------------------------------------------------------------------------------------


async def test_who_is_ambiguous_may_be_identified(house: House) -> None:
    def who(claim: str) -> Caller:
        raise IdentityAmbiguous(["alice", "bob"])

    assert (await ask(house.dispatcher(), request("whoami", text=""), who))["error"]["code"] == -32012

    async def identify(call: Any, error: IdentityAmbiguous) -> Caller | None:
        return Caller(kind="agent", agent_id=error.candidates[1]) if call.method == "whoami" else None

    dispatcher = house.dispatcher(identify=identify)
    assert (await ask(dispatcher, request("whoami", text=""), who))["result"] == {"agent_id": "bob"}
    assert (await ask(dispatcher, request("slow", text=""), who))["error"]["code"] == -32012
    assert (await ask(dispatcher, request("keep_now", text=""), who))["error"]["code"] == -32012


# --- request ids -----------------------------------------------------------------------------------------------------


async def test_a_retry_joins_the_change_in_flight_and_later_gets_its_answer(house: House) -> None:
    dispatcher = house.dispatcher()
    tries = [asyncio.create_task(ask(dispatcher, request("keep", "r.1", text="a"))) for _ in range(3)]
    await house.entered.wait()
    house.gate.set()
    assert [(await each)["result"] for each in tries] == [{"number": 1}] * 3
    assert (await ask(dispatcher, request("keep", "r.1", text="a")))["result"] == {"number": 1}
    assert (await ask(dispatcher, request("keep", "r.2", text="a")))["result"] == {"number": 2}
    assert (await ask(dispatcher, request("keep_now", "r.1", text="other method")))["result"] == {"number": 3}
    bob = Caller(kind="agent", agent_id="bob")
    assert (await ask(dispatcher, request("keep", "r.1", text="bob's"), bob))["result"] == {"number": 4}


async def test_a_killed_clients_change_is_joined_by_its_retry(house: House) -> None:
    dispatcher = house.dispatcher()
    first = asyncio.create_task(ask(dispatcher, request("keep", "r.1", text="a")))
    await house.entered.wait()
    first.cancel()
    retry = asyncio.create_task(ask(dispatcher, request("keep", "r.1", text="a")))
    await asyncio.sleep(0)
    house.gate.set()
    assert (await retry)["result"] == {"number": 1}
    assert house.kept == ["a"]


async def test_answers_are_forgotten_after_ten_minutes(house: House) -> None:
    now = [0.0]
    dispatcher = house.dispatcher(now=lambda: now[0])
    for minute, expected in ((0, 1), (9.9, 1), (10.1, 2)):
        now[0] = minute * 60
        assert (await ask(dispatcher, request("keep_now", "r.1", text="a")))["result"] == {"number": expected}


async def test_a_full_disk_is_no_internal_error() -> None:
    def handler(call: Any, params: Any) -> int:
        raise sqlite3.OperationalError("database or disk is full")

    dispatcher = Dispatcher()
    dispatcher.add(Method(name="x", params=Empty, result=int, handler=handler, summary=""))

    assert (await ask(dispatcher, request("x")))["error"]["message"] == "no space left on the disk"


@pytest.mark.parametrize("name", ["/repo/.thrum/config.json", "/repo/.thrum/config.json/.x.json.1f.tmp"])
async def test_a_file_that_may_not_be_used_is_no_internal_error(name: str) -> None:
    def handler(call: Any, params: Any) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", name)

    dispatcher = Dispatcher()
    dispatcher.add(Method(name="x", params=Empty, result=int, handler=handler, summary=""))

    error = (await ask(dispatcher, request("x")))["error"]
    assert error["message"] == "/repo/.thrum/config.json: cannot be used: Permission denied"
    assert error["data"]["hint"] == "check what it is, and its permissions"


async def test_a_failed_change_is_tried_again(house: House) -> None:
    tries: list[str] = []

    async def handler(call: Any, params: Any) -> int:
        tries.append(call.request_id)
        if len(tries) == 1:
            raise StoreFull("/")
        return len(tries)

    dispatcher = Dispatcher()
    dispatcher.add(Method(name="x", params=Empty, result=int, handler=handler, summary="", mutates=True))
    assert (await ask(dispatcher, request("x", "r.1")))["error"]["code"] == -32021
    assert (await ask(dispatcher, request("x", "r.1")))["result"] == 2
    assert (await ask(dispatcher, request("x", "r.1")))["result"] == 2


async def test_after_a_restart_the_answer_is_made_from_the_events(house: House) -> None:
    log = {"r.1": ["event one"], "r.2": ["of somebody else"]}

    def recall(call: Any, events: list[str]) -> dict[str, Any]:
        if events == ["of somebody else"]:
            raise LookupError
        return {"from": events}

    dispatcher = Dispatcher(recall=lambda request_id: log.get(request_id, []))
    keep = next(method for method in house.methods() if method.name == "keep_now")
    dispatcher.add(replace(keep, recall=recall))
    dispatcher.add(replace(keep, name="unknown"))
    assert (await ask(dispatcher, request("keep_now", "r.1", text="a")))["result"] == {"from": ["event one"]}
    assert (await ask(dispatcher, request("unknown", "r.1", text="a")))["error"][
        "code"
    ] == RequestDone.rpc_code
    assert house.kept == []
    assert (await ask(dispatcher, request("keep_now", "r.2", text="b")))["result"] == {"number": 1}
    assert (await ask(dispatcher, request("keep_now", "r.3", text="c")))["result"] == {"number": 2}


# --- calls from inside -----------------------------------------------------------------------------------------------


async def test_a_call_from_inside_gives_plain_values_and_raises_what_is_meant(house: House) -> None:
    class Result(msgspec.Struct):
        name: str
        parts: tuple[int, ...]

    dispatcher = house.dispatcher()
    result = Result("n", (1, 2))
    dispatcher.add(
        Method(name="r", params=Empty, result=Result, handler=lambda call, params: result, summary="")
    )
    assert await dispatcher.call("r", caller=ALICE) == {"name": "n", "parts": [1, 2]}
    for params, error in (
        ({"text": 1}, ParamsInvalid),
        ({}, ParamsInvalid),
        ({"text": "a", "b": 1}, ParamsInvalid),
    ):
        with pytest.raises(error):
            await dispatcher.call("echo", params, caller=ALICE)
    with pytest.raises(NotFound):
        await dispatcher.call("missing", {"text": "a"}, caller=ALICE)
    with pytest.raises(AnonymousCaller):
        await dispatcher.call("keep_now", {"text": "a"}, caller=lambda claim: NOBODY)
    with pytest.raises(ZeroDivisionError):
        await dispatcher.call("fail", caller=ALICE)


async def test_inside_effects_of_shown_are_the_callers_affair(house: House) -> None:
    dispatcher = house.dispatcher()
    await dispatcher.call("show", {"text": "a"}, caller=ALICE)
    assert house.shown == ["a"]
    effects: list[Callable[[], None]] = []
    subscribed: list[tuple[str, str]] = []
    await dispatcher.call("show", {"text": "b"}, caller=ALICE, shown=effects.append)
    await dispatcher.call(
        "hear", {"text": "t"}, caller=ALICE, subscribe=lambda *pair: subscribed.append(pair)
    )
    assert house.shown == ["a"]
    effects[0]()
    assert house.shown == ["a", "b"]
    assert subscribed == [("t", "heard")]


async def test_inside_request_ids_count_too(house: House) -> None:
    dispatcher = house.dispatcher()
    house.gate.set()
    for _ in range(2):
        assert await dispatcher.call("keep", {"text": "a"}, caller=ALICE, request_id="r.1") == {"number": 1}


async def test_draining_lets_accepted_work_call_inside(house: House) -> None:
    dispatcher = house.dispatcher()

    async def composed(call: Any, params: Any) -> Any:
        await house.gate.wait()
        return await dispatcher.call("keep_now", {"text": "inner"}, caller=call.caller)

    dispatcher.add(
        Method(name="composed", params=Empty, result=Any, handler=composed, summary="", mutates=True)
    )
    running = asyncio.create_task(ask(dispatcher, request("composed")))
    await until(lambda: dispatcher.active == 1)
    draining = asyncio.create_task(dispatcher.drain())
    await until(lambda: dispatcher.is_draining)
    assert not draining.done()
    house.gate.set()
    assert (await running)["result"] == {"number": 1}
    assert await draining


@pytest.mark.parametrize("request_id", ["", "r1"])
async def test_a_change_that_the_next_daemon_goes_on_with_is_not_waited_for(
    house: House, request_id: str
) -> None:
    dispatcher = house.dispatcher()
    ended: list[str] = []

    async def lasting(call: Any, params: Any) -> Any:
        house.entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("left")

    dispatcher.add(
        Method(
            name="lasting",
            params=Empty,
            result=Any,
            handler=lasting,
            summary="",
            mutates=True,
            long_poll=True,
            resumes=True,
        )
    )
    running = asyncio.create_task(
        dispatcher.call("lasting", {}, caller=ALICE, request_id=request_id, transport="unix")
    )
    await house.entered.wait()
    assert await dispatcher.drain(limit_s=5)
    assert ended == ["left"]
    with pytest.raises(ShuttingDown):
        await running


async def test_drain_gives_up_in_time(house: House) -> None:
    dispatcher = house.dispatcher()
    running = asyncio.create_task(ask(dispatcher, request("slow", text="a")))
    await house.entered.wait()
    assert not await dispatcher.drain(limit_s=0.05)
    house.gate.set()
    await running


async def test_projecting_is_told_before_the_caller_is_looked_for(house: House) -> None:
    dispatcher = house.dispatcher(state=lambda: Projecting(7))
    with pytest.raises(Projecting, match="projecting 7 %"):
        await dispatcher.call("whoami", {"text": ""}, caller=house.resolve)  # type: ignore[arg-type]
    assert house.resolved == 0


async def test_a_timeout_inside_is_told_as_one(house: House) -> None:
    with pytest.raises(Timeout):
        await house.dispatcher(limit_s=0.01).call("slow", {"text": "a"}, caller=ALICE)


# --- rpc.describe ----------------------------------------------------------------------------------------------------


async def test_describe_lists_every_method_with_schemas(house: House) -> None:
    dispatcher = house.dispatcher()

    class Odd:
        pass

    dispatcher.add(Method(name="zz.odd", params=Text, result=Odd, handler=print, summary="", long_poll=True))
    described = await dispatcher.call("rpc.describe", caller=NOBODY)
    names = [method["name"] for method in described["methods"]]
    assert names == sorted(dispatcher.methods)
    keep = next(method for method in described["methods"] if method["name"] == "keep_now")
    assert keep["mutates"] is True
    schema = described["$defs"][keep["params"]["$ref"].rpartition("/")[2]]
    assert schema["required"] == ["text"]
    assert schema["additionalProperties"] is False
    one = await dispatcher.call("rpc.describe", {"method": "zz.odd"}, caller=NOBODY)
    assert [(method["name"], method["result"], method["long_poll"]) for method in one["methods"]] == [
        ("zz.odd", {}, True)
    ]


def test_every_error_of_ours_is_a_thrum_error() -> None:
    assert issubclass(RequestDone, ThrumError)
