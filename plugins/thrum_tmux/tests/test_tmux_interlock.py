"""No keystroke of ours goes where it was not asked for, whatever happens on the screen meanwhile.

A case: a pane that stands somehow, our line on its way into it, and things that happen at random moments: a person
types, dialogs come and go, the program draws, works, is scrolled, resized, exits, dies. Each keystroke is judged by what
tmux held of the pane as it took it (a hook notes that in the same turn), not by what anybody thought.

``make soak`` tells 10,000 cases. One can be told again by its number, ``THRUM_CASE=17``, and so many from it on by
``THRUM_CASES``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from thrum_tmux.errors import PaneMissing
from thrum_tmux.live_pane import LivePane
from thrum_tmux.screen.reading import squeezed
from thrum_tmux.wake.injection import Timing
from tmux_wake import House, Keystroke, house, injection

from thrum_kernel.testing.fake_runtime.driver import FakeRuntime
from thrum_kernel.testing.tmux import TmuxServer

SOAK = bool(os.environ.get("THRUM_SOAK"))
FIRST = int(os.environ.get("THRUM_CASE", 1))
CASES = int(os.environ.get("THRUM_CASES", 1 if FIRST > 1 else 10_000 if SOAK else 24))
TOGETHER = 6
"""Panes in which cases go on at the same time."""

ENDED = "bash"
"""The program of a pane whose runtime has ended."""
TIMING = Timing(quiet_s=0.03, steady_s=0.02, echo_s=0.1, enter_delay_s=0.03, entered_s=0.08, look_s=0.03)
DRAFTS = ("x", "half a tho", "two\nlines", "New message for you, Ada", "❯ 1. Yes", "日本語", "y" * 300)
STATES = ("idle", "idle", "idle", "idle", "draft", "dialog", "work", "work without prompt", "copy mode")
EVENTS = (
    "draft", "no draft", "person", "dialog", "no dialog", "work", "rest", "say", "resize", "copy mode",
    "no copy mode", "face", "exit", "crash",
)  # fmt: skip


def line_of(case: int) -> str:
    return f"New message from @ada (msg_{case:026d}) -- run: thrum inbox"


@dataclass(slots=True)
class Stage:
    """One pane in which cases are told, one after the other.

    Attributes:
        lines: of each case, the pane it was meant for.
    """

    here: House
    name: str
    fake: FakeRuntime
    pane: LivePane
    keyboard: int | None
    lines: dict[str, str] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)

    async def tell(self, case: int) -> None:
        """One case, from its number alone."""
        chance = random.Random(case)
        await self.set_up(chance)
        self.lines[line_of(case)] = self.pane.id
        happening = asyncio.create_task(self.happen(chance))
        wake = injection(self.pane, line_of(case), timing=TIMING, queues_input=chance.random() < 0.7)
        try:
            self.ended.append((await wake.run(chance.choice((0.1, 0.3, 0.6)))).state)
        finally:
            await happening

    async def set_up(self, chance: random.Random) -> None:
        """The pane as it stands at first; a runtime that ended is started anew."""
        await self.run("copy-mode", "-q", "-t", self.pane.id)
        for _ in range(5):
            try:
                self._tidy(chance)
                break
            except (OSError, ValueError):  # it ended, or is about to, or could not be connected to
                with contextlib.suppress(TimeoutError):  # it was connected to as it ended
                    await self._start()
        await self._do(chance, chance.choice(STATES))

    def _tidy(self, chance: random.Random) -> None:
        self.fake.order("set", face=chance.choice(("rule", "box", "bare")), queues=True, paste_s=0.01)
        self.fake.dialog("")
        self.fake.rest()
        self.fake.draft("")

    async def _start(self) -> None:
        # By the shell that is there: tmux 3.3a may end when a pane is respawned that is heard.
        aim = ("-t", self.pane.id)
        line = rf"printf '\033[?1049l\033c'; {self.fake.command()}; printf '\033]2;a shell\007'"
        await self.run(
            "send-keys", *aim, "C-c", ";", "send-keys", *aim, "-l", line, ";", "send-keys", *aim, "Enter"
        )
        await asyncio.to_thread(self.fake.reconnect, limit_s=5.0)

    async def happen(self, chance: random.Random) -> None:
        for _ in range(chance.randrange(5)):
            await asyncio.sleep(chance.random() * 0.1)
            with contextlib.suppress(OSError, ValueError):  # the program ended
                await self._do(chance, chance.choice(EVENTS))

    async def _do(self, chance: random.Random, what: str) -> None:
        fake = self.fake
        if what in ("draft", "no draft"):
            fake.draft(chance.choice(DRAFTS) if what == "draft" else "")
        elif what in ("dialog", "no dialog"):
            fake.dialog(
                chance.choice(("tool_confirmation", "trust", "selection")) if what == "dialog" else ""
            )
        elif what == "person" and self.keyboard is not None:
            os.write(self.keyboard, chance.choice((b"k", b"abc", b"\x7f")))
        elif what in ("work", "work without prompt"):
            fake.order("set", queues=what == "work")
            fake.work()
        elif what == "rest":
            fake.order("rest")
        elif what == "say":
            fake.order(
                "say", text="\n".join("talk " * chance.randrange(9) for _ in range(chance.randrange(40)))
            )
        elif what == "face":
            fake.order("set", face=chance.choice(("rule", "box", "bare")))
        elif what == "resize":
            size = ("-x", str(chance.randrange(30, 140)), "-y", str(chance.randrange(12, 50)))
            await self.run("resize-window", "-t", self.name, *size)
        elif what in ("copy mode", "no copy mode"):
            await self.run("copy-mode", *([] if what == "copy mode" else ["-q"]), "-t", self.pane.id)
        elif what == "exit":
            fake.order("exit", status=0)
        elif what == "crash":
            fake.crash()

    async def run(self, *words: str) -> None:
        await asyncio.to_thread(self.here.tmux.run, *words)


@contextlib.contextmanager
def keyboard(tmux: TmuxServer, session: str) -> Iterator[int]:
    """A person's terminal, attached to *session*; what is written to it is typed."""
    pid, master = pty.fork()
    if pid == 0:
        os.execvpe("tmux", ["tmux", "-L", tmux.socket, "attach", "-t", session], dict(tmux.env))
    loop = asyncio.get_running_loop()
    loop.add_reader(master, lambda: _drain(master))
    try:
        yield master
    finally:
        loop.remove_reader(master)
        tmux.run("detach-client", "-s", session)
        os.close(master)
        os.waitpid(pid, 0)


