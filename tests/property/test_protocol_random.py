"""The protocol core against random bytes: it never raises, never holds more than it may, and loses nothing whole."""

from __future__ import annotations

import itertools

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from thrum_kernel.bus.protocol import (
    LineReader,
    Malformed,
    Request,
    encode_malformed,
    encode_result,
    parse_frame,
    parse_one,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
IDS = st.none() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text()
REQUESTS = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "method": st.text(min_size=1, max_size=20), "id": IDS},
    optional={"params": JSON, "request_id": st.text(max_size=20), "more": JSON},
)
NOISE = st.binary(max_size=200) | st.sampled_from(
    [b"", b"\r", b"[]", b"{}", b"null", b'{"jsonrpc":"2.0"}', b"[" * 9999]
)
LINES = st.lists(
    REQUESTS.map(msgspec.json.encode) | NOISE.map(lambda noise: noise.replace(b"\n", b"")), max_size=12
)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(LINES, st.lists(st.integers(0, 10_000), max_size=20))
def test_any_stream_gives_the_same_items_however_it_is_cut(lines: list[bytes], places: list[int]) -> None:
    data = b"".join(line + b"\n" for line in lines)
    expected = [parse_one(line) for line in lines if line.strip(b" \t\r\x0b\x0c")]
    reader = LineReader()
    found = [item for piece in cut(data, places) for item in reader.feed(piece)]
    assert [_plain(item) for item in found] == [_plain(item) for item in expected]
    assert reader.held == 0


@given(st.lists(st.binary(max_size=300), max_size=20), st.integers(1, 100))
def test_it_never_raises_and_never_holds_more_than_a_line(pieces: list[bytes], limit: int) -> None:
    reader = LineReader(max_line=limit)
    fatal = 0
    for piece in pieces:
        for item in reader.feed(piece):
            if isinstance(item, Malformed):
                fatal += item.fatal
                msgspec.json.decode(encode_malformed(item))
        assert reader.held <= limit
    assert fatal <= 1
    assert reader.failed == (fatal == 1)
    longest = max(map(len, b"".join(pieces).split(b"\n")))
    assert reader.failed == (longest > limit)


@given(REQUESTS)
def test_a_request_comes_through_and_its_id_is_echoed(value: dict[str, object]) -> None:
    item = parse_one(msgspec.json.encode(value))
    assert isinstance(item, Request)
    assert item.method == value["method"]
    assert item.request_id == value.get("request_id", "")
    if "params" in value:
        assert msgspec.json.decode(item.params) == value["params"]
    answer = encode_result([1], item.id)
    assert answer.endswith(b"\n")
    assert b"\n" not in answer[:-1]
    assert msgspec.json.decode(answer) == {"jsonrpc": "2.0", "result": [1], "id": value["id"]}


@given(st.binary(max_size=400) | st.lists(REQUESTS | JSON, max_size=6).map(msgspec.json.encode))
def test_any_frame_is_requests_or_one_refusal(frame: bytes) -> None:
    parsed = parse_frame(frame)
    for item in parsed if isinstance(parsed, list) else [parsed]:
        assert isinstance(item, Request | Malformed)
        if isinstance(item, Malformed):
            assert item.code in (-32700, -32600)
            msgspec.json.decode(encode_malformed(item))


def _plain(item: Request | Malformed) -> object:
    if isinstance(item, Malformed):
        return item
    return item.method, bytes(item.params), bytes(item.id), item.request_id
