"""Words on the command line that several commands take: names, ``type:value`` labels, pages, message bodies.

Mistakes in them are told before anything is asked of the daemon (spec/decisions.md, "The command line, everywhere").
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from thrum_kernel.cli.render import shorten
from thrum_kernel.errors import BodyInvalid, UsageError

MAX_PAGE_SIZE = 100
MOST_SHOWN = 80
"""Characters of a wrong word in the sentence that refuses it."""
FORMATS = ("markdown", "plain", "json")
PRIORITIES = ("low", "normal", "high")

_USUAL = {"format": "markdown", "priority": "normal"}

_SEND_A_PATH = "send a path to the file instead"

_NEXT_LABEL = re.compile(r",(?=[A-Za-z0-9_-]+:)")


def bare_name(text: str) -> str:
    """A name without the ``@`` that people put before it."""
    return text.strip().removeprefix("@")


def filled(text: str | None, *, flag: str) -> str:
    """What a flag says; nothing when it was not given.

    Raises:
        UsageError: it was given empty, as ``--to "$UNSET"`` does: that must not mean everything.
    """
    if text is not None and not text.strip():
        raise UsageError(f"{flag} is empty", hint=f"leave {flag} out, or give it a value")
    return text or ""


def named(text: str | None, *, flag: str) -> str:
    """The name that a flag gives, ``@`` kept off; nothing when it was not given.

    Raises:
        UsageError: it was given empty.
    """
    return bare_name(filled(None if text is None else bare_name(text), flag=flag))


def label_given(text: str | None, *, flag: str) -> dict[str, str] | None:
    """`label` of a flag that may be left out.

    Raises:
        UsageError: it was given, and is no label.
    """
    return None if text is None else label(text, flag=flag)


def label(text: str, *, flag: str) -> dict[str, str]:
    """``{"type", "value"}`` of ``type:value``.

    Raises:
        UsageError: there is no colon, or nothing on one side of it.
    """
    kind, colon, value = text.partition(":")
    if not colon or not kind.strip() or not value.strip():
        raise UsageError(
            f'invalid value "{shorten(text, MOST_SHOWN)}" for {flag}: must be type:value',
            hint=f"for example {flag} module:auth",
        )
    return {"type": kind.strip(), "value": value.strip()}


def labels(texts: Sequence[str] | None, *, flag: str) -> list[dict[str, str]]:
    """Every label of a repeatable flag, in order; ``a:1,b:2`` in one word are two."""
    words = [word for text in texts or () for word in _NEXT_LABEL.split(text) if word.strip()]
    return [label(word, flag=flag) for word in words]


def names(texts: Sequence[str] | None) -> list[str]:
    """Every name of a repeatable flag, in order, ``@`` kept off; commas separate several in one word.

    Raises:
        UsageError: one names nobody, as ``--to "$UNSET"`` does: it must not mean everybody.
    """
    found: list[str] = []
    for text in texts or ():
        here = [bare_name(word) for word in text.split(",") if word.strip()]
        if not here or "" in here:
            raise UsageError("a recipient is empty", hint="name it like this: --to @agent_name")
        found += here
    return found


def check_choice(flag: str, value: str, allowed: Sequence[str]) -> None:
    """Refuse a word that is none of *allowed*.

    Raises:
        UsageError: ``invalid format: x (must be 'markdown', 'plain', or 'json')``.
    """
    if value not in allowed:
        listed = ", ".join(f"'{word}'" for word in allowed[:-1])
        told = shorten(value, MOST_SHOWN)
        raise UsageError(f"invalid {flag.removeprefix('--')}: {told} (must be {listed}, or '{allowed[-1]}')")


def given(params: Mapping[str, Any]) -> dict[str, Any]:
    """What of *params* says more than leaving it out does: nothing empty, no flag that is off, no usual value."""
    return {
        key: value
        for key, value in params.items()
        if value is not None and value is not False and value not in ("", []) and _USUAL.get(key) != value
    }


def paging(*, page: int, page_size: int, limit: int = 0) -> dict[str, Any]:
    """``page`` and ``page_size`` as methods take them; ``--limit`` is another word for the size.

    Raises:
        UsageError: a page below 1, a size outside 1 … 100.
    """
    size = limit or page_size
    flag = "--limit" if limit else "--page-size"
    if page < 1:
        raise UsageError(f"invalid --page {page}: pages are counted from 1", hint="the first is --page 1")
    if not 1 <= size <= MAX_PAGE_SIZE:
        raise UsageError(f"invalid {flag} {size}: must be between 1 and {MAX_PAGE_SIZE}")
    return {"page": page, "page_size": size}


def decode_body(data: bytes) -> str:
    """The text of a body that came as bytes; one newline at its end belongs to the shell, not to the text.

    Raises:
        BodyInvalid: it is not UTF-8.
    """
    try:
        text = decode_text(data, what="message body")
    except UsageError as error:
        raise BodyInvalid(str(error), hint=_SEND_A_PATH) from None
    return text.removesuffix("\n").removesuffix("\r")


def decode_text(data: bytes, *, what: str) -> str:
    """The text of bytes that somebody gave.

    Raises:
        UsageError: they are not UTF-8; says where.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{what} is not valid UTF-8 (byte {error.start})", hint="save it as UTF-8 text"
        ) from None


def check_argument(text: str) -> str:
    """*text* from the command line, if it is text at all.

    Raises:
        BodyInvalid: its bytes were not UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BodyInvalid(
            f"message body is not valid UTF-8 (character {error.start})", hint=_SEND_A_PATH
        ) from None
    return text
