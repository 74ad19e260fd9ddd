"""A file beside the daemon's own that holds values of one section for this machine alone, above those of config.json.

It holds keys of the section, with or without the section's name around them. One that cannot be understood is an error,
never passed over: somebody wanted other values than those that would hold.

Source: seed 000, "Configuration Reference"; issue "Plugins"; spec/features.md §15 item 33.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from thrum_kernel.errors import FileDamaged
from thrum_kernel.settings.sections import ABSENT, UNKNOWN, Section, lookup, mistakes
from thrum_kernel.settings.snapshot import Override


def overlaid(path: Path, section: Section) -> tuple[Override, ...]:
    """What the overlay at *path* says for *section*; nothing when there is no such file.

    Raises:
        FileDamaged: it cannot be read or understood; names every mistake.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise _damaged(path, f"cannot be read: {error.strerror}") from error
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"is no JSON: {error}") from error
    return parsed(path, found, section)


def parsed(path: Path, found: Any, section: Section) -> tuple[Override, ...]:
    """The values in the JSON value of an overlay.

    Raises:
        FileDamaged: it is no object of them; names every mistake.
    """
    is_wrapped = isinstance(found, dict) and section.name in found
    values = found[section.name] if is_wrapped else found
    if not isinstance(values, dict):
        raise _damaged(path, f"{'its ' + section.name if is_wrapped else 'it'} is no JSON object")
    beside = [f"{key}: unknown key beside {section.name}" for key in found if key != section.name]
    wrong = [*(beside if is_wrapped else ()), *_mistakes(section, values)]
    if wrong:
        raise _damaged(path, "; ".join(wrong))
    keys = [(key, lookup(values, key.split(".")[1:])) for key in section.keys]
    return tuple(Override(key, value, f"var/{path.name}") for key, value in keys if value is not ABSENT)


def _mistakes(section: Section, values: Mapping[str, Any]) -> Iterator[str]:
    for key, text in mistakes(section, values):
        near = difflib.get_close_matches(key, section.keys, n=1) if text == UNKNOWN else []
        yield f"{key}: {text}{f', did you mean {near[0]}?' if near else ''}"


def _damaged(path: Path, reason: str) -> FileDamaged:
    return FileDamaged(path, reason, hint=f"mend or remove {path}; it is read again at once")
