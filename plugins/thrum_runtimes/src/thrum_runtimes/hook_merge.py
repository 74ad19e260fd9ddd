"""Hooks added to a JSON file that is there already: only what is missing, where it belongs, and nothing else touched.

The new groups are put into the text itself, so formatting, order and numbers of everything else stay byte for byte.
Source: spec/features.md §11.5.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thrum_kernel.errors import FileDamaged
from thrum_runtimes.kit import unguarded

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
_COMMAND = re.compile(r'(?P<name>"command"[ \t\r\n]*:[ \t\r\n]*)(?P<value>"(?:[^"\\]|\\.)*")')


def merged(path: Path, present: bytes, wanted: str) -> bytes:
    """*present* with the hooks of *wanted* that it lacks; the same bytes when it lacks none.

    A hook is there when a group of its event has exactly its command. The command that an older kit put there is
    replaced where it stands.

    Args:
        path: where *present* was read, for errors.
        wanted: JSON ``{"hooks": {event: [group, …]}}``.

    Raises:
        FileDamaged: *present* is not JSON, or its hooks are not of that shape.
    """
    if not present.strip():
        return wanted.encode()
    text = _decoded(path, present)
    expected = _parsed(path, text)
    for event, groups in json.loads(wanted)["hooks"].items():
        for group in groups:
            if not _has(path, expected, event, group):
                text = _renewed(text, expected, event, group)
            if not _has(path, expected, event, group):
                text = _added(text, event, group)
                expected.setdefault("hooks", {}).setdefault(event, []).append(group)
    if json.loads(text.removeprefix("\ufeff")) != expected:
        # Two keys of one name, say: the readable way is not the same, so write what was meant.
        text = json.dumps(expected, indent=2, ensure_ascii=False) + "\n"
    return text.encode()


def missing(path: Path, present: bytes, wanted: str) -> tuple[str, ...]:
    """The events of *wanted* that lack a hook in *present*.

    Raises:
        FileDamaged: as `merged`.
    """
    value = _parsed(path, _decoded(path, present)) if present.strip() else {}
    hooks = json.loads(wanted)["hooks"]
    return tuple(
        event for event, groups in hooks.items() if not all(_has(path, value, event, each) for each in groups)
    )


def _decoded(path: Path, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise FileDamaged(path, f"is not UTF-8 (byte {error.start})") from error


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text.removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise FileDamaged(path, f"is not valid JSON: {error.msg} ({where})") from error
    if not isinstance(value, dict):
        raise FileDamaged(path, f"holds a JSON {type(value).__name__}, not an object")
    return value


def _has(path: Path, value: dict[str, Any], event: str, group: dict[str, Any]) -> bool:
    """Whether every command of *group* is there for *event*.

    Raises:
        FileDamaged: what is there has another shape.
    """
    hooks = value.get("hooks", {})
    groups = hooks.get(event, []) if isinstance(hooks, dict) else None
    if not isinstance(groups, list):
        raise FileDamaged(
            path, f'"hooks.{event}" is not a list' if isinstance(hooks, dict) else '"hooks" is not an object'
        )
    there = [each.get("command") for each in _hooks(groups)]
    return all(each["command"] in there for each in group["hooks"])


def _renewed(text: str, value: dict[str, Any], event: str, group: dict[str, Any]) -> str:
    """*text* with older commands of *group* as they are now; *value*, what it holds, is changed alike."""
    now = {old: each["command"] for each in group["hooks"] if (old := unguarded(each["command"]))}
    changed = [
        each
        for each in _hooks(value.get("hooks", {}).get(event, ()))
        if isinstance(each.get("command"), str) and each["command"] in now
    ]
    for each in changed:
        each["command"] = now[each["command"]]
    return _replaced(text, event, now) if changed else text


def _replaced(text: str, event: str, now: Mapping[str, str]) -> str:
    """*text* with the commands of *event* that *now* names replaced by what it says."""
    hooks = _member(text, _start(text), "hooks")
    opening = _member(text, hooks, event) if hooks is not None else None
    assert opening is not None, "a command was found there"
    end = _DECODER.raw_decode(text, opening)[1]

    def replaced(found: re.Match[str]) -> str:
        command = now.get(json.loads(found["value"]))
        return found[0] if command is None else found["name"] + json.dumps(command)

    return text[:opening] + _COMMAND.sub(replaced, text[opening:end]) + text[end:]


def _hooks(groups: Sequence[Any]) -> list[dict[str, Any]]:
    """The hooks of an event's groups, whatever else stands among them."""
    lists = [found["hooks"] for found in groups if isinstance(found, dict) and "hooks" in found]
    return [each for found in lists if isinstance(found, list) for each in found if isinstance(each, dict)]


def _added(text: str, event: str, group: dict[str, Any]) -> str:
    """*text* with *group* at the end of the list of *event*; what is not there yet of the way to it is made."""
    start = _start(text)
    unit = _unit(text)
    hooks = _member(text, start, "hooks")
    if hooks is None:
        return _insert(text, start, f'"hooks": {_json({event: [group]}, unit, 1)}', unit, 0)
    groups = _member(text, hooks, event)
    if groups is None:
        return _insert(text, hooks, f"{json.dumps(event)}: {_json([group], unit, 2)}", unit, 1)
    return _insert(text, groups, _json(group, unit, 3), unit, 2)


def _start(text: str) -> int:
    """Where the outermost object begins."""
    return _SPACE.match(text, text.startswith("\ufeff")).end()  # type: ignore[union-attr]


def _insert(text: str, opening: int, piece: str, unit: str, depth: int) -> str:
    """*text* with *piece* as the last element of the object or list that opens at *opening*, *depth* levels deep."""
    last = _end_of_last(text, opening)
    closing = _SPACE.match(text, last).end()  # type: ignore[union-attr]
    comma = "," if last > opening + 1 else ""
    newline = "\r\n" if "\r\n" in text else "\n"
    indent, outdent = newline + unit * (depth + 1), newline + unit * depth
    before_closing = text[last:closing] if "\n" in text[last:closing] else outdent
    return text[:last] + comma + indent + piece.replace("\n", newline) + before_closing + text[closing:]


def _end_of_last(text: str, opening: int) -> int:
    """Where the last element of the object or list at *opening* ends; just after the bracket when it is empty."""
    end = at = opening + 1
    while True:
        at = _skip(text, at)
        if text[at] in "]}":
            return end
        if text[at] == ",":
            at = _skip(text, at + 1)
        if text[opening] == "{":
            _, at = _DECODER.raw_decode(text, at)
            at = _skip(text, _skip(text, at) + 1)  # past the colon
        _, end = _DECODER.raw_decode(text, at)
        at = end


def _member(text: str, opening: int, name: str) -> int | None:
    """Where the value of the object's last member called *name* begins; None when there is none."""
    found, at = None, _skip(text, opening + 1)
    while text[at] != "}":
        if text[at] == ",":
            at = _skip(text, at + 1)
        key, at = _DECODER.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)
        if key == name:
            found = at
        _, at = _DECODER.raw_decode(text, at)
        at = _skip(text, at)
    return found


def _skip(text: str, at: int) -> int:
    return _SPACE.match(text, at).end()  # type: ignore[union-attr]


def _unit(text: str) -> str:
    """One step of indentation as *text* has it."""
    found = re.search(r"\{\r?\n([ \t]+)\"", text)
    return found.group(1) if found else "  "


def _json(value: Any, unit: str, depth: int) -> str:
    """*value* as it stands *depth* levels deep, its first line without indentation."""
    return json.dumps(value, indent=unit, ensure_ascii=False).replace("\n", "\n" + unit * depth)
