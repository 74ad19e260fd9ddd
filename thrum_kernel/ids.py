"""Identifiers: ULIDs of a hybrid logical clock, and the prefixes that say what an id names.

A ULID here is 48 bits of milliseconds, 16 bits of a logical counter and 64 random bits, so ids made by one clock
ascend strictly, and ids made after seeing another daemon's ids sort after them. The first 63 significant bits give
`ulid_key`, an integer in the same order, which the projection uses as primary key of messages.

Source: DESIGN.md D2; spec/kernel.md §2.4.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
import threading
from collections.abc import Callable
from typing import Final

from thrum_kernel.clock import Clock

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = tuple(first + second for first in ALPHABET for second in ALPHABET)
_DECODE: Final = {char: value for value, char in enumerate(ALPHABET)}
_TO_BASE32: Final = bytes.maketrans(ALPHABET.encode(), b"0123456789ABCDEFGHIJKLMNOPQRSTUV")
_TO_BASE32_OR_FAIL: Final = bytes(_TO_BASE32[n] if chr(n) in ALPHABET else 0x21 for n in range(256))
_SHIFTS: Final = tuple(range(120, -1, -10))
_ULID: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")

KEY_EPOCH_MS: Final = 1_577_836_800_000  # 2020-01-01: 41 bits of milliseconds from here last until 2089
_TAILS: Final = struct.Struct(">64Q")
MAX_AHEAD_MS: Final = 24 * 3600 * 1000


def encode_ulid(number: int) -> str:
    """The 26 characters of a 128-bit *number*."""
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in _SHIFTS])


def decode_ulid(text: str) -> int:
    """The 128-bit number of a ULID.

    Raises:
        ValueError: *text* is not a ULID in upper case.
    """
    if not _ULID.fullmatch(text):
        raise ValueError(f"not a ULID: {text!r}")
    number = 0
    for char in text:
        number = number << 5 | _DECODE[char]
    return number


def is_ulid(text: str) -> bool:
    """Whether *text* is a ULID in upper case."""
    return _ULID.fullmatch(text) is not None


def ulid_ms(text: str) -> int:
    """Milliseconds since 1970 that a ULID starts with."""
    number = 0
    for char in text[:10]:
        number = number << 5 | _DECODE[char]
    return number


def ulid_key(text: str) -> int:
    """A 63-bit integer that orders like the ULID, up to 6 of its random bits.

    Two different ULIDs may share a key only when two daemons made them in the same millisecond.
    """
    # The first 88 of 128 bits: 48 time, 16 counter, 24 random; in digits that int() knows, a million times a rebuild.
    number = int(text[:18].encode().translate(_TO_BASE32), 32)
    ms, rest = number >> 40, number >> 18 & 0x3FFFFF
    return max(0, ms - KEY_EPOCH_MS) << 22 | rest


def checked_key(text: str) -> int:
    """`ulid_key` of something that should be a ULID, in about the time of looking at it once.

    Raises:
        ValueError: *text* is not a ULID in upper case.
    """
    number = int(text.encode().translate(_TO_BASE32_OR_FAIL), 32)
    if len(text) != 26 or number >> 128:
        raise ValueError(f"not a ULID: {text!r}")
    ms, rest = number >> 80, number >> 58 & 0x3FFFFF
    return (ms - KEY_EPOCH_MS) << 22 | rest if ms > KEY_EPOCH_MS else rest


def key_floor(us: int) -> int:
    """The smallest key that a ULID made at *us* microseconds since 1970 or later can have."""
    return max(0, us // 1000 - KEY_EPOCH_MS) << 22


class HybridClock:
    """Makes ULIDs that ascend, also past every id seen from elsewhere up to 24 h ahead.

    Safe to call from several threads.
    """

    def __init__(self, clock: Clock, *, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = clock
        self._random = random_bytes
        self._tails: list[int] = []
        self._lock = threading.Lock()
        self._ms = 0
        self._counter = 0

    def next_ulid(self) -> str:
        """A ULID above all made or observed so far."""
        now_ms = self._clock.now_us() // 1000
        with self._lock:
            if (
                not self._tails
            ):  # the system is asked for many at once: a question costs as much as all the rest
                self._tails = list(_TAILS.unpack(self._random(_TAILS.size)))
            tail = self._tails.pop()
            if now_ms > self._ms:
                self._ms, self._counter = now_ms, 0
            elif self._counter == 0xFFFF:
                self._ms, self._counter = self._ms + 1, 0
            else:
                self._counter += 1
            return encode_ulid(self._ms << 80 | self._counter << 64 | tail)

    def now_us(self) -> int:
        """Microseconds since 1970 as ids tell time: like the wall clock, but never behind an id that was made."""
        return max(self._clock.now_us(), self._ms * 1000)

    def monotonic(self) -> float:
        """The wall clock's own."""
        return self._clock.monotonic()

    def observe(self, ulid: str) -> bool:
        """Note an id from elsewhere; False when it is more than 24 h ahead and was not taken."""
        number = decode_ulid(ulid)
        ms, counter = number >> 80, number >> 64 & 0xFFFF
        if ms > self._clock.now_us() // 1000 + MAX_AHEAD_MS:
            return False
        with self._lock:
            if (ms, counter) > (self._ms, self._counter):
                self._ms, self._counter = ms, counter
        return True


def bare(identifier: str) -> str:
    """The ULID of a prefixed id (``msg_01H…`` → ``01H…``)."""
    return identifier.rpartition("_")[2]


def event_id(ulid: str) -> str:
    return f"evt_{ulid}"


def message_id(ulid: str) -> str:
    """The id of the message that the event with this ULID creates: both share the ULID."""
    return f"msg_{ulid}"


def session_id(ulid: str) -> str:
    return f"ses_{ulid}"


def thread_id(ulid: str) -> str:
    return f"thr_{ulid}"


def group_id(ulid: str) -> str:
    return f"grp_{ulid}"


def daemon_id(ulid: str) -> str:
    return f"d_{ulid}"


EARLIER_DAEMON: Final = daemon_id("0" * 26)
"""The daemon that what earlier layouts held is published under; nobody is it, and every clone may write for it.

Source: docs/explanation/migration.md.
"""


def derived_ulid(us: int, *words: str | bytes) -> str:
    """A ULID that *words* determine, at *us* microseconds since 1970: whoever derives it gets the same."""
    parts = [word.encode("utf-8", "surrogatepass") if isinstance(word, str) else word for word in words]
    digest = hashlib.sha256(b"\0".join(parts)).digest()
    return encode_ulid(min(max(us // 1000, 0), (1 << 48) - 1) << 80 | int.from_bytes(digest[:10], "big"))
