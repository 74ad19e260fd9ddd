"""What the program does with what is typed and with what a test tells it: everything but the terminal itself.

All state belongs to the main thread. What takes time (hooks, tools, thinking) happens in a thread a turn, which hands
its results back through ``later``.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from thrum_kernel.testing.fake_runtime.dialogs import DIALOGS
from thrum_kernel.testing.fake_runtime.draft import Draft
from thrum_kernel.testing.fake_runtime.drops import Drops
from thrum_kernel.testing.fake_runtime.face import Scene
from thrum_kernel.testing.fake_runtime.hooks import Hooks
from thrum_kernel.testing.fake_runtime.keys import Stroke
from thrum_kernel.testing.fake_runtime.options import Options
from thrum_kernel.testing.fake_runtime.transcript import Transcript, home_of

_MOST_SAID = 200


class Agent:
    """The agent behind the screen.

    Args:
        later: runs a function on the main thread soon; may be called from any thread.

    Attributes:
        taken: every stroke with what was on the screen when it came, as it stands in the record.
        submitted: the prompts that it accepted, oldest first.
        answered: dialogs that were answered, as ``(name, answer)``.
        ended: status to exit with; None while it runs.
    """

    def __init__(
        self,
        options: Options,
        *,
        cwd: Path,
        env: Mapping[str, str],
        later: Callable[[Callable[[], None]], None],
    ) -> None:
        self._options = options
        self._cwd = cwd
        self._env = {**env, "THRUM_RUNTIME": env.get("THRUM_RUNTIME", "fake-agent")}
        self._later = later
        self._began = time.monotonic()
        self._is_starting = options.start_s > 0
        self._work_began: float | None = None
        self._rest = threading.Event()
        self._texts: list[str] = []
        self._last_text = 0.0
        self._frame = 0
        self._drawn = Scene()
        self.draft = Draft()
        self.drops = Drops(options.drop, options.drops, seed=options.seed)
        self.face = options.face
        self.dialog = ""
        self.busy_s = options.busy_s
        self.queues = options.queues
        self.tokens = 0
        self.keeps_transcript = True
        self.paste_s = options.paste_s
        self.verb = "Working"
        self.said: list[str] = ["Welcome. This is a fake agent for tests.", ""]
        self.taken: list[dict[str, Any]] = []
        self.submitted: list[str] = []
        self.answered: list[tuple[str, str]] = []
        self.ended: int | None = None
        self.transcript = Transcript(home_of(env), cwd, os.getpid())
        self.hooks = Hooks(options.settings, cwd=cwd, env=self._env, session=self.transcript.session)

    # --- what is shown -----------------------------------------------------------------------------------------------

    @property
    def is_working(self) -> bool:
        return self._work_began is not None

    def scene(self) -> Scene:
        """What is to be drawn now; another frame only when it is another than the last."""
        now = self.seen()
        if now != self._drawn:
            self._frame += 1
            now.frame = self._frame
            self._drawn = now
        return self._drawn

    def seen(self) -> Scene:
        """How things look now, under the number of the frame that was drawn last."""
        working_s = -1.0 if self._work_began is None else time.monotonic() - self._work_began
        return Scene(
            face=self.face,
            said=self.said,
            draft=self.draft.text,
            at=self.draft.at,
            placeholder=self._options.placeholder,
            working_s=working_s,
            verb=self.verb,
            shows_prompt=not self._is_starting and (self.queues or not self.is_working),
            dialog=self.dialog,
            frame=self._frame,
        )

    def say(self, text: str) -> None:
        """Add to the conversation."""
        self.said = [*self.said, *text.split("\n")][-_MOST_SAID:]

    # --- life --------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The program is up; its first hook runs."""
        threading.Thread(target=self._start, daemon=True).start()

    def _start(self) -> None:
        told = self.hooks.run("SessionStart", source="startup")
        remaining = self._began + self._options.start_s - time.monotonic()
        if remaining > 0:
            time.sleep(remaining)
        self._later(lambda: self._started(told.context))

    def _started(self, context: str) -> None:
        self._is_starting = False
        if context:
            self.transcript.user(context, is_meta=True)

    # --- what is typed -----------------------------------------------------------------------------------------------

    def take(self, strokes: Sequence[Stroke]) -> None:
        """What came from the terminal at once."""
        for stroke in strokes:
            self._note(stroke)
            if self._is_starting:
                continue
            if self.dialog:
                self._answer(stroke)
            elif stroke.kind == "key":
                self._press(stroke.what)
            else:
                self.draft.insert(self.drops.text(stroke.what))
                self._last_text = time.monotonic()

    def _note(self, stroke: Stroke) -> None:
        """Keep a stroke with what the program showed when it came."""
        scene = self.seen()
        entry = {
            "n": len(self.taken),
            "kind": stroke.kind,
            "what": stroke.what,
            "owner": scene.owner,
            "dialog": scene.dialog,
            "draft": scene.draft,
            "frame": scene.frame,
        }
        self.taken.append(entry)
        if self._options.record is not None:
            with self._options.record.open("ab") as record:
                record.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")

    def _answer(self, stroke: Stroke) -> None:
        """A dialog takes single keys; what comes after its answer is the prompt's."""
        words = [stroke.what] if stroke.kind == "key" else list(stroke.what)
        for number, word in enumerate(words):
            answer = DIALOGS[self.dialog].answers.get(word)
            if answer is not None:
                self.answered.append((self.dialog, answer))
                self.dialog = ""
                self.draft.insert("".join(words[number + 1 :]) if stroke.kind != "key" else "")
                return

    def _press(self, key: str) -> None:
        if key == "Enter":
            if not self.drops.enter():
                return
            if time.monotonic() - self._last_text < self.paste_s:
                self.draft.insert("\n")
            elif self.draft.text.strip():
                self._submit(self.draft.take())
        elif key == "C-d" and not self.draft.text:
            self.ended = 0
        elif key == "Escape" and self.is_working:
            self._rest.set()
        else:
            self.draft.press(key)

    def _submit(self, text: str) -> None:
        self.submitted.append(text)
        if self.is_working:
            self.transcript.queued(text)
            self._texts.append(text)
            self.say(f"  (queued) {text}")
            return
        self._turn(text)

    # --- what it does ------------------------------------------------------------------------------------------------

    def work(self, seconds: float | None = None, verb: str = "Working") -> None:
        """Work at something of its own, until told to rest or for some seconds."""
        self.verb = verb
        self._go(lambda: self._rest.wait(seconds))

    def rest(self) -> None:
        """End what it works at."""
        self._rest.set()

    def compact(self, seconds: float) -> None:
        """Make a summary of the conversation so far."""

        def compacting() -> None:
            self.hooks.run("PreCompact", trigger="auto")
            self._rest.wait(seconds)
            summary = f"Summary of {len(self.said)} rows."
            self.transcript.compacted(summary)
            self._later(lambda: self.said.__setitem__(slice(None), ["Conversation compacted", ""]))

        self.verb = "Compacting conversation"
        self._go(compacting)

    def _turn(self, text: str) -> None:
        self.verb = "Working"
        self.say(f"❯ {text}")
        self._go(lambda: self._do(text))

    def _go(self, work: Callable[[], object]) -> None:
        """Do *work* in a thread; the next prompt that waits follows."""
        self._work_began = time.monotonic()
        self._rest.clear()

        def working() -> None:
            work()
            self._later(self._done)

        threading.Thread(target=working, daemon=True).start()

    def _done(self) -> None:
        self._work_began = None
        if self._texts:
            texts, self._texts = self._texts, []
            self._turn("\n".join(texts))

    def _do(self, text: str) -> None:
        """One turn: hooks, the tool, thinking, and again while the last hook says so."""
        told = self.hooks.run("UserPromptSubmit", prompt=text)
        if self.keeps_transcript:
            self.transcript.user(text)
        for round_ in range(3):
            if told.context:
                self.transcript.user(told.context, is_meta=True)
            self._use_tool(text)
            self._rest.wait(self.busy_s)
            self.transcript.assistant("Done.", tokens=self.tokens)
            self._later(lambda: self.say("● Done."))
            told = self.hooks.run("Stop", stop_hook_active=round_ > 0)
            if not told.goes_on:
                return

    def _use_tool(self, text: str) -> None:
        command = self._options.on_prompt
        if not command:
            return
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self._cwd,
            env={**self._env, "PROMPT": text},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        output = done.stdout.decode("utf-8", "replace")
        self.transcript.tool(command, output)
        self._later(lambda: self.say(f"● Bash({command})"))
        told = self.hooks.run(
            "PostToolUse", tool_name="Bash", tool_input={"command": command}, tool_response={"stdout": output}
        )
        if told.context:
            self.transcript.user(told.context, is_meta=True)