def _drain(master: int) -> None:
    with contextlib.suppress(OSError):  # its client went away
        os.read(master, 65536)


@contextlib.asynccontextmanager
async def stage(here: House, name: str, folder: Path, *, has_person: bool) -> AsyncIterator[Stage]:
    with here.agent(name, folder) as fake, contextlib.ExitStack() as open_:
        here.tmux("set-option", "-w", "-t", name, "window-size", "manual")
        pane = await here.pane(name)
        keys = open_.enter_context(keyboard(here.tmux, name)) if has_person else None
        yield Stage(here, name, fake, pane, keys)


def unasked(found: Keystroke, lines: dict[str, str], homes: dict[str, str]) -> str:
    """Why a keystroke should not have been; empty when it was all right.

    Args:
        lines: the pane that each was meant for.
        homes: the session of each pane.

    That another program has the terminal shows in the title, which the shell sets before anything else.
    """
    ours = [line for line, pane in lines.items() if pane == found.pane]
    if found.what.startswith("-l"):
        meant = [pane for line, pane in lines.items() if line in found.what]
        if meant != [found.pane]:
            return "another session's line"
    if found.session != homes[found.pane]:
        return "its pane is in another session"
    if found.in_mode:
        return "somebody scrolls"
    if found.has_dialog or found.owner != "prompt":
        return f"{found.owner} owns the pane"
    draft = squeezed(found.draft)
    if draft and not any(draft in 2 * squeezed(line) for line in ours):
        return f"a draft: {found.draft!r}"
    return ""


def test_no_keystroke_is_unasked_whatever_happens_meanwhile(tmux_server: TmuxServer, tmp_path: Path) -> None:
    cases = iter(range(FIRST, FIRST + CASES))
    stages: list[Stage] = []
    wrong: list[str] = []
    late: list[str] = []
    """Keystrokes whose program had ended by the time they were noted, while tmux still held its screen."""
    count = 0

    async def tell_on(mine: Stage) -> None:
        nonlocal count
        for number in cases:
            with contextlib.suppress(PaneMissing):
                await mine.tell(number)
            if number % 50 == 0:
                count += judge(mine.here)

    def judge(here: House) -> int:
        lines = {line: pane for each in stages for line, pane in each.lines.items()}
        homes = {each.pane.id: each.name for each in stages}
        found = [each for each in here.keystrokes() if each.is_ours]
        wrong.extend(f"{each}: {why}" for each in found if (why := unasked(each, lines, homes)))
        late.extend(str(each) for each in found if each.program == ENDED)
        return len(found)

    async def told() -> None:
        nonlocal count
        async with house(tmux_server) as here, contextlib.AsyncExitStack() as open_:
            for number in range(min(CASES, TOGETHER)):
                stages.append(
                    await open_.enter_async_context(
                        stage(here, f"s{number}", tmp_path, has_person=number % 3 == 0)
                    )
                )
            await asyncio.gather(*(tell_on(each) for each in stages))
            count += judge(here)

    asyncio.run(told())
    ended = [state for each in stages for state in each.ended]
    print(f"{len(ended)} cases, {count} keystrokes, {len(wrong)} unasked, {len(late)} as the program ended")
    assert wrong == []
    assert len(late) <= 1 + count / 500
    assert CASES < 10 or count, "the cases type something"
    if CASES >= 500:
        assert min(ended.count("submitted"), ended.count("none")) > len(ended) / 100 < count
