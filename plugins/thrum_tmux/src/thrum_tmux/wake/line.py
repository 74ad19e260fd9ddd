"""The line that is typed to wake an agent: an id and validated names, nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from thrum_kernel.api import Wake

SHELL: Final = "shell"

_NAME: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_@:.-]{0,62}[A-Za-z0-9_])?")
_ID: Final = re.compile(r"msg_[0-7][0-9A-HJKMNP-TV-Z]{25}")


def newest(wake: Wake) -> str:
    """The message that the line of *wake* shows."""
    return wake.message_ids[-1]


def line_of(wake: Wake, *, runtime: str) -> str:
    """What is typed for *wake*: its newest message, and how many more there are.

    A sender whose name has signs that no name has is left out; so is an id that is none. In a plain shell the line is
    a comment, so that nothing runs.
    """
    return line(
        newest(wake), sender=wake.senders[-1], more=len(wake.message_ids) - 1, is_comment=runtime == SHELL
    )


def line(message_id: str, *, sender: str, more: int = 0, is_comment: bool = False) -> str:
    """See `line_of`."""
    words = ["# New message" if is_comment else "New message"]
    if _NAME.fullmatch(sender):
        words.append(f"from @{sender}")
    if _ID.fullmatch(message_id):
        words.append(f"({message_id})")
    if more > 0:
        words.append(f"(+{more})")
    return " ".join([*words, "-- run: thrum inbox"])


def is_shown(message_ids: Sequence[str], text: str) -> bool:
    """Whether one of *message_ids* stands in *text*."""
    return any(message_id in text for message_id in message_ids)
