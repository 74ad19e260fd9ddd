"""The line that is typed to wake an agent: an id and validated names, nothing else."""

from __future__ import annotations

import re
from typing import Final

from thrum_kernel.api import Wake
from thrum_tmux.screen.reading import squeezed

SHELL: Final = "shell"

_NAME: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_@:.-]{0,62}[A-Za-z0-9_])?")
_ID: Final = re.compile(r"msg_[0-7][0-9A-HJKMNP-TV-Z]{25}")
_LINE: Final = re.compile(
    rf"(?P<comment>#)?Newmessage(?:from@(?P<sender>{_NAME.pattern}))?\((?P<id>{_ID.pattern})\)"
    r"(?:\(\+(?P<more>[1-9]\d{0,5})\))?--run:thruminbox"
)


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


def known(text: str) -> str:
    """The line that *text*, what a prompt box holds, is; empty when it is none of ours.

    Only a whole line counts: with its id nobody types it by chance, so one that an earlier wake had to leave is known by
    itself, also after a restart of the daemon.
    """
    found = _LINE.fullmatch(squeezed(text))
    if found is None:
        return ""
    return line(
        found["id"],
        sender=found["sender"] or "",
        more=int(found["more"] or 0),
        is_comment=bool(found["comment"]),
    )
