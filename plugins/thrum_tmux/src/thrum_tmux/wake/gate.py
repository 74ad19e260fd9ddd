"""The gate: whether our line, or the Enter behind it, may be typed into a pane now, and if not, why.

Pure, and the same before the line and before Enter. What it cannot know for sure counts against typing.

Source: spec/features.md §3.3, §4.3; DESIGN.md, "We never harm the person or the agent's work".
"""

from __future__ import annotations

from dataclasses import dataclass

from thrum_tmux.pane import Look
from thrum_tmux.screen.reading import Reading, squeezed


@dataclass(frozen=True, slots=True)
class Place:
    """What must hold of a pane for us to type.

    Attributes:
        runtime: that has to be there.
        queues_input: it takes input while it works.
        quiet_s: how long a person must have left it alone.
    """

    runtime: str
    queues_input: bool
    quiet_s: float


def refusal(look: Look, reading: Reading, place: Place, *, runtime: str, expected: str = "") -> str:
    """Why nothing may be typed now; empty when it may.

    Args:
        runtime: what runs in the foreground of the pane; see `program.Program`.
        expected: what must stand in the prompt box, and nothing else.
    """
    return (
        _elsewhere(look, place, runtime)
        or _person(look, place.quiet_s)
        or _screen(reading, place, squeezed(expected))
    )


def _elsewhere(look: Look, place: Place, runtime: str) -> str:
    """The keys would not come to the runtime alone."""
    if look.dead:
        return "its program ended"
    if runtime != place.runtime:
        return f"another program has its terminal: {look.command}"
    if look.in_mode:
        return "somebody scrolls in its pane"
    if look.synchronized:
        return SYNCHRONIZED
    return ""


def _person(look: Look, quiet_s: float) -> str:
    if look.last_key_s is not None and look.last_key_s < quiet_s:
        return AT_KEYBOARD
    return ""


def _screen(reading: Reading, place: Place, expected: str) -> str:
    """The next key is not the empty prompt's, or that of the one that holds just what we typed."""
    if reading.owner == "dialog":
        return f"a dialog waits for an answer: {reading.dialog}"
    if reading.owner == "busy" or (reading.is_busy and not place.queues_input):
        return "it works, and takes no input meanwhile"
    if reading.owner != "prompt":
        return "its prompt is not on the screen"
    if squeezed(reading.text) != expected or (not expected and reading.text):
        return DRAFT
    return ""


AT_KEYBOARD_S = 0.3
"""Whoever pressed a key no longer ago may have begun a line that does not show yet."""


def is_at_keyboard(look: Look) -> bool:
    """Whether somebody types in the session right now. tmux counts in whole seconds, so it is up to one second more."""
    return look.last_key_s is not None and look.last_key_s < AT_KEYBOARD_S


AT_KEYBOARD = "somebody is at its keyboard"
DRAFT = "a draft stands in its prompt"
SYNCHRONIZED = "what is typed into its pane goes to others too (synchronize-panes)"
