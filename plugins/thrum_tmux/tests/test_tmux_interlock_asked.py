"""What somebody asked for is typed as safely as a wake: `tmux send` and launches, whatever happens meanwhile.

The stages and what happens on them are those of the other interlock. A text may answer a dialog; nothing else of it, and
no Enter, goes to a dialog, behind a draft or into another program. What a shell ran is noted by the shell itself: a command
of ours that came behind somebody's half typed one would be seen there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import shlex
from collections import Counter
from pathlib import Path

from test_tmux_interlock import ENDED, FIRST, SOAK, TOGETHER, Stage, stage
from thrum_tmux.errors import PaneMissing
from thrum_tmux.screen.reading import squeezed
from thrum_tmux.session.deliberate import Deliberate, Pace
from thrum_tmux.session.shell_line import ShellLine
from tmux_wake import House, Keystroke, context, house, until

from thrum_kernel.testing.fake_runtime.plugin import FAKE_AGENT
from thrum_kernel.testing.tmux import TmuxServer

CASES = int(os.environ.get("THRUM_CASES", 1 if FIRST > 1 else 2_000 if SOAK else 18))
PACE = Pace(free_s=0.3, steady_s=0.02, settled_s=0.05, echo_s=0.25, entered_s=0.08)
ANSWERS = ("1", "2", "3", "x", "1 and more")
PROMPT = "at $ "
OURS = re.compile(r" *\d+ +: (?:send \d{6} and go on with what you were told|launch \d{6})")


def send_line(case: int) -> str:
    """What a shell takes for a command that does nothing."""
    return f": send {case:06d} and go on with what you were told"


def launch_line(case: int) -> str:
    return f": launch {case:06d}"


class Asked:
    """One stage, where sends and launches are told instead of wakes.

    Attributes:
        texts: what was sent there.
        ended: what became of each case.
    """

    def __init__(self, on: Stage) -> None:
        self.on = on
        self.texts: set[str] = set()
        self.ended: list[str] = []

    async def tell(self, case: int) -> None:
        """One case, from its number alone."""
        chance = random.Random(case)
        await self.on.set_up(chance)
        is_launch = chance.random() < 0.4
        if is_launch:
            await self._shell(chance)
        happening = asyncio.create_task(self.on.happen(chance))
        try:
            self.ended.append(await (self._launch(case) if is_launch else self._send(case, chance)))
        finally:
            await happening

    async def _shell(self, chance: random.Random) -> None:
        """A shell instead of the runtime, mostly at its prompt, or something else that has the pane."""
        with contextlib.suppress(OSError, ValueError):  # it ended already
            self.on.fake.order("exit", status=0)
        aim = ("-t", self.on.pane.id)
        await self.on.run("copy-mode", "-q", *aim)  # there a key would be a command of tmux
        await until(lambda: self.on.here.tmux("display-message", "-p", *aim, "#{pane_title}") == "a shell")
        typed = chance.choice(
            ((), (), (), ("-l", "rm half a"), ("for i in 1; do", "Enter"), ("cat", "Enter"))
        )
        if typed:
            await self.on.run("send-keys", *aim, *typed)

    async def _launch(self, case: int) -> str:
        reason = await ShellLine(context(), self.on.pane).run(launch_line(case), PACE.free_s)
        return "refused" if reason else "launched"

    async def _send(self, case: int, chance: random.Random) -> str:
        line = send_line(case)
        text = chance.choice((line, line, line, f"{line}\n1. one\n2. two", chance.choice(ANSWERS)))
        self.texts.add(squeezed(text))
        sent = await Deliberate(context(), self.on.pane, FAKE_AGENT, pace=PACE).send(text)
        if sent.is_entered:
            return "entered"
        return "refused" if not sent.is_typed else "left" if sent.reason else "answered"

    def unasked(self, found: Keystroke) -> str:
        """Why a keystroke should not have been; empty when it was all right."""
        is_text = not found.what.endswith("Enter")
        if found.session != self.on.name:
            return "its pane is in another session"
        if found.in_mode:
            return "somebody scrolls"
        if not found.owner:
            return self._unasked_in_shell(found, is_text=is_text)
        if found.has_dialog or found.owner == "dialog":
            return "" if is_text else "a dialog gets Enter"
        if found.owner != "prompt":
            return f"{found.owner} owns the pane"
        draft = squeezed(found.draft)
        is_ours = not draft if is_text else draft in self.texts
        return "" if is_ours else f"a draft: {found.draft!r}"

    def _unasked_in_shell(self, found: Keystroke, *, is_text: bool) -> str:
        if found.program != "bash":
            return f"{found.program} owns the pane"
        at_prompt = found.column == len(PROMPT)
        return "" if at_prompt or not is_text else "a draft at the prompt of a shell"


def test_what_was_asked_for_goes_nowhere_else(tmux_server: TmuxServer, tmp_path: Path) -> None:
    cases = iter(range(FIRST, FIRST + CASES))
    asked: dict[str, Asked] = {}
    wrong: list[str] = []
    late: list[str] = []
    """Keystrokes whose program had ended by the time they were noted, while tmux still held its screen."""
    count = 0
    ran = tmp_path / "ran"

    async def tell_on(mine: Asked) -> None:
        for number in cases:
            with contextlib.suppress(PaneMissing):
                await mine.tell(number)
            if number % 50 == 0:
                judge(mine.on.here)

    def judge(here: House) -> None:
        nonlocal count
        ours = [each for each in here.keystrokes() if each.is_ours]
        for each in ours:
            if each.owner and each.program == ENDED:
                late.append(str(each))
            elif why := asked[each.pane].unasked(each):
                wrong.append(f"{each}: {why}")
        count += len(ours)

    async def told() -> None:
        async with house(tmux_server) as here, contextlib.AsyncExitStack() as open_:
            # The prompt begins its row anew: what was typed ahead is shown before it, and then again behind it.
            prompt = rf"\[\e[G\e[K\]{PROMPT}"
            shell = {"PS1": prompt, "PROMPT_COMMAND": f"history 1 >> {shlex.quote(str(ran))}", "HISTFILE": ""}
            for name, value in shell.items():
                here.tmux("set-environment", "-g", name, value)
            for number in range(min(CASES, TOGETHER)):
                made = stage(here, f"s{number}", tmp_path, has_person=number % 3 == 0)
                on = await open_.enter_async_context(made)
                asked[on.pane.id] = Asked(on)
            await asyncio.gather(*(tell_on(each) for each in asked.values()))
            judge(here)

    asyncio.run(told())
    lines = ran.read_text().splitlines() if ran.exists() else []
    wrong += [line for line in lines if re.search(r": (send|launch) \d", line) and not OURS.fullmatch(line)]
    ended = Counter(state for each in asked.values() for state in each.ended)
    print(f"{dict(ended)} cases, {count} keystrokes, {len(wrong)} unasked, {len(late)} as the program ended")
    assert wrong == []
    assert len(late) <= 1 + count / 500
    assert CASES < 10 or count, "the cases type something"
    if CASES >= 500:
        states = ("entered", "answered", "left", "launched", "refused")
        assert min(ended[state] for state in states) > 0
