"""Formats that let tmux judge, as it takes a key, whether a pane still is as it was when we looked.

Each row that is not empty is pinned by ``#{C/r:…}``, which searches the visible screen and gives the number of the first
row that matches; that number must be the one that the same search gives on what we saw.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from thrum_tmux.pane import Look
from thrum_tmux.screen.reading import NEAR_END, Reading

_ABOVE = 1
"""Rows above the prompt box that belong to it."""


def pinned(look: Look, reading: Reading) -> str:
    """What holds as long as the pane is as *look* shows it.

    Of a program that works only the prompt box is pinned, for the rest changes all the time.
    """
    x, y = look.cursor
    width, height = look.size
    claims = [
        "#{?pane_synchronized,0,1}",
        *(_equal(name, str(value)) for name, value in (("pane_width", width), ("pane_height", height))),
        *(_row(look.lines, at) for at in _rows(look.lines, reading)),
    ]
    if look.activity:
        claims.append(_equal("session_activity", look.activity))
    if not reading.is_busy:
        claims += [_equal("cursor_x", str(x)), _equal("cursor_y", str(y))]
    return all_of([*claims, reachable(look)])


def reachable(look: Look) -> str:
    """What holds as long as keys reach the program that *look* found there, whatever it shows."""
    # The program last, for it is no part of what tmux holds: it can end while tmux judges the rest.
    runs = f"#{{m/r:^{_plain(look.command)}$,#{{pane_current_command}}}}"
    return all_of(["#{?pane_in_mode,0,1}", "#{?pane_dead,0,1}", runs])


def all_of(claims: Sequence[str]) -> str:
    """A format that is true when all of *claims* are, nested no deeper than need be."""
    if len(claims) == 1:
        return claims[0]
    half = len(claims) // 2
    return f"#{{&&:{all_of(claims[:half])},{all_of(claims[half:])}}}"


def _rows(lines: Sequence[str], reading: Reading) -> list[int]:
    """The rows that are to stay, those without anything left out."""
    shown = [at for at, line in enumerate(lines) if line.rstrip(" ")]
    if reading.is_busy and reading.rows != (0, 0):
        first, after = reading.rows
        return [at for at in shown if first - _ABOVE <= at <= after]
    return [at for at in shown if at > (shown[-1] if shown else 0) - NEAR_END]


def _row(lines: Sequence[str], at: int) -> str:
    """That the first row like row *at* is where it is."""
    text = _plain(lines[at].rstrip(" "))  # tmux strips these blanks and no others
    like = re.compile(text)
    first = next(number for number, line in enumerate(lines, start=1) if like.fullmatch(line.rstrip(" ")))
    return f"#{{==:#{{C/r:^{text}$}},{first}}}"


def _plain(text: str) -> str:
    """*text* as a pattern that means the same to tmux, in its formats and their expansion, and to `re`.

    Signs that any of them could take for syntax stand for any one sign.
    """
    return "".join(sign if sign.isalnum() or sign == " " or not sign.isascii() else "." for sign in text)


def _equal(name: str, value: str) -> str:
    return f"#{{==:#{{{name}}},{value}}}"
