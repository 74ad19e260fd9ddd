"""What the daemon and the runner say to each other: one JSON object a line, each with its kind.

A *run* is one launch of a monitor's command; its id is drawn anew each time, so a late word about an earlier launch is
never taken for one about this.
"""

from __future__ import annotations

from typing import Final

import msgspec


class _Frame(msgspec.Struct, tag_field="kind", kw_only=True, omit_defaults=True):
    """Base of all frames; its tag is the class's name."""


# --- the daemon asks -------------------------------------------------------------------------------------------------


class Launch(_Frame, tag="launch"):
    """Fork a child for *run*; it waits at a pipe until `Go`.

    ``env`` is its whole environment, ``secrets`` are values in it that nobody is shown. ``bytes_a_second`` is how much
    of its output is looked at.
    """

    run: str
    monitor: str
    argv: list[str]
    env: dict[str, str]
    cwd: str
    pattern: str
    bytes_a_second: int
    secrets: list[str] = []


class Go(_Frame, tag="go"):
    """Who it is has been written down: let it become the command."""

    run: str


class Stop(_Frame, tag="stop"):
    """End it and all of its session: TERM, and KILL for what is left after ``grace_s`` seconds."""

    run: str
    grace_s: float


class Show(_Frame, tag="show"):
    """Ask for the last ``limit`` lines of a monitor's output; answered by `Lines` with the same ``ask``."""

    ask: int
    monitor: str
    limit: int


class Forget(_Frame, tag="forget"):
    """Throw away what is kept of a monitor's output."""

    monitor: str


class Ping(_Frame, tag="ping"):
    """Are you there? Answered by `Pong`."""


# --- the runner tells ------------------------------------------------------------------------------------------------


class Waiting(_Frame, tag="waiting"):
    """The child is there and waits for `Go`."""

    run: str
    pid: int


class Running(_Frame, tag="running"):
    """The command runs."""

    run: str


class Matched(_Frame, tag="matched"):
    """``count`` lines matched since the last such word; ``lines`` are the first two of them."""

    run: str
    count: int
    lines: list[str]


class Skipped(_Frame, tag="skipped"):
    """``count`` bytes of output were thrown away unseen since the last such word: there was too much of it."""

    run: str
    count: int


class Ended(_Frame, tag="ended"):
    """The run is over, and nothing of its session is left.

    ``status`` is the exit status, negative for a signal, 127 with ``error`` when the command could not be started.
    ``left`` counts processes that did not go away even when killed.
    """

    run: str
    status: int
    error: str = ""
    left: int = 0


class Lines(_Frame, tag="lines"):
    """Lines of output, oldest first: when they came in microseconds since 1970, and what they say."""

    ask: int
    lines: list[tuple[int, str]]


class Pong(_Frame, tag="pong"):
    """It is."""


Order = Launch | Go | Stop | Show | Forget | Ping
Word = Waiting | Running | Matched | Skipped | Ended | Lines | Pong

_encoder: Final = msgspec.json.Encoder()
decode_order: Final = msgspec.json.Decoder(Order).decode
decode_word: Final = msgspec.json.Decoder(Word).decode


def encode(frame: Order | Word) -> bytes:
    """One line with its newline."""
    return _encoder.encode(frame) + b"\n"
