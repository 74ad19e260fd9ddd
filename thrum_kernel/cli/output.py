"""Where a command writes. Lines for people or one JSON value for programs, never both, never a control character.

`Output` collects bytes and gives them to a *sink*, which sends them to the client or writes them to the process's own
descriptors; it never touches ``sys``. The JSON value is written by `close`, so that hints given after it still go in
and a command that fails writes none.

Source: spec/decisions.md "The command line, everywhere"; spec/features.md §12.3.
"""

from __future__ import annotations

import itertools
import json as stdlib_json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

from thrum_kernel.errors import ThrumError, UsageError

STDOUT: Final = 1
STDERR: Final = 2

Sink = Callable[[int, bytes], None]
"""``(descriptor, data)``: takes output in the order it was written; may block while the reader is slow."""

_KEEP = {ord("\n"), ord("\t")}
_STRIP: Final = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in _KEEP}
_ESCAPE: Final = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}
_CODE: Final = re.compile(r"[a-z][a-z_-]*(\.[a-z][a-z_-]*)+(?=:? )")
_FLUSH_BYTES: Final = 64 << 10
_NOTHING: Final = object()


@dataclass(frozen=True, slots=True)
class Option:
    """One way on from a hint: what it does, the command, a remark."""

    label: str
    cmd: str
    note: str = ""

    def as_json(self) -> dict[str, str]:
        return {"label": self.label, "cmd": self.cmd} | ({"note": self.note} if self.note else {})


@dataclass(frozen=True, slots=True)
class Hint:
    """Something worth knowing beside the answer, with a code that stays."""

    code: str
    severity: Literal["info", "warn"]
    message: str
    options: Sequence[Option] = field(default_factory=tuple)

    def as_json(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "options": [option.as_json() for option in self.options],
        }


