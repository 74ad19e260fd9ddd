"""Sharing texts with other clones: an agent's saved context, and the state of the project.

What is shared is a copy among the published files (`store.shared`), which travels as the log does. The project's state is
one file for all, ``project_state.md``; beside it ``project_state.shared`` keeps the digest of what was shared or taken
last. While the file is as it was then, whatever others share replaces it; edited since, it stays as it is, until whoever
edited it shares it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from thrum_kernel.context.folder import ContextFolder
from thrum_kernel.errors import NotFound, Refused, UsageError
from thrum_kernel.ids import ulid_ms
from thrum_kernel.store.files import digest
from thrum_kernel.store.shared import MAX_BYTES, PROJECT, Copy, SharedTexts, Text, owner_of

PROJECT_STATE: Final = "project_state.md"
LAST_SHARED: Final = "project_state.shared"


class Way(Protocol):
    """How copies come to be and leave this machine.

    Attributes:
        daemon: the id of the daemon here.
    """

    daemon: str

    def new_id(self, above: str) -> str:
        """A ULID above *above*, when that is not empty."""
        ...

    def quiet(self) -> AbstractAsyncContextManager[None]:
        """Nothing is merged or published meanwhile."""
        ...

    async def hear(self) -> None:
        """Have what others shared come now, as far as they can be reached."""
        ...

    async def send(self) -> str:
        """Have what is here travel now; why it does not, empty when it did."""
        ...

    def address(self, name: str) -> tuple[str, str]:
        """Daemon and name of the agent that ``bob`` or ``bob@host`` means.

        Raises:
            ThrumError: nobody, or several.
        """
        ...


class Sharing:
    """Puts texts among the published files and takes the project's state from there.

    Args:
        texts: the copies of this log.
        way: how they travel.
        project: where the project's state lies.
        held: ids of the patterns of secrets that a text matches, for which it must not leave this machine.
    """

    def __init__(
        self,
        texts: SharedTexts,
        way: Way,
        *,
        project: ContextFolder,
        held: Callable[[str], Sequence[str]] = lambda text: (),
    ) -> None:
        self.way = way
        self._texts = texts
        self._project = project
        self._held = held
        self._lock = threading.Lock()  # a merge takes the state in its own thread

    def latest(self, daemon: str, name: str) -> Text | None:
        """What an agent shared last; blocking."""
        return self._texts.latest(owner_of(daemon, name))

    def latest_state(self) -> Text | None:
        """The project's state as it was shared last; blocking."""
        return self._texts.latest_state()

    async def share(self, name: str, data: bytes | None) -> str:
        """Share what an agent of this daemon saved; without *data* take back what it shared.

        Returns:
            Why it stays on this machine for now; empty when it travelled.

        Raises:
            NotFound: there is neither anything to share nor to take back.
            UsageError, Refused: it cannot or must not be shared.
        """
        owner = owner_of(self.way.daemon, name)
        if data is None and await asyncio.to_thread(self._texts.latest, owner) is None:
            raise NotFound("context", name, message=f"no context saved for {name}", hint="thrum context save")
        self._check(data or b"")
        async with self.way.quiet():
            await asyncio.to_thread(self._put, owner, data or b"")
        return await self.way.send()

    async def share_state(self, *, force: bool) -> str:
        """Share the project's state, or take what others shared when it was not edited here.

        Returns:
            As `share`.

        Raises:
            NotFound: there is none.
            Refused: it was edited here and by somebody else since; nothing was changed.
        """
        await self.way.hear()  # who shares without having seen the other's would put it aside unread
        async with self.way.quiet():
            await asyncio.to_thread(self._share_state, force)
        return await self.way.send()

    async def withdraw(self, daemon: str, name: str, ulid: str) -> bool:
        """An agent was deleted: what it shared is taken back; whether there was anything.

        Every clone that hears of it writes the same file, called after the deletion.
        """
        copy = Copy(owner_of(daemon, name), ulid)
        async with self.way.quiet():
            return await asyncio.to_thread(self._texts.share, copy, b"")

    def take_state(self) -> None:
        """Let what others shared be the project's state, unless it was edited here; blocking, in any thread."""
        with self._lock:
            state, found = self._project.read(PROJECT_STATE), self.latest_state()
            if found is not None and (state is None or digest(state.data) == self._last()):
                self._write_state(found.data)

    def _share_state(self, force: bool) -> None:
        self.take_state()
        with self._lock:
            state, found = self._project.read(PROJECT_STATE), self.latest_state()
            if state is None:
                raise NotFound(
                    "project state",
                    PROJECT_STATE,
                    message="there is no project state to share",
                    hint=f"write it: {self._project.thrum / 'context' / PROJECT_STATE}",
                )
            if found is not None and found.data == state.data:
                self._note(state.data)
                return
            if found is not None and digest(found.data) != self._last() and not force:
                raise Refused(
                    "the project state was edited here, and somebody else shared another one since",
                    hint="see theirs with `thrum context show --project --shared`, put both together, then add --force",
                )
            self._check(state.data)
            self._put(owner_of(self.way.daemon, PROJECT), state.data, above=found)
            self._note(state.data)

    def _check(self, data: bytes) -> None:
        if len(data) > MAX_BYTES:
            raise UsageError(
                f"too large to share: {len(data)} bytes, at most {MAX_BYTES}",
                hint="every clone gets every copy; put long texts into the repository",
            )
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise UsageError("only UTF-8 text can be shared") from error
        if patterns := self._held(text):
            raise Refused(
                f"not shared: something in it looks like a secret ({', '.join(patterns)})",
                hint="take it out and save it again, or allow it: daemon.sync.secret_allow; it stays on this machine",
            )

    def _put(self, owner: str, data: bytes, *, above: Text | None = None) -> None:
        known = [copy.ulid for copy in self._texts.copies(owner)] + ([above.copy.ulid] if above else [])
        self._texts.share(Copy(owner, self.way.new_id(max(known, default=""))), data)

    def _write_state(self, data: bytes) -> None:
        state = self._project.read(PROJECT_STATE)
        if state is None or state.data != data:
            self._project.write(PROJECT_STATE, data)
            self._note(data)

    def _note(self, data: bytes) -> None:
        self._project.write(LAST_SHARED, digest(data).encode())

    def _last(self) -> str:
        found = self._project.read(LAST_SHARED)
        return found.data.decode("ascii", "replace") if found is not None else ""


def shared_us(text: Text) -> int:
    """When a copy was made, microseconds since 1970."""
    return ulid_ms(text.copy.ulid) * 1000
