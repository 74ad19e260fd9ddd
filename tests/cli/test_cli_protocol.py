"""Frames of the command protocol: both sides agree, and no bytes do harm."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from thrum_kernel.cli import client
from thrum_kernel.cli.protocol import (
    FrameReader,
    ProtocolError,
    chunks,
    octets,
    parse_request,
    speaks_our_protocol,
    text,
    unpack,
)

WORDS = st.binary(max_size=40).filter(lambda word: b"\0" not in word)


@given(st.lists(WORDS, max_size=6), WORDS, st.sampled_from([b"", b"0", b"012"]))
def test_a_request_arrives_as_it_was_made(argv: list[bytes], cwd: bytes, terminals: bytes) -> None:
    environ = {b"HOME": b"/home/x", b"THRUM_NAME": b"caf\xe9=1", b"SECRET": b"s", b"LC_ALL": b"C"}
    made = client.request(b"ab12", argv, cwd, environ, terminals)

    ((kind, payload),) = FrameReader().feed(made)
    request = parse_request(payload)

    assert kind == client.REQUEST
    assert [octets(word) for word in request.argv] == argv
    assert octets(request.cwd) == cwd
    assert request.env == {"HOME": "/home/x", "THRUM_NAME": text(b"caf\xe9=1"), "LC_ALL": "C"}
    assert request.terminals == {byte - 48 for byte in terminals}
    assert request.request_id == "ab12"
    assert speaks_our_protocol(request, "1.2.3")


def test_variables_that_are_not_allowed_are_dropped_on_arrival_too() -> None:
    fields = client.PROTOCOL, b"", b"id", b"", b"/", client.pack([b"SECRET=s", b"TMUX=1", b"TERM=x"]), b""

    assert parse_request(client.pack(fields)).env == {"TMUX": "1", "TERM": "x"}


def test_another_version_or_protocol_does_not_fit() -> None:
    request = parse_request(client.pack((b"1", b"0.11.0", b"", b"", b"", b"", b"")))
    newer = parse_request(client.pack((b"2", b"", b"", b"", b"", b"", b"")))

    assert speaks_our_protocol(request, "0.11.0")
    assert not speaks_our_protocol(request, "0.12.0")
    assert not speaks_our_protocol(newer, "0.11.0")


@given(st.lists(st.tuples(st.sampled_from([b"D", b"Z"]), st.binary(max_size=300)), max_size=8), st.data())
def test_frames_survive_any_cut(frames: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    stream = b"".join(client.frame(kind, payload) for kind, payload in frames)
    reader, found = FrameReader(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += reader.feed(stream[:size])
        stream = stream[size:]

    assert found == frames


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_or_wait_for_more(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        for _, payload in FrameReader(max_frame=1000).feed(data):
            parse_request(payload)
    with contextlib.suppress(ProtocolError):
        assert client.pack(unpack(data)) == data


@given(st.binary(max_size=200_000))
def test_output_in_chunks_is_the_same_output(data: bytes) -> None:
    frames = FrameReader().feed(chunks(client.OUT, data))

    assert b"".join(payload for _, payload in frames) == data
    assert all(payload for _, payload in frames)
