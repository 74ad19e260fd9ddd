"""Decoding of lines that another clone, an earlier version or a failing disk wrote: one kind of error for all damage.

msgspec tells of bytes that are no UTF-8 by a `UnicodeDecodeError` and of nesting without end by a `RecursionError`; a line
of either kind in one clone must not end the exchange of all others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

T = TypeVar("T")


def decoder(shape: type[T]) -> Callable[[bytes], T]:
    """What decodes a line into *shape*, and raises `msgspec.MsgspecError` whatever is wrong with it."""
    decode = msgspec.json.Decoder(shape).decode

    def decoded(line: bytes) -> T:
        try:
            return decode(line)
        except UnicodeDecodeError as error:
            raise msgspec.DecodeError(f"is not UTF-8: {error.reason}") from error
        except RecursionError:
            raise msgspec.DecodeError("is nested too deeply") from None

    return decoded
