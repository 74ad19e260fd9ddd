"""JSON-RPC 2.0 without I/O: bytes in, requests out; answers and notifications to bytes.

On the Unix socket a message is one line; `LineReader` cuts the stream. On the WebSocket a message is one frame, an
object or a batch; `parse_frame` takes it apart. Both give `Request`, or `Malformed` for what is none.

- The id is echoed byte for byte. A request without one is answered too, without an id, as the reference does.
- A request may carry ``request_id`` beside ``method``: our extension, it names one try of a change and all its
  retries.
- An error's ``data`` is an object: ``hint`` and ``exit_code`` always, ``detail`` where there is more to say.

Source: DESIGN.md D7; spec/kernel.md §4.1-4.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from thrum_kernel.errors import INVALID_REQUEST, PARSE_ERROR, MethodNotFound, ThrumError

MAX_LINE_BYTES: Final = 8 * 1024 * 1024
MAX_BATCH: Final = 1000
INTERNAL_ERROR: Final = -32603

_NO_ID: Final = b""
_NULL_ID: Final = b"null"


class Request(msgspec.Struct, gc=False):
    """One request as it came.

    Attributes:
        method: name of the method.
        params: its parameters, undecoded; empty when absent.
        id: the id's bytes; empty when there is none.
        jsonrpc: ``2.0``; anything else was refused before.
        request_id: identifies this try of a change and all its retries; empty when the client gave none.
    """

    method: str
    params: msgspec.Raw = msgspec.Raw()
    id: msgspec.Raw = msgspec.Raw()
    jsonrpc: str = ""
    request_id: str = ""


class Malformed(msgspec.Struct):
    """Something that is no request, to be answered with an error.

    Attributes:
        code: -32700 not JSON, -32600 not a request.
        detail: what is wrong with it.
        id: bytes of the id to answer to.
        fatal: the stream cannot be read on; close it after the answer.
    """

    code: int
    detail: str
    id: bytes = _NULL_ID
    fatal: bool = False


Item = Request | Malformed

_decoder: Final = msgspec.json.Decoder(Request)
_batch_decoder: Final = msgspec.json.Decoder(list[msgspec.Raw])
_encoder: Final = msgspec.json.Encoder()
_encode: Final = _encoder.encode


def parse_one(data: bytes | msgspec.Raw) -> Item:
    """The request in *data*, the bytes of one JSON value."""
    try:
        request = _decoder.decode(data)
    except msgspec.ValidationError as error:
        return _refuse_shape(data, str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Malformed(PARSE_ERROR, str(error))
    if request.jsonrpc != "2.0":
        return Malformed(INVALID_REQUEST, "jsonrpc field must be '2.0'", _answerable(bytes(request.id)))
    if request.id and not _is_utf8(request.id):
        return Malformed(PARSE_ERROR, "id is not UTF-8")
    if request.id and not _is_id(bytes(request.id)):
        return Malformed(INVALID_REQUEST, "id must be a string, a number or null")
    return request


def parse_frame(data: bytes) -> Item | list[Item]:
    """What one WebSocket frame says: a request, or a batch of them in order."""
    if data.lstrip()[:1] != b"[":
        return parse_one(data)
    try:
        parts = _batch_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Malformed(PARSE_ERROR, str(error))
    if not parts:
        return Malformed(INVALID_REQUEST, "empty batch")
    if len(parts) > MAX_BATCH:
        return Malformed(INVALID_REQUEST, f"batch of {len(parts)} requests: at most {MAX_BATCH} are taken")
    return [parse_one(part) for part in parts]


def _refuse_shape(data: bytes | msgspec.Raw, reason: str) -> Malformed:
    """*data* is JSON, but not a request: find its id all the same."""
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Malformed(PARSE_ERROR, str(error))
    if isinstance(value, list):
        return Malformed(PARSE_ERROR, "a batch is taken on the WebSocket only")
    if not isinstance(value, dict):
        return Malformed(INVALID_REQUEST, "a request is a JSON object")
    identifier = _answerable(_encode(value.get("id")))
    if value.get("jsonrpc") != "2.0":
        return Malformed(INVALID_REQUEST, "jsonrpc field must be '2.0'", identifier)
    return Malformed(INVALID_REQUEST, reason, identifier)


def _is_id(data: bytes) -> bool:
    """Whether JSON may be the id of a request: a string, a number or null (JSON-RPC 2.0, section 4)."""
    return data[:1] in b'"-0123456789n'


def _answerable(data: bytes) -> bytes:
    """*data* as the id of an answer; null where it is none."""
    return data if data and _is_id(data) else _NULL_ID


def _is_utf8(data: msgspec.Raw) -> bool:
    try:
        str(data, "utf-8")
    except UnicodeDecodeError:
        return False
    return True


class LineReader:
    """Cuts a stream into lines and parses each; holds at most one line of *max_line* bytes."""

    def __init__(self, *, max_line: int = MAX_LINE_BYTES) -> None:
        self._max_line = max_line
        self._rest = bytearray()
        self.failed = False
        self.is_over = False
        """Whether the line that was too long has ended, so that its sender may read our answer now."""

    @property
    def held(self) -> int:
        """Bytes of the unfinished line."""
        return len(self._rest)

    def is_whole(self, data: bytes) -> bool:
        """Whether *data* is exactly one line, as nearly always: then `parse_one` gives what `feed` would."""
        return (
            not self._rest
            and data.find(b"\n") == len(data) - 1
            and len(data) > 1
            and len(data) <= self._max_line + 1
            and not self.failed
            and not data.isspace()
        )

    def feed(self, data: bytes) -> list[Item]:
        """The requests that *data* completes, in order. After a fatal one nothing is read any more."""
        if self.failed:
            self.is_over = self.is_over or b"\n" in data
            return []
        items: list[Item] = []
        start = 0
        while (end := data.find(b"\n", start)) >= 0 and not self.failed:
            items += self._line(self._take(data[start:end]))
            start = end + 1
        if not self.failed and start < len(data):
            items += self._hold(data[start:])
        return items

    def end(self) -> list[Item]:
        """The stream ended: a last line without its newline counts as a line."""
        rest = self._take(b"")
        return self._line(rest) if rest.strip() and not self.failed else []

    def _take(self, tail: bytes) -> bytes:
        if not self._rest:
            return tail
        self._rest += tail
        line = bytes(self._rest)
        self._rest = bytearray()
        return line

    def _hold(self, part: bytes) -> list[Item]:
        self._rest += part
        return self._overflow() if len(self._rest) > self._max_line else []

    def _line(self, line: bytes) -> list[Item]:
        if len(line) > self._max_line:
            self.is_over = True
            return self._overflow()
        return [] if line.isspace() or not line else [parse_one(line)]

    def _overflow(self) -> list[Item]:
        self.failed = True
        self._rest = bytearray()
        return [Malformed(INVALID_REQUEST, f"request exceeds {self._max_line} bytes", fatal=True)]


# --- answers ---------------------------------------------------------------------------------------------------------


def encode_result(
    result: Any, identifier: bytes | msgspec.Raw = _NO_ID, warnings: Sequence[str] = ()
) -> bytes:
    """The answer with *result*, one line; *warnings*, where there are any, stand beside it.

    Raises:
        TypeError: *result* holds something that JSON cannot say.
    """
    if warnings:
        return b'{"jsonrpc":"2.0","result":%b,"warnings":%b,"id":%b}\n' % (
            _encode(result),
            _encode(warnings),
            identifier or b"null",
        )
    if identifier:  # joining is a quarter faster than formatting, and nearly all of what an answer costs here
        return b"".join((b'{"jsonrpc":"2.0","result":', _encode(result), b',"id":', identifier, b"}\n"))
    return b'{"jsonrpc":"2.0","result":%b}\n' % _encode(result)


def encode_error(error: ThrumError, identifier: bytes | msgspec.Raw = _NO_ID) -> bytes:
    """The answer that says *error*, one line."""
    message, detail = str(error), ""
    if isinstance(error, MethodNotFound):  # the reference's wording; ours goes into the detail
        message, detail = "Method not found", message
    return _error(error.rpc_code, message, error.hint, error.exit_code, detail, identifier)


def encode_malformed(item: Malformed) -> bytes:
    """The answer to something that was no request, one line."""
    message = "Parse error" if item.code == PARSE_ERROR else "Invalid request"
    hint = "one JSON-RPC 2.0 object a line" if item.code == PARSE_ERROR else ""
    return _error(item.code, message, hint, 1, item.detail, item.id)


def encode_internal_error(identifier: bytes | msgspec.Raw = _NO_ID) -> bytes:
    """The answer when our own code failed; what failed is in the daemon's log only."""
    hint = "the daemon's log says more: thrum daemon logs"
    return _error(INTERNAL_ERROR, "Internal error", hint, 1, "", identifier)


def encode_batch(answers: list[bytes]) -> bytes:
    """The answer to a batch: its answers in order."""
    return b"[%b]\n" % b",".join(answer.rstrip(b"\n") for answer in answers)


def encode_notification(method: str, params: Any) -> bytes:
    """A notification, one line.

    Raises:
        TypeError: *params* holds something that JSON cannot say.
    """
    return b'{"jsonrpc":"2.0","method":%b,"params":%b}\n' % (_encode(method), _encode(params))


def _printable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _printable(item) for key, item in value.items()}
    return value.encode(errors="replace").decode() if isinstance(value, str) else value


def _error(
    code: int, message: str, hint: str, exit_code: int, detail: str, identifier: bytes | msgspec.Raw
) -> bytes:
    data: dict[str, Any] = {"hint": hint, "exit_code": exit_code}
    if detail:
        data["detail"] = detail
    value = {"code": code, "message": message, "data": data}
    try:
        body = _encode(value)
    except UnicodeEncodeError:  # a file name that is not UTF-8 quoted in the text
        body = _encode(_printable(value))
    if identifier:
        return b'{"jsonrpc":"2.0","error":%b,"id":%b}\n' % (body, identifier)
    return b'{"jsonrpc":"2.0","error":%b}\n' % body