class Output:
    """Lines, one JSON value, notes and errors of one command.

    Attributes:
        as_json: one JSON value is wanted: lines are dropped.
        quiet: hints are dropped.
        command: the command as it is typed, once it is known; its help is the hint where wrong usage has none.
        hints: those given so far, in order.
        answer: the value given to `json`, in either mode.
    """

    def __init__(self, sink: Sink, *, env: Mapping[str, str] | None = None) -> None:
        self._sink = sink
        self._lock = threading.Lock()
        self._pending: list[tuple[int, bytes]] = []
        self._pending_bytes = 0
        self._value: Any = _NOTHING
        self._dropped: list[str] = []
        self._warnings: list[str] = []
        self._wrote_raw = False
        self._aborted = False
        self._hints_wanted = (env or {}).get("THRUM_NO_HINTS", "").lower() in ("", "0", "false")
        self.as_json = False
        self.quiet = False
        self.command = ""
        self.hints: list[Hint] = []
        self.answer: Any = None

    def line(self, text: str = "") -> None:
        """A line (or several) for people, on standard output."""
        if self.as_json:
            self._dropped.append(clean(text))
        else:
            self._write(STDOUT, _encode(clean(text) + "\n"))

    def json(self, value: Any) -> None:
        """The JSON value, in JSON mode; ignored for people. Structs and dataclasses will do.

        Raises:
            RuntimeError: there is one already.
        """
        self.answer = value
        if not self.as_json:
            return
        if self._value is not _NOTHING:
            raise RuntimeError("a command prints exactly one JSON value")
        self._value = value

    def note(self, text: str) -> None:
        """A line beside the answer, on standard error."""
        self._write(STDERR, _encode(clean(text) + "\n"))

    def error(self, text: str, *, hint: str = "") -> None:
        """``Error: <text>`` and what to do next, on standard error; does not set the exit status."""
        self.note(f"Error: {text}")
        if hint:
            self.note(f"Hint: {hint}")

    def failure(self, error: ThrumError) -> None:
        """The lines of an error."""
        see = f"{self.command} --help" if self.command and error.rpc_code == UsageError.rpc_code else ""
        self.error(str(error), hint=error.hint or see)

    def warn(self, text: str) -> None:
        """Something that is wrong and stops nothing: ``Warning: <text>`` on standard error, in JSON mode a hint."""
        if self.as_json:
            self._warnings.append(clean(text))
        else:
            self.note(f"Warning: {text}")

    @property
    def shows_hints(self) -> bool:
        """Whether a hint would reach anybody."""
        return self._hints_wanted and (self.as_json or not self.quiet)

    def abort(self, error: str) -> None:
        """Have `close` print, in JSON mode, that hints stopped the command: a failure with a value."""
        self._value, self._aborted = {"error": error, "aborted": True, "hints": []}, True

    def hint(
        self,
        code: str,
        message: str,
        *,
        severity: Literal["info", "warn"] = "info",
        options: Sequence[Option] = (),
    ) -> None:
        """Something worth knowing; in JSON mode it goes into the object, else to standard error at the end."""
        if self._hints_wanted:
            self.hints.append(Hint(code, severity, message, tuple(options)))

    def raw(self, data: bytes) -> None:
        """Bytes as they are, on standard output: archives and the like, never text from others."""
        self._wrote_raw = True
        self._write(STDOUT, data)

    def flush(self) -> None:
        """Hand what was written to the sink."""
        with self._lock:
            pending, self._pending, self._pending_bytes = self._pending, [], 0
        for descriptor, chunks in itertools.groupby(pending, key=lambda chunk: chunk[0]):
            self._sink(descriptor, b"".join(data for _, data in chunks))

    def close(self, *, failed: bool = False) -> None:
        """Write the JSON value and the hints, and flush; a *failed* command prints no value, unless `abort` gave one."""
        if self.as_json and (self._aborted or not failed):
            self._close_json()
        elif self.as_json:
            self._write_warnings()
        elif not self.quiet and not self.as_json:
            self._write_hints()
        self.flush()

    def discard(self) -> None:
        """Forget everything that has not reached the sink: the command starts again."""
        with self._lock:
            self._pending, self._pending_bytes = [], 0
        self._value, self._dropped, self._wrote_raw, self._aborted = _NOTHING, [], False, False
        self._warnings.clear()
        self.hints.clear()
        self.answer = None

    def _close_json(self) -> None:
        if self._value is _NOTHING:
            if self._wrote_raw:
                self._write_warnings()
                return
            self._value = {"message": "\n".join(self._dropped)} if self._dropped else {}
        value = msgspec.to_builtins(self._value)
        if isinstance(value, dict) and self._hints_wanted:
            hints = [*map(_warning, self._warnings), *self.hints]
            value = {**value, "hints": [hint.as_json() for hint in hints]} if hints else value
        else:
            self._write_warnings()
            if not self.quiet:
                self._write_hints()
        self._write(STDOUT, encode_json(value) + b"\n")

    def _write_warnings(self) -> None:
        """Warnings that no JSON value can hold."""
        for text in self._warnings:
            self.note(f"Warning: {text}")

    def _write_hints(self) -> None:
        for hint in sorted(self.hints, key=lambda hint: hint.severity != "warn"):
            self.note(f"\n  {hint.severity} [{hint.code}]: {hint.message}")
            width = max((len(option.label) for option in hint.options), default=0)
            for option in hint.options:
                remark = f"    ({option.note})" if option.note else ""
                self.note(f"    {option.label + ':':<{width + 1}} {option.cmd}{remark}")

    def _write(self, descriptor: int, data: bytes) -> None:
        with self._lock:
            self._pending.append((descriptor, data))
            self._pending_bytes += len(data)
            full = self._pending_bytes > _FLUSH_BYTES
        if full:
            self.flush()


def _warning(text: str) -> Hint:
    """A warning as a hint: its first word is the code where that looks like one."""
    found = _CODE.match(text)
    return Hint(found.group() if found else "runtime.warn", "warn", text)


def clean(text: str) -> str:
    """*text* without control characters, except line feeds and tabs: nothing can drive the reader's terminal."""
    return text.translate(_STRIP)


def encode_json(value: Any) -> bytes:
    """*value* as commands print it: two spaces, a blank after each colon, controls escaped."""
    try:
        text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    except UnicodeEncodeError:  # a name that is no UTF-8
        text = stdlib_json.dumps(value, indent=2)
    return text.translate(_ESCAPE).encode()


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "replace")
