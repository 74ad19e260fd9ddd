"""What a pane must show for a text that somebody sends, and for the Enter behind it. Pure.

Before the text nobody else's line may stand there; before Enter there must stand that text and nothing else. A doubt
counts against the key.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from thrum_tmux.pane import Look
from thrum_tmux.screen.patterns import Patterns
from thrum_tmux.screen.reading import read, squeezed
from thrum_tmux.typist import Verdict, View
from thrum_tmux.wake.gate import AT_KEYBOARD, SYNCHRONIZED, is_at_keyboard
from thrum_tmux.wake.parts import SHOWN, is_whole, shows_end

TAKEN: Final = "the dialog took it"
"""It was answered by the text alone: a further Enter would be for what comes next."""
_OK: Final = Verdict()
_SHORT: Final = 60


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is known of the prompt that is typed at.

    Attributes:
        patterns: of the program that is there.
        is_shell: its prompt looks as its person wants it to, and may show more than what was typed.
    """

    patterns: Patterns
    is_shell: bool

    @property
    def is_known(self) -> bool:
        """A prompt that is not on the screen is not there."""
        return self.patterns.knows_prompt and not self.is_shell


@dataclass(frozen=True, slots=True)
class Typed:
    """A text that was typed.

    Attributes:
        before: what the pane was as tmux took it.
    """

    text: str
    before: View

    def is_shared(self, view: View) -> bool:
        """Whether a person did something in the session since."""
        return view.look.activity != self.before.look.activity


def unreachable(look: Look) -> str:
    """Why keys would not come to a program at all; empty when they would."""
    if look.dead:
        return "its program ended"
    if look.in_mode:
        return "somebody scrolls there; keys go to tmux until they leave copy mode"
    return ""


def for_text(view: View, prompt: Prompt) -> Verdict:
    """Whether the text would come to the agent alone. A dialog is no reason against it."""
    reading = view.reading
    if view.look.synchronized:
        return Verdict(SYNCHRONIZED)
    if reading.owner == "prompt" and reading.text:
        return Verdict(f"a draft stands in its prompt: {shortened(reading.text)}")
    if reading.owner not in ("prompt", "dialog") and prompt.is_known:
        works = reading.owner == "busy"
        return Verdict("it works, and shows no prompt" if works else "its prompt is not on the screen")
    return Verdict(AT_KEYBOARD if is_at_keyboard(view.look) else "")


def for_enter(view: View, typed: Typed, prompt: Prompt) -> Verdict:
    """Whether Enter would send that text and nothing else."""
    if typed.before.reading.owner == "dialog":
        return _in_dialog(view, typed, must_react=True)
    reading = view.reading
    if _stands(view, typed, prompt):
        return _OK
    if reading.owner == "dialog":
        return Verdict(f"a dialog waits for an answer: {reading.dialog}")
    if reading.text and not squeezed(typed.text).startswith(squeezed(reading.text)):
        return Verdict("something else stands in its prompt")
    return Verdict("somebody typed there meanwhile" if typed.is_shared(view) else "it does not show there")


def for_forced_enter(view: View, typed: Typed) -> Verdict:
    """Whether the pane is still what the text was typed into; what stood there before is sent along."""
    if typed.before.reading.owner == "dialog":
        return _in_dialog(view, typed, must_react=False)
    if view.reading.owner == "dialog":
        return Verdict(f"a dialog waits for an answer: {view.reading.dialog}")
    return Verdict("somebody typed there meanwhile" if typed.is_shared(view) else "")


def left(view: View, text: str) -> str:
    """What stands in the pane, for a person."""
    if view.reading.owner == "prompt":
        return f"its prompt holds: {shortened(view.text)}" if view.text else "its prompt is empty"
    return "the text is on its screen" if shows_end(view.look, text) else "the text may stand there unseen"


def shortened(text: str) -> str:
    """The beginning of *text*, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= _SHORT else f"{line[:_SHORT]}…"


# --- a prompt --------------------------------------------------------------------------------------------------------


def _stands(view: View, typed: Typed, prompt: Prompt) -> bool:
    """Whether the text stands at the prompt, with nothing that anybody else wrote."""
    reading = view.reading
    if reading.owner == "dialog":
        return _looks_like_a_dialog(view, typed.text, prompt.patterns)
    if reading.owner == "prompt" and is_whole(reading.text, typed.text):
        return True
    if typed.is_shared(view):
        return False
    if reading.owner == "prompt" and not prompt.is_shell:
        return _is_shown_otherwise(reading.text, typed.text, prompt.patterns)
    return shows_end(view.look, typed.text)


def _looks_like_a_dialog(view: View, text: str, known: Patterns) -> bool:
    """Whether it is only the text, whole in its prompt box, that is taken for a dialog: a list of numbered lines."""
    columns = view.look.size[0]
    box = read(view.look.lines, view.look.cursor, replace(known, dialog={}), columns=columns)
    if box.owner != "prompt" or not is_whole(box.text, text):
        return False
    first, after = box.rows
    others = [*view.look.lines[:first], *[""] * (after - first), *view.look.lines[after:]]
    return read(others, view.look.cursor, known, columns=columns).owner != "dialog"


def _is_shown_otherwise(shown: str, text: str, known: Patterns) -> bool:
    """Whether a box in which nobody else wrote shows *text* as boxes do: with a hint behind it, folded, or its end."""
    box, ours = squeezed(shown), squeezed(text)
    if known.pasted is not None and known.pasted.fullmatch(shown):
        return True
    return bool(box) and (box.startswith(ours) or (len(box) >= SHOWN and ours.endswith(box)))


# --- a dialog --------------------------------------------------------------------------------------------------------


def _in_dialog(view: View, typed: Typed, *, must_react: bool) -> Verdict:
    """Whether the dialog that the text was typed into waits for an Enter behind it."""
    if view.reading.owner != "dialog":
        return Verdict("the dialog took only a part of it" if view.text else TAKEN, is_final=True)
    if not _is_same_question(typed, view):
        return Verdict(f"another dialog waits for an answer: {view.reading.dialog}", is_final=True)
    if typed.is_shared(view):
        return Verdict("somebody typed there meanwhile", is_final=True)
    shown, before = view.look, typed.before.look
    has_reacted = (shown.lines, shown.cursor) != (before.lines, before.cursor)
    return _OK if has_reacted or not must_react else Verdict("its dialog does not react to it")


def _is_same_question(typed: Typed, view: View) -> bool:
    """Whether the screen is the same but for what the text does to it: a mark elsewhere, the text itself."""
    before, now, echo = (_words(each) for each in (typed.before.look.lines, view.look.lines, (typed.text,)))
    if now == before:
        return True
    places = (at for at in range(len(now) - len(echo) + 1) if echo and now.startswith(echo, at))
    return any(now[:at] + now[at + len(echo) :] == before for at in places)


def _words(lines: tuple[str, ...]) -> str:
    return "".join(sign for line in lines for sign in line if sign.isalnum())
