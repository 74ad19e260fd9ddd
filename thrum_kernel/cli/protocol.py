"""Frames of the command protocol, the daemon's side. What both sides share stands in `client`; no I/O here.

Source: DESIGN.md D4.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from thrum_kernel.cli.client import NAMES, PREFIXES, PROTOCOL, frame, pack
from thrum_kernel.errors import ThrumError

HEADER_BYTES: Final = 5
MAX_REQUEST: Final = 4 << 20
"""Longest frame from a client in bytes: its arguments may be as long as the system allows, input comes in chunks."""
CHUNK_BYTES: Final = 64 << 10


class ProtocolError(ThrumError):
    """The other side does not speak the command protocol.

    Attributes:
        reason: what was wrong with its bytes.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"command protocol: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Request:
    """A command as the client sent it.

    Attributes:
        protocol: version of these frames that the client speaks.
        version: its distribution's version; empty when it runs from source.
        request_id: the same for every try of one command.
        terminals: which of its standard streams (0, 1, 2) are terminals.
        cwd: where it says it stands; counts only where the system does not tell. Empty when it does not know.
        env: the allow-listed part of its environment.
        argv: the words after ``thrum``, bytes that are not UTF-8 as surrogates.
    """

    protocol: str
    version: str
    request_id: str
    terminals: frozenset[int]
    cwd: str
    env: Mapping[str, str]
    argv: tuple[str, ...]


class FrameReader:
    """Bytes in, frames out, whatever the pieces they come in."""

    def __init__(self, *, max_frame: int = MAX_REQUEST) -> None:
        self._held = bytearray()
        self._max = max_frame

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """``(kind, payload)`` of every frame that is complete now.

        Raises:
            ProtocolError: a frame is longer than is allowed.
        """
        held = self._held
        held += data
        found = []
        start = 0
        while len(held) - start >= HEADER_BYTES:
            size = int.from_bytes(held[start + 1 : start + HEADER_BYTES], "big")
            if size > self._max:
                raise ProtocolError(f"frame of {size} bytes")
            end = start + HEADER_BYTES + size
            if len(held) < end:
                break
            found.append((bytes(held[start : start + 1]), bytes(held[start + HEADER_BYTES : end])))
            start = end
        del held[:start]
        return found


def parse_request(payload: bytes) -> Request:
    """The request in a frame.

    Raises:
        ProtocolError: it is malformed.
    """
    fields = unpack(payload)
    if len(fields) != 7:
        raise ProtocolError(f"request of {len(fields)} fields")
    protocol, version, request_id, terminals, cwd, env, argv = fields
    return Request(
        protocol=text(protocol),
        version=text(version),
        request_id=text(request_id),
        terminals=frozenset(byte - 48 for byte in terminals if 48 <= byte <= 50),
        cwd=text(cwd),
        env=environment(unpack(env)),
        argv=tuple(text(word) for word in unpack(argv)),
    )


def speaks_our_protocol(request: Request, version: str) -> bool:
    """Whether a client fits a daemon of *version*; one from source has none and fits by its protocol."""
    return request.protocol.encode() == PROTOCOL and request.version in ("", version)


def unpack(payload: bytes) -> list[bytes]:
    """The opposite of `client.pack`.

    Raises:
        ProtocolError: a length leads past the end.
    """
    items = []
    at = 0
    while at < len(payload):
        end = at + 4 + int.from_bytes(payload[at : at + 4], "big")
        if at + 4 > len(payload) or end > len(payload):
            raise ProtocolError("a field leads past the end of its frame")
        items.append(payload[at + 4 : end])
        at = end
    return items


def environment(pairs: Sequence[bytes]) -> dict[str, str]:
    """The allowed ones of ``NAME=value``."""
    named = (pair.partition(b"=") for pair in pairs)
    return {text(name): text(value) for name, _, value in named if name in NAMES or name.startswith(PREFIXES)}


def allowed(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that a command sees."""
    return environment([os.fsencode(f"{name}={value}") for name, value in environ.items()])


def chunks(kind: bytes, data: bytes) -> bytes:
    """*data* as frames of bounded size."""
    pieces = (data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES))
    return b"".join(frame(kind, piece) for piece in pieces)


def want(path: str | None, max_bytes: int) -> bytes:
    """Payload of a frame that asks for input: the most bytes taken, and the file (none: standard input)."""
    return max_bytes.to_bytes(8, "big") + (b"" if path is None else octets(path))


def text(data: bytes) -> str:
    """Bytes of a client as text that `octets` turns back into the same bytes."""
    return data.decode("utf-8", "surrogateescape")


def octets(value: str) -> bytes:
    """The bytes that `text` was made of."""
    return value.encode("utf-8", "surrogateescape")


__all__ = [
    "FrameReader",
    "ProtocolError",
    "Request",
    "allowed",
    "chunks",
    "frame",
    "octets",
    "pack",
    "parse_request",
    "speaks_our_protocol",
    "text",
    "unpack",
    "want",
]
