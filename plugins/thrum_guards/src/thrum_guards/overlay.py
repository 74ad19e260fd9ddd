"""``.thrum/var/guard-daemon.json``: modes for this machine only, above those of config.json.

The file holds the keys of ``identity_guard``, with or without that wrapping key. It is read again whenever it changed.
One that cannot be understood is an error, never ignored: somebody wanted other rules than those that would hold.

Source: seed 000, "Configuration Reference"; issue "Plugins"; spec/features.md §15 item 33.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from thrum_guards.settings import CHECKPOINTS, MODES
from thrum_kernel.errors import FileDamaged

FILE: Final = "guard-daemon.json"
WRAPPER: Final = "identity_guard"

Stamp = tuple[int, int, int]


class Overlay:
    """The file at *path*, which need not exist."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: Stamp | None = None
        self._modes: Mapping[str, str] = {}
        self._problem: FileDamaged | None = None

    def modes(self) -> Mapping[str, str]:
        """What the file says now, by checkpoint; empty when there is none.

        Raises:
            FileDamaged: it cannot be read or understood; names every mistake.
        """
        stamp = self._stamp_now()
        if stamp is None or stamp != self._stamp:
            self._problem, self._modes = None, {}
            try:
                self._modes = self._read()
            except FileDamaged as problem:
                self._problem = problem
            self._stamp = stamp
        if self._problem is not None:
            raise self._problem.with_traceback(None)
        return self._modes

    def _read(self) -> Mapping[str, str]:
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise FileDamaged(self.path, f"cannot be read: {error.strerror}") from error
        try:
            found = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise FileDamaged(self.path, f"is no JSON: {error}") from error
        return parse(self.path, found)

    def _stamp_now(self) -> Stamp | None:
        try:
            status = os.stat(self.path)  # noqa: PTH116 - asked for every judged command
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


def parse(path: Path, found: Any) -> Mapping[str, str]:
    """The modes in the JSON value of an overlay.

    Raises:
        FileDamaged: it is no object of modes; names every mistake.
    """
    wrapped = isinstance(found, dict) and WRAPPER in found
    inner = found[WRAPPER] if wrapped else found
    if not isinstance(inner, dict):
        raise FileDamaged(path, f"{'its ' + WRAPPER if wrapped else 'it'} is no JSON object")
    beside = [f"{key}: unknown key beside {WRAPPER}" for key in found if wrapped and key != WRAPPER]
    mistakes = [*beside, *_mistakes(inner)]
    if mistakes:
        raise FileDamaged(path, "; ".join(mistakes))
    return {key: value.strip().lower() for key, value in inner.items()}


def _mistakes(modes: Mapping[str, Any]) -> Iterator[str]:
    for key, value in modes.items():
        if key not in CHECKPOINTS:
            near = difflib.get_close_matches(key, CHECKPOINTS, n=1)
            yield f"{key}: unknown key{f', did you mean {near[0]}?' if near else ''}"
        elif not isinstance(value, str) or value.strip().lower() not in MODES:
            yield f"{key}: must be strict, warn or off, not {json.dumps(value)[:60]}"
