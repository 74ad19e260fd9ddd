"""``tmux.launch``: a runtime is started in a session, and told who it is once it can be told."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from typing import Final

from thrum_kernel.api import Call, PluginContext, RuntimePreset
from thrum_kernel.errors import Refused, UsageError
from thrum_tmux import runtimes
from thrum_tmux.errors import PaneMissing, TmuxError
from thrum_tmux.identities import Identity, identities, set_terminal
from thrum_tmux.live_pane import LivePane
from thrum_tmux.names import check_runtime, session_name
from thrum_tmux.panes import Found
from thrum_tmux.session import owning
from thrum_tmux.session.checkouts import checkout
from thrum_tmux.session.greeting import REMINDER, Greetings
from thrum_tmux.session.greeting_marks import Greeting
from thrum_tmux.session.records import Record
from thrum_tmux.session.sessions import Sessions
from thrum_tmux.session.shapes import LaunchParams, LaunchResult
from thrum_tmux.session.shell_line import ShellLine
from thrum_tmux.session.standing import check_standing
from thrum_tmux.wake import program

STARTING_S: Final = 2.0
BEGUN_S: Final = 5.0
LOOK_S: Final = 0.1
QUICKSTART: Final = "thrum quickstart --name NAME --role ROLE --module MODULE"


class Launching:
    """The handler, and what `tmux.restart` has in common with it; ``ctx.shared(Launching)``."""

    def __init__(self, ctx: PluginContext) -> None:
        self._ctx = ctx
        self._sessions = ctx.shared(Sessions)

    async def launch(self, call: Call, params: LaunchParams) -> LaunchResult:
        """Start a runtime in a session.

        Raises:
            UsageError: no runtime is called so, or it has no command.
            TmuxError: there is no such session, and nothing to make it of; or the runtime ended at once.
            Refused: no agent lives there, several do, or something else runs in its pane.
            NotYours: it is another agent's, and there is no *force*.
        """
        if params.runtime:
            check_runtime(params.runtime)
            runtimes.launchable(params.runtime, self._ctx.presets())
        found = await self._session(params.name)
        pane = await self._pane(found)
        cwd = await self._cwd(found, pane)
        record = self._sessions.record_of(found)
        identity = await self._identity(call, found, cwd, record, is_shell=params.runtime == runtimes.SHELL)
        owners = [identity.name] if identity else []
        thing = owning.belonging(found.row.name, owners, record=record, worktree=cwd)
        authority = await self._ctx.authorize(call.caller, thing, force=params.force)
        runtime = await runtimes.chosen(
            self._ctx,
            asked=params.runtime,
            preferred=(identity.preferred_runtime if identity else "") or (record.runtime if record else ""),
            callers=call.caller.runtime,
        )
        preset = runtimes.launchable(runtime, self._ctx.presets())
        async with self._sessions.panes.typing(pane.id):
            await self._type(found, pane, preset, identity, cwd=cwd, reminder=REMINDER)
            await self._check_begun(found, pane, preset)
        await self._note(found, pane, preset, identity, reminder=REMINDER)
        done = f"launched ({runtime})"
        notes = await owning.tell(self._ctx, authority, call.caller, thing=thing, done=done)
        return LaunchResult(session=found.row.name, runtime=runtime, notes=notes)

    async def start(
        self,
        found: Found,
        pane: LivePane,
        runtime: str,
        *,
        identity: Identity | None,
        cwd: Path,
        reminder: str = REMINDER,
    ) -> None:
        """Type the command of a runtime into the shell of a pane, and note that it runs there.

        Whoever calls it holds `Panes.typing` of the pane.

        Args:
            reminder: what it is told when it shows nothing after it was told who it is.

        Raises:
            Refused: the pane has another program, or somebody works in it.
            TmuxError, PaneMissing, ServerSilent: tmux cannot.
        """
        preset = runtimes.preset_of(runtime, self._ctx.presets())
        await self._type(found, pane, preset, identity, cwd=cwd, reminder=reminder)
        await self._note(found, pane, preset, identity, reminder=reminder)

    async def _type(
        self,
        found: Found,
        pane: LivePane,
        preset: RuntimePreset,
        identity: Identity | None,
        *,
        cwd: Path,
        reminder: str,
    ) -> None:
        shell = ShellLine(self._ctx, pane)
        self._check_free(found, await shell.taken(STARTING_S))
        await self._keep(found, pane, identity, cwd=cwd, runtime=preset.name)
        command = runtimes.command_of(preset)
        if not command:
            return
        greeting = _greeting(preset, identity, reminder) if identity is not None else None
        await self._ctx.shared(Greetings).expect(found, pane.id, greeting)
        reason = await shell.run(command, STARTING_S)
        if reason:
            await self._ctx.shared(Greetings).expect(found, pane.id, None)
            self._check_free(found, reason)

    async def _note(
        self,
        found: Found,
        pane: LivePane,
        preset: RuntimePreset,
        identity: Identity | None,
        *,
        reminder: str,
    ) -> None:
        """Who lives there has that runtime now, and is told who it is when it can be told."""
        if identity is None:
            return
        await set_terminal(
            self._ctx,
            identity.name,
            worktree=identity.worktree,
            tmux_session=pane.place,
            runtime=preset.name,
        )
        if runtimes.command_of(preset):
            self._ctx.shared(Greetings).greet(found, pane, identity, _greeting(preset, identity, reminder))

    # --- where -------------------------------------------------------------------------------------------------------

    async def _session(self, name: str) -> Found:
        """The session, made anew where this machine remembers how."""
        found = await self._sessions.find_any(name)
        if found is not None:
            self._sessions.check_ours(found)
            return found
        record = self._sessions.records.named(name)
        if record is None or not record.cwd.is_dir():
            raise TmuxError(
                f'session "{name}" not found and no stored cwd available',
                hint=await self.how_to_make(name),
            )
        return await self._sessions.make(record)

    async def how_to_make(self, name: str) -> str:
        """The command that makes a session of that name: for the agent that is called so, or whose worktree is."""
        everyone = await identities(self._ctx)
        meant = [each for each in everyone if name in (each.name, each.home.name, _of(each.home))]
        if not meant:
            return f"thrum tmux create {name} --cwd PATH --name AGENT --role ROLE --module MODULE"
        one = next((each for each in meant if each.name == name), meant[0])
        words = ["thrum", "tmux", "create", name, "--cwd", one.worktree]
        if sum(each.worktree == one.worktree for each in everyone) > 1:
            words += ["--name", one.name]
        return shlex.join(words + (["--main"] if one.home == self._ctx.paths.repo else []))

    async def _pane(self, found: Found) -> LivePane:
        """The pane of its agent; where it is gone, or thrum did not make the session, the one that is active."""
        if self._sessions.panes.is_ours(found.row):
            pane = await self._sessions.panes.of_session(found.row.name)
            if pane is not None:
                return pane
        ((active,),) = await found.server.ask(("display-message", "-p", "-t", found.row.id, "#{pane_id}"))
        known = found.server.known
        if active not in known.panes or known.server is None:
            raise PaneMissing(active)
        return LivePane(found.server, known.server, known.panes[active])

    async def _cwd(self, found: Found, pane: LivePane) -> Path:
        """The folder that the session is for: as it was made, else where its shell stands."""
        record = self._sessions.record_of(found)
        if record is not None and self._sessions.panes.is_ours(found.row):
            return record.cwd
        ((path,),) = await found.server.ask(("display-message", "-p", "-t", pane.id, "#{pane_current_path}"))
        place = await self._ctx.in_thread(checkout, Path(path))
        return place.root if place is not None else Path(path)

    # --- who ---------------------------------------------------------------------------------------------------------

    async def _identity(
        self, call: Call, found: Found, cwd: Path, record: Record | None, *, is_shell: bool
    ) -> Identity | None:
        """Who lives there.

        Raises:
            Refused: nobody does (unless a shell is wanted), or several do and nothing tells which; or the caller
                may not have it started.
        """
        check_standing(call.caller, cwd)
        living = await identities(self._ctx, worktree=cwd)
        wanted = found.row.agent or (record.agent if record else "")
        chosen = [each for each in living if each.name == wanted] or living
        if len(chosen) == 1:
            return chosen[0]
        if not chosen and is_shell:
            return None
        if not chosen:
            raise Refused(
                f'no identity is registered for session "{found.row.name}" in {cwd}',
                hint=f"there: {QUICKSTART}; --runtime shell launches nothing and needs nobody",
            )
        names = ", ".join(each.name for each in chosen)
        raise Refused(
            f"{len(chosen)} identities live in {cwd}: {names}",
            hint="create a session for one of them: thrum tmux create NAME --cwd PATH --name AGENT …",
        )

    def _check_free(self, found: Found, reason: str) -> None:
        """Only a shell at its prompt may be given a command.

        Raises:
            Refused: there is a *reason* why its pane has none.
        """
        if reason:
            raise Refused(
                f'nothing can be launched in session "{found.row.name}": {reason}',
                hint=f"see for yourself: thrum tmux connect {found.row.name}",
            )

    async def _check_begun(self, found: Found, pane: LivePane, preset: RuntimePreset) -> None:
        """A shell that has its terminal back says why it could not start what it was given.

        Raises:
            TmuxError: it has.
        """
        command = runtimes.command_of(preset)
        if not command:
            return
        for _ in range(int(BEGUN_S / LOOK_S)):
            look = await pane.look()
            if (await program.running(self._ctx, look)).runtime != runtimes.SHELL:
                return
            await asyncio.sleep(LOOK_S)
        await self._ctx.shared(Greetings).expect(found, pane.id, None)
        said = next((line.strip() for line in reversed(look.lines[: look.cursor[1]]) if line.strip()), "")
        raise TmuxError(
            f'"{command}" ended at once in session "{found.row.name}": {said}',
            hint=f"see for yourself: thrum tmux connect {found.row.name}",
        )

    async def _keep(
        self, found: Found, pane: LivePane, identity: Identity | None, *, cwd: Path, runtime: str
    ) -> None:
        """From now on the session is ours, and for whoever lives there."""
        agent = identity.name if identity else ""
        noted = (found.row.agent, found.row.agent_pane) == (agent, pane.id)
        if noted and self._sessions.panes.is_ours(found.row) and self._sessions.record_of(found):
            return
        row = found.server.known.panes.get(pane.id)
        if row is None:
            raise PaneMissing(pane.id)
        record = Record(
            name=found.row.name,
            socket=found.server.socket,
            cwd=cwd,
            agent=agent,
            role=identity.role if identity else "",
            module=identity.module if identity else "",
            intent=identity.intent if identity else "",
            runtime=runtime,
            made_by=known.made_by if (known := self._sessions.record_of(found)) else "",
        )
        await self._sessions.adopt(found, row, agent=agent, record=record)


def _of(worktree: Path) -> str:
    """What a worktree's session is called."""
    try:
        return session_name(worktree.name)
    except UsageError:
        return worktree.name


def _greeting(preset: RuntimePreset, identity: Identity, reminder: str) -> Greeting:
    return Greeting(agent=identity.name, runtime=preset.name, reminder=reminder)
