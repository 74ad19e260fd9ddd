"""Saved context, preambles and the project's state: Markdown files in the `.thrum/context` of an agent's worktree.

``<agent>_session.md`` is what the agent saved for its next session, ``<agent>_preamble.md`` the head of its briefing,
``<agent>.md`` an overlay written by hand, ``project_state.md`` what all should know. `sharing` gives the first and the
last of them to other clones.
Source: spec/decisions.md, "init, prime, roles, context, config, purge, sync".
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from thrum_kernel.api import Call, Caller, Method
from thrum_kernel.clock import format_us
from thrum_kernel.context.folder import MAX_BYTES, Content, ContextFolder
from thrum_kernel.context.model import (
    AgentParams,
    Done,
    PreambleSaveParams,
    PreambleShown,
    SaveParams,
    Shown,
    ShowParams,
    SyncParams,
)
from thrum_kernel.context.preamble import DEFAULT_PREAMBLE, compose
from thrum_kernel.context.sharing import PROJECT_STATE, Sharing, shared_us
from thrum_kernel.errors import InvalidName, Refused, UnknownAgent, UsageError

_NAME = re.compile(r"[a-z0-9_][a-z0-9_:-]{0,127}")
_TAKEN_ENDINGS = ("_session", "_preamble")


class Contexts:
    """The ``context.*`` methods.

    Args:
        thrum_of: the ``.thrum`` of the worktree that an agent lives in, None for an agent that is not of this daemon.
        shared: the ``.thrum`` of the repository, where the project's state lies.
        sharing: how texts get to other clones.
    """

    def __init__(self, *, thrum_of: Callable[[str], Path | None], shared: Path, sharing: Sharing) -> None:
        self._thrum_of = thrum_of
        self._shared = shared
        self._sharing = sharing

    def methods(self) -> Sequence[Method]:
        return (
            Method(
                name="context.save",
                params=SaveParams,
                result=Done,
                handler=self.save,
                mutates=True,
                summary="Save an agent's context for its next session",
            ),
            Method(
                name="context.show",
                params=ShowParams,
                result=Shown,
                handler=self.show,
                while_projecting=True,
                anonymous=True,
                summary="An agent's saved context, with its preamble",
            ),
            Method(
                name="context.clear",
                params=AgentParams,
                result=Done,
                handler=self.clear,
                mutates=True,
                summary="Remove an agent's saved context",
            ),
            Method(
                name="context.preamble.show",
                params=AgentParams,
                result=PreambleShown,
                handler=self.show_preamble,
                while_projecting=True,
                anonymous=True,
                summary="An agent's preamble",
            ),
            Method(
                name="context.preamble.save",
                params=PreambleSaveParams,
                result=Done,
                handler=self.save_preamble,
                mutates=True,
                summary="Replace an agent's preamble, or write the default one",
            ),
            Method(
                name="context.sync",
                params=SyncParams,
                result=Done,
                handler=self.sync,
                mutates=True,
                summary="Share an agent's saved context, or the project's state, with other clones",
            ),
        )

    async def save(self, call: Call, params: SaveParams) -> Done:
        """Replace the saved context; writes the default preamble when there is none."""
        folder = self._own_folder(call.caller, params.agent_name)
        data = _decoded(params.content)
        await asyncio.to_thread(folder.write, f"{params.agent_name}_session.md", data)
        preamble = f"{params.agent_name}_preamble.md"
        if await asyncio.to_thread(folder.read, preamble) is None:
            await asyncio.to_thread(folder.write, preamble, DEFAULT_PREAMBLE.encode())
        return Done(
            agent_name=params.agent_name, message=f"Context saved for {params.agent_name} ({len(data)} bytes)"
        )

    async def show(self, call: Call, params: ShowParams) -> Shown:
        name, content, preamble = await self._found(params)
        shown = Shown(
            agent_name=name,
            content=_encoded(content) if content is not None else None,
            has_context=content is not None,
            has_preamble=preamble is not None,
        )
        if content is not None:
            shown.size, shown.updated_at = len(content.data), format_us(content.updated_us)
        if preamble is not None and params.include_preamble:
            shown.preamble, shown.preamble_size = _encoded(preamble), len(preamble.data)
        if params.include_overlay:
            shown.overlay = _encoded(await asyncio.to_thread(self._folder(name).read, f"{name}.md"))
        if params.include_project:
            shown.project_state = _encoded(await asyncio.to_thread(self._state, params.shared))
        return shown

    async def clear(self, call: Call, params: AgentParams) -> Done:
        folder = self._own_folder(call.caller, params.agent_name)
        removed = await asyncio.to_thread(folder.remove, f"{params.agent_name}_session.md")
        text = "Context cleared for" if removed else "No context to clear for"
        return Done(agent_name=params.agent_name, message=f"{text} {params.agent_name}")

    async def show_preamble(self, call: Call, params: AgentParams) -> PreambleShown:
        name = check_name(params.agent_name)
        found = await asyncio.to_thread(self._folder(name).read, f"{name}_preamble.md")
        return PreambleShown(
            agent_name=name,
            content=_encoded(found) if found is not None else None,
            has_preamble=found is not None,
        )

    async def save_preamble(self, call: Call, params: PreambleSaveParams) -> Done:
        folder = self._own_folder(call.caller, params.agent_name)
        if params.role_text:
            data = await self._composed(folder, params)
        else:
            data = _decoded(params.content) if params.content else DEFAULT_PREAMBLE.encode()
        await asyncio.to_thread(folder.write, f"{params.agent_name}_preamble.md", data)
        return Done(agent_name=params.agent_name, message=f"Preamble saved for {params.agent_name}")

    async def sync(self, call: Call, params: SyncParams) -> Done:
        """Give it to the other clones; where it cannot travel now, it does with the next exchange."""
        name = params.agent_name
        folder = self._own_folder(call.caller, name)
        if params.project:
            why_not = await self._sharing.share_state(force=params.force)
        else:
            saved = await asyncio.to_thread(folder.read, f"{name}_session.md")
            why_not = await self._sharing.share(name, saved.data if saved is not None else None)
        what = "Project state" if params.project else "Context"
        whose = "" if params.project else f" for {name}"
        text = f"{what} synced locally{whose} ({why_not})." if why_not else f"{what} synced{whose}."
        return Done(agent_name=name, message=text)

    async def _found(self, params: ShowParams) -> tuple[str, Content | None, Content | None]:
        """The name, saved context and preamble of whoever is asked for: of other clones' agents, what they shared."""
        here = self._sharing.way.daemon
        daemon, name = self._whose(params.agent_name.removeprefix("@"))
        if daemon != here or params.shared:
            shared = await asyncio.to_thread(self._sharing.latest, daemon, name)
            return name, Content(shared.data, shared_us(shared)) if shared is not None else None, None
        folder = self._folder(check_name(name))
        content = await asyncio.to_thread(folder.read, f"{name}_session.md")
        return name, content, await asyncio.to_thread(folder.read, f"{name}_preamble.md")

    def _whose(self, address: str) -> tuple[str, str]:
        """Daemon and name of an agent; a bare name that nobody has, or several elsewhere, is one of here.

        Raises:
            ThrumError: ``name@daemon`` means nobody.
        """
        if "@" in address:
            return self._sharing.way.address(address)
        if self._thrum_of(check_name(address)) is None:
            with contextlib.suppress(UnknownAgent):
                return self._sharing.way.address(address)
        return self._sharing.way.daemon, address

    def _state(self, is_shared: bool) -> Content | None:
        if not is_shared:
            return ContextFolder(self._shared).read(PROJECT_STATE)
        found = self._sharing.latest_state()
        return Content(found.data, shared_us(found)) if found is not None else None

    async def _composed(self, folder: ContextFolder, params: PreambleSaveParams) -> bytes:
        """The preamble that a role text makes.

        Raises:
            UsageError: a whole preamble was given as well, or it becomes too large.
        """
        if params.content:
            raise UsageError("content and role_text are mutually exclusive")
        overlay = await asyncio.to_thread(folder.read, f"{params.agent_name}.md")
        added = overlay.data.decode(errors="replace") if overlay is not None else ""
        return _checked(compose(_decoded(params.role_text).decode(), added).encode())

    def _folder(self, name: str) -> ContextFolder:
        return ContextFolder(self._thrum_of(name) or self._shared)

    def _own_folder(self, caller: Caller, name: str) -> ContextFolder:
        """The folder to write in for *name*.

        Raises:
            Refused: the caller is neither that agent nor one of its worktree, nor a user or the daemon.
        """
        thrum = self._thrum_of(check_name(name))
        is_own = caller.kind in ("user", "kernel") or caller.agent_id == name
        if not is_own and (thrum is None or caller.worktree is None or thrum != caller.worktree / ".thrum"):
            raise Refused(
                f"@{caller.agent_id} may not change the context of @{name}",
                hint="run it from that agent's worktree",
            )
        return ContextFolder(thrum or self._shared)


def check_name(name: str) -> str:
    """*name*, when files may be called after it.

    Raises:
        InvalidName: it is no name of an agent, or its files would be another's.
    """
    if not _NAME.fullmatch(name):
        raise InvalidName(f'invalid agent name "{name}": use lower-case letters, digits, _ and -')
    if name.endswith(_TAKEN_ENDINGS) or f"{name}.md" == PROJECT_STATE:
        raise InvalidName(
            f'agent name "{name}" cannot have context files: that file name has another meaning'
        )
    return name


def _decoded(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
        data.decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise UsageError("content must be UTF-8 text in base64") from error
    return _checked(data)


def _checked(data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise UsageError(f"content too large: {len(data)} bytes, at most {MAX_BYTES}")
    return data


def _encoded(content: Content | None) -> str:
    return base64.b64encode(content.data).decode() if content is not None else ""
