"""What a message may say."""

from __future__ import annotations

from typing import Any

import msgspec

from thrum_kernel.errors import BodyInvalid, BodyTooLarge, UsageError
from thrum_kernel.events.core import Body, Label
from thrum_kernel.messaging.model import Tag
from thrum_kernel.projection.schema import FORMATS

MAX_LABELS = 100
"""Scopes, and references, that one message may carry."""
MAX_LABEL_TYPE = 64
MAX_LABEL_VALUE = 1024
"""Characters; a reference may be an address on the web."""


def checked(content: str, format_: str, structured: Any, *, max_bytes: int) -> Body:
    """A body that can be stored.

    Args:
        max_bytes: of the text, and of the structured data as JSON; negative for no limit.

    Raises:
        BodyInvalid: empty, with NUL, not UTF-8, an unknown format, or structured data that is no object.
        BodyTooLarge: above *max_bytes*.
    """
    if not content.strip():
        raise BodyInvalid("content is required", hint="an empty message tells nobody anything")
    if format_ not in FORMATS:
        raise BodyInvalid(f"invalid format: {format_} (must be 'markdown', 'plain', or 'json')")
    if "\0" in content:
        raise BodyInvalid("message body holds a NUL character", hint="send binary data as a path to a file")
    size = _size(content)
    if structured is not None:
        if not isinstance(structured, dict):
            raise BodyInvalid(
                "structured must be a JSON object", hint="""for example --structured '{"key": 1}'"""
            )
        size = max(size, len(msgspec.json.encode(structured)))
    if 0 <= max_bytes < size:
        raise BodyTooLarge(size, max_bytes)
    return Body(content=content, format=format_, structured=structured)


def labels(tags: list[Tag], *, what: str) -> list[Label]:
    """Scopes or references as stored: each once, in the order given.

    Raises:
        UsageError: one has no type or no value, or is too long; there are too many.
    """
    if len(tags) > MAX_LABELS:
        raise UsageError(f"too many {what}s: {len(tags)}, at most {MAX_LABELS}")
    for tag in tags:
        check_label(tag, what=what)
    return [Label(type_, value) for type_, value in dict.fromkeys((tag.type, tag.value) for tag in tags)]


def check_label(tag: Tag, *, what: str) -> None:
    """Refuse a label that cannot be stored.

    Raises:
        UsageError: it has no type or no value, or is too long.
    """
    if not tag.type or not tag.value:
        raise UsageError(
            f"invalid {what} {tag.type}:{tag.value}", hint=f"write it type:value, e.g. --{what} pr:42"
        )
    for part, text, most in (("type", tag.type, MAX_LABEL_TYPE), ("value", tag.value, MAX_LABEL_VALUE)):
        if len(text) > most:
            raise UsageError(f"the {part} of a {what} is too long: {len(text)} characters, at most {most}")
        if "\0" in text:
            raise UsageError(f"the {part} of a {what} holds a NUL character")


def preview(text: str, *, limit: int = 100) -> str:
    """The first *limit* characters, with ``...`` when there were more."""
    return text if len(text) <= limit else text[:limit] + "..."


def size_of(body: Body) -> int:
    """Bytes that a body takes in the log, about."""
    return _size(body.content) + (len(msgspec.json.encode(body.structured)) if body.structured else 0)


def _size(content: str) -> int:
    try:
        return len(content.encode())
    except UnicodeEncodeError as error:
        raise BodyInvalid("message body is not UTF-8", hint="send binary data as a path to a file") from error
