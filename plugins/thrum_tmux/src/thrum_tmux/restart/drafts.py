"""Text that stands in a runtime's prompt and was not sent."""

from __future__ import annotations

from thrum_kernel.api import RuntimePreset
from thrum_tmux.pane import Pane
from thrum_tmux.restart.conversation import is_ours
from thrum_tmux.screen import patterns
from thrum_tmux.screen.reading import read


async def draft(pane: Pane, preset: RuntimePreset) -> str:
    """What somebody left in the prompt box of *pane*; empty where nobody did, or the runtime's prompt is not known.

    A line of thrum's own, on its way in, is nobody's draft.

    Raises:
        PaneMissing, TmuxError, ServerSilent: it cannot be looked at.
    """
    known = patterns.of(preset)
    if not known.knows_prompt:
        return ""
    look = await pane.look()
    reading = read(look.lines, look.cursor, known, columns=look.size[0])
    return "" if reading.owner != "prompt" or is_ours(reading.text) else reading.text
