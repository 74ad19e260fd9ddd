"""config.json: read again whenever it changed, and changed without losing anything.

An edit by hand holds from the next command on. Changes are made under the folder's lock in the file as it is then:
order and unknown keys stay, a damaged file stays as it is. A value may be overridden by a flag or by the environment
of an explicit ``daemon start``, and by a section's overlay for this machine; never by a caller's environment.

Source: spec/kernel.md §8.6, §10 item 40; spec/decisions.md "The command line, everywhere"; DESIGN.md D4.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from thrum_kernel import jsonio
from thrum_kernel.api import Finding
from thrum_kernel.errors import FileDamaged, UsageError
from thrum_kernel.settings.core import (
    Daemon,
    DaemonBlock,
    Messaging,
    Orchestration,
    Plugins,
    Runtime,
    Store,
    Worktrees,
    core_sections,
)
from thrum_kernel.settings.overlay import overlaid
from thrum_kernel.settings.sections import (
    ABSENT,
    UNKNOWN,
    Section,
    Sections,
    drop,
    lookup,
    mistakes,
    overlap,
    place,
)
from thrum_kernel.settings.snapshot import IN_FILE, Document, Override, Setting, overrides_of

__all__ = ["Document", "Override", "Section", "Setting", "SettingsFile", "overrides_of"]


Stamp = tuple[int, int, int]


class SettingsFile:
    """config.json of one project; may be used from several threads.

    Args:
        path: where it lies; need not exist.
        sections: what keys there are; the kernel's when not given.
        overrides: what ranks above the file, highest first.
        look_every_s: so long an edit by hand may go unnoticed; a change made through this object, or in an overlay,
            never does.

    Attributes:
        changed: called when the file was read and is another than before, in the thread that read it.
    """

    def __init__(
        self,
        path: Path,
        *,
        sections: Sections | None = None,
        overrides: tuple[Override, ...] = (),
        look_every_s: float = 0.0,
    ) -> None:
        self.path = path
        self._look_every_s = look_every_s
        self._looked_s = 0.0
        self.sections = core_sections() if sections is None else sections
        self.overrides = overrides
        self.changed: list[Callable[[], None]] = []
        self._document: Document | None = None
        self._stamp: Stamp | None = None
        self._overlays: tuple[tuple[Section, Path], ...] = ()
        self._overlay_stamps: tuple[Stamp | None, ...] = ()

    def register_section(self, section: Section) -> None:
        """Add a plugin's section; what is held so far is judged anew.

        Raises:
            UsageError: another plugin has it.
        """
        self.sections.register(section)
        self._forget()

    def remove_section(self, name: str, *, owner: str) -> None:
        """Take back what a plugin registered."""
        self.sections.remove(name, owner=owner)
        self._forget()

    def current(self) -> Document:
        """The file as it is now; a missing one is empty.

        Raises:
            FileDamaged: it cannot be read or is not a JSON object; names line and column.
        """
        document = self._document
        beside = tuple([_stamp_of(path) for _, path in self._overlays])
        if document is not None and self._look_every_s and beside == self._overlay_stamps:
            now_s = time.monotonic()
            if now_s - self._looked_s < self._look_every_s:
                return document
            self._looked_s = now_s
        stamp = _stamp_of(self.path)
        if document is None or (stamp, beside) != (self._stamp, self._overlay_stamps):
            self._document = (
                None  # what held before must not be taken for what holds while the file is damaged
            )
            document = self._made_of(self._read())
            is_news = (stamp, beside) != (self._stamp, self._overlay_stamps)
            self._document, self._stamp, self._overlay_stamps = document, stamp, beside
            for callback in self.changed if is_news else ():
                callback()
        return document

    def recent(self) -> Document:
        """`current`, or what it was `look_every_s` ago at most, overlays included: for what is asked for each message.

        Raises:
            FileDamaged: as `current`.
        """
        document = self._document
        if document is not None and time.monotonic() - self._looked_s < self._look_every_s:
            return document
        return self.current()

    def get(self, dotted: str) -> Setting:
        """The value of one key now; errors as `current` and `Document.get`."""
        return self.current().get(dotted)

    @property
    def daemon(self) -> Daemon:
        return self.current().section("daemon", Daemon)

    @property
    def runtime(self) -> Runtime:
        return self.current().section("runtime", Runtime)

    @property
    def messaging(self) -> Messaging:
        return self.current().section("messaging", Messaging)

    @property
    def store(self) -> Store:
        return self.current().section("store", Store)

    @property
    def plugins(self) -> Plugins:
        return self.current().section("plugins", Plugins)

    @property
    def worktrees(self) -> Worktrees:
        return self.current().section("worktrees", Worktrees)

    @property
    def orchestration(self) -> Orchestration:
        return self.current().section("orchestration", Orchestration)

    @property
    def identity(self) -> DaemonBlock:
        return self.current().section("identity", DaemonBlock)

    def problems(self) -> list[Finding]:
        """Every mistake in the file, also that it cannot be read at all."""
        try:
            return self.current().problems()
        except FileDamaged as error:
            return [Finding(IN_FILE, "error", str(error), error.hint)]

    def set(self, dotted: str, value: Any) -> Setting:
        """Change one key; text is turned into what the key holds where it can be.

        Raises:
            UsageError: nobody knows the key, or the value does not fit; nothing was changed.
            FileDamaged: the file, or what overlays the section, cannot be read; nothing was changed.
        """
        section = self.sections.check_key(dotted)
        self.current().check(section)
        path = dotted.split(".")
        with jsonio.locked(self.path.parent):
            raw = self._read()
            try:
                place(raw, path, value)
            except KeyError as error:
                raise UsageError(f'cannot set "{dotted}": {error} is no object in config.json') from error
            for key, text in mistakes(section, raw[section.name]):
                if overlap(key, dotted):
                    raise UsageError(f'invalid value for "{dotted}": {text}')
            alone = Document(self.path, raw, self.sections)
            place(raw, path, alone.get(dotted).value)  # as the key's type has it: "true" becomes true
            self._write(raw)
        return self.get(dotted)

    def update(self, name: str, values: Mapping[str, Any]) -> None:
        """Merge *values* into a section, as init and the daemon do; keys not among them stay.

        Raises:
            UsageError: a value does not fit; nothing was changed.
            FileDamaged: the file cannot be read; nothing was changed.
        """
        section = self.sections.get(name)
        with jsonio.locked(self.path.parent):
            raw = self._read()
            before = raw.get(name)
            merged = {**(before if isinstance(before, dict) else {}), **values}
            if merged == before:
                return
            touched = {f"{name}.{key}" for key in values}
            for key, text in mistakes(section, merged) if section else ():
                if text != UNKNOWN and any(overlap(key, mine) for mine in touched):
                    raise UsageError(f'invalid value for "{key}": {text}')
            raw[name] = merged
            self._write(raw)

    def unset(self, dotted: str) -> bool:
        """Remove a key, so that its default holds; False when it was not there."""
        with jsonio.locked(self.path.parent):
            raw = self._read()
            if lookup(raw, dotted.split(".")) is ABSENT:
                return False
            drop(raw, dotted.split("."))
            self._write(raw)
        return True

    def _made_of(self, raw: Mapping[str, Any]) -> Document:
        overrides, damaged = list(self.overrides), {}
        for section, path in self._overlays:
            try:
                overrides += overlaid(path, section)
            except FileDamaged as error:
                damaged[section.name] = error
        return Document(self.path, raw, self.sections, tuple(overrides), damaged)

    def _forget(self) -> None:
        """The sections are others than before."""
        self._document = None
        folder = self.path.parent / "var"
        self._overlays = tuple(
            (section, folder / section.overlay) for section in self.sections if section.overlay
        )
        self._overlay_stamps = (None,) * len(self._overlays)

    def _read(self) -> dict[str, Any]:
        try:
            return jsonio.read_object(self.path)
        except FileNotFoundError:
            return {}

    def _write(self, raw: dict[str, Any]) -> None:
        jsonio.write_object(self.path, raw)
        self._document = None


def _stamp_of(path: Path) -> Stamp | None:
    try:
        status = os.stat(path)  # noqa: PTH116 — asked for every command
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
